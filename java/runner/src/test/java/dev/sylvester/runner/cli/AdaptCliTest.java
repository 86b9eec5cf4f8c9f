package dev.sylvester.runner.cli;

import static dev.sylvester.runner.cli.Cli.assertFails;
import static dev.sylvester.runner.cli.Cli.run;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.sylvester.runner.Tuned;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Adapters on the command line. */
class AdaptCliTest {
  private static final Path ADAPTERS =
      Path.of(System.getProperty("sylvester.root"), "tests/golden/adapters");

  @TempDir private Path folder;

  @Test
  void spectraAreTold() throws IOException {
    Path svg = folder.resolve("plot.svg");
    String[] arguments = {
      "adapt",
      "spectrum",
      "-m",
      "gsm-mini-draft",
      "--factors",
      "32x32",
      "--json",
      "--svg",
      svg.toString()
    };
    JsonNode json = run(arguments).json();
    assertThat(json.fieldNames())
        .toIterable()
        .containsExactly("model", "base", "factors", "shares", "total", "layers");
    assertThat(json.get("factors").textValue()).isEqualTo("32x32");
    assertThat(json.get("shares")).hasSize(6);
    for (String kind : new String[] {"kronecker", "svd", "shuffled"}) {
      JsonNode total = json.get("total").get(kind);
      assertThat(total).hasSize(6);
      for (int i = 0; i < 6; i++) {
        assertThat(total.get(i).doubleValue())
            .isBetween(i == 0 ? 0 : total.get(i - 1).doubleValue(), 1.0);
      }
    }
    JsonNode layer = json.get("layers").get(0);
    assertThat(layer.get("name").textValue()).isEqualTo("model.layers.0.self_attn.q_proj");
    assertThat(layer.get("v").toString()).isEqualTo("[32,32]");
    assertThat(layer.get("energy").doubleValue()).isPositive();
    assertThat(layer.get("svd")).hasSize(6);
    assertThat(Files.readString(svg).contains("</svg>")).isTrue();
    assertThat(run("adapt", "spectrum", "-m", "gsm-mini-draft").out())
        .containsPattern("model.layers.0.mlp.up_proj +[0-9]+ x [0-9]+ +[0-9]+ x [0-9]+ +[0-9.]+ %")
        .containsPattern("all layers +parameters +kronecker +svd +shuffled\n +0.5 % +[0-9.]+ %");
  }

  @Test
  void spectraNeedModelsThatFit() {
    String[] same = {"adapt", "spectrum", "-m", "gsm-mini-draft", "--base", "gsm-mini-draft"};
    assertFails(run(same), "all weights are zero");
    assertFails(run("adapt", "spectrum", "--base", "gsm-mini-draft"), "self_attn.q_proj.weight");
    assertFails(run("adapt", "spectrum", "--factors", "5x5"), "do not divide model.layers.0");
    assertFails(run("adapt", "spectrum", "--factors", "big"), "factors are 'big'");
    assertFails(run("adapt", "spectrum", "--threads", "0"), "threads is 0");
    assertFails(run("adapt"), "adapt what?");
  }

  @Test
  void changesBecomeAdapters() throws IOException {
    Path draft = Path.of(System.getProperty("sylvester.root"), "models/gsm-mini/draft");
    String layer = "model.layers.0.mlp.up_proj";
    Path tuned = Files.createDirectory(folder.resolve("tuned"));
    Tuned.write(draft, tuned, Map.of(layer, Tuned.kronecker(3, 16, 8, 16, 12)));
    String[] common = {
      "adapt", "decompose", "-m", tuned.toString(), "--base", "gsm-mini-draft", "--json"
    };
    Path file = folder.resolve("soka.safetensors");
    JsonNode soka = run(with(common, "--budget", "320", "-o", file.toString())).json();
    assertThat(soka.get("method").textValue()).isEqualTo("soka");
    assertThat(soka.get("modules").intValue()).isEqualTo(1);
    assertThat(soka.get("parameters").intValue()).isEqualTo(16 * 8 + 16 * 12);
    assertThat(soka.get("energy").doubleValue()).isBetween(0.999999, 1.000001);
    Path lora = folder.resolve("lora");
    String[] asLora = with(common, "--method", "lora", "--budget", "900", "-o", lora.toString());
    JsonNode json = run(asLora).json();
    assertThat(json.get("parameters").intValue()).isEqualTo(2 * (256 + 96));
    assertThat(json.get("energy").doubleValue()).isBetween(0.01, 0.9);
    assertFails(run(asLora), "lora: exists already");
    for (Path adapter : List.of(file, lora)) {
      JsonNode modules = run("adapt", "info", adapter.toString(), "--json").json().get("modules");
      assertThat(modules.findValuesAsText("name")).containsExactly(layer);
      assertThat(modules.get(0).get("scale").doubleValue()).isEqualTo(1);
    }
    String[] generate = {"generate", "-p", "Ann has 3 coins.", "-n", "24", "--json", "-m"};
    JsonNode want = run(with(generate, tuned.toString())).json().get("tokens");
    JsonNode got =
        run(with(generate, "gsm-mini-draft", "--adapter", file.toString())).json().get("tokens");
    assertThat(got).isEqualTo(want);
    JsonNode base = run(with(generate, "gsm-mini-draft")).json().get("tokens");
    assertThat(got).isNotEqualTo(base);
    String[] taken = {"--adapter", file + ":-0.7", "--adapter", file + ":-0.3"};
    assertThat(run(with(with(generate, tuned.toString()), taken)).json().get("tokens"))
        .isEqualTo(base);

    String out = folder.resolve("new").toString();
    String[] merge = {
      "adapt", "merge", "-m", "gsm-mini-draft", "--adapter", file.toString(), "-o", out + "-merged"
    };
    assertThat(run(merge).out()).endsWith("new-merged: 1 of 11 tensors changed\n");
    assertThat(run(with(generate, out + "-merged")).json().get("tokens")).isEqualTo(want);
    assertFails(run(merge), "new-merged: exists already");
    assertFails(run(with(common, "--budget", "0", "-o", out)), "budget is 0");
    assertFails(run(with(common, "--budget", "9", "-o", out)), "holds no term: one takes ");
    assertFails(
        run(with(common, "--budget", "9", "-o", out, "--method", "lora", "--factors", "4x4")),
        "--factors are those of soka");
    assertThat(Path.of(out)).doesNotExist();
  }

  @Test
  void adaptersAreMergedIntoGguf() {
    Path golden = ADAPTERS.resolveSibling("gguf/llama-rope-yarn.gguf");
    String adapter = ADAPTERS.resolveSibling("training/yarn.safetensors").toString();
    String merged = folder.resolve("merged.gguf").toString();
    String[] merge = {
      "adapt", "merge", "-m", golden.toString(), "--adapter", adapter + ":0.5", "-o", merged
    };
    assertThat(run(merge).out()).containsPattern("merged.gguf: [0-9]+ of [0-9]+ tensors changed");
    String[] generate = {"generate", "-p", "the cat", "-n", "5", "--json", "-m"};
    assertThat(run(with(generate, merged)).json().get("tokens")).isNotEmpty();
    assertFails(run(merge), "merged.gguf: exists already");
  }

  @Test
  void adaptersAreExported() {
    String[] common = {"adapt", "export", ADAPTERS.resolve("lokr").toString(), "-o"};
    String lora = folder.resolve("lora").toString();
    JsonNode json = run(with(common, lora, "--rank", "2", "--json")).json();
    assertThat(json.get("error").doubleValue()).isBetween(0.1, 1.0);
    assertThat(json.get("parameters").intValue()).isEqualTo(2 * 2 * (44 + 60));
    assertThat(json.get("modules")).hasSize(4);
    assertThat(json.get("modules").get(0).get("terms").intValue()).isEqualTo(2);
    assertThat(json.get("modules").get(0).get("error").doubleValue()).isBetween(0.1, 1.0);
    assertThat(run("adapt", "info", lora).out()).contains("layers.1.up_proj");
    String embedding = ADAPTERS.resolve("lora-embedding").toString();
    assertThat(run("adapt", "info", embedding).out()).contains("2     2.500 embedding\n");
    assertFails(
        run("adapt", "export", embedding, "-o", folder.resolve("no").toString()),
        "module model.embed_tokens is the embedding, of which no adapter is written");
    String lokr = folder.resolve("lokr").toString();
    assertThat(run(with(common, lokr, "--to", "lokr")).out())
        .isEqualTo(lokr + ": 4 modules, 212 parameters, relative error 0.00\n");
    String converted = folder.resolve("converted").toString();
    String[] pissa = {"adapt", "export", ADAPTERS.resolve("pissa").toString(), "-o", converted};
    assertFails(run(pissa), "layers.0.q_proj is DoRA or PiSSA, which needs the model");
    String initial = ADAPTERS.resolve("pissa-initial").toString();
    assertThat(run(with(pissa, "--initial", initial)).out())
        .isEqualTo(converted + ": 4 modules, 1,008 parameters, relative error 0.00\n");
    assertFails(run(with(common, lora)), "lora: exists already");
    assertFails(run(with(common, lora, "--rank", "0")), "rank is 0");
    assertFails(run(with(common, lora, "--rank", "3", "--to", "lokr")), "is of lora only");
    assertFails(run(with(pissa, "--initial", initial, "-m", "gsm-mini")), "makes -m needless");
  }

  @Test
  void adaptersAreTrained() throws IOException {
    Path data = folder.resolve("data.jsonl");
    Files.writeString(data, "{\"question\": \"Ann?\", \"answer\": \"#### 7\"}\n".repeat(3));
    Path out = folder.resolve("trained.safetensors");
    Path svg = folder.resolve("loss.svg");
    Path checkpoint = folder.resolve("checkpoint");
    String[] common = {
      "adapt", "train", "-m", "gsm-mini-draft", "--data", data.toString(), "--steps", "60"
    };
    String[] soka =
        with(
            common,
            "--rank",
            "1",
            "--batch",
            "2",
            "--lr",
            "0.02",
            "-o",
            out.toString(),
            "--svg",
            svg.toString());
    JsonNode json = run(with(soka, "--json", "--checkpoint", checkpoint.toString())).json();
    assertThat(json.fieldNames())
        .toIterable()
        .containsExactly(
            "output", "method", "parameters", "ranks", "loss", "losses", "gradient_norms");
    assertThat(json.get("losses")).hasSize(60);
    assertThat(json.get("gradient_norms")).hasSize(60);
    assertThat(json.get("losses").get(59).doubleValue())
        .isLessThan(json.get("losses").get(0).doubleValue() / 2);
    assertThat(Files.readString(svg)).contains("</svg>");
    String[] eval = {"eval", "gsm-mini", "-m", "gsm-mini-draft", "--data", data.toString()};
    assertThat(run(eval).out()).startsWith("0 of 3 right");
    assertThat(run(with(eval, "--adapter", out.toString())).out()).startsWith("3 of 3 right");
    byte[] whole = Files.readAllBytes(out);
    assertThat(run(with(soka, "--resume", "--checkpoint", checkpoint.toString())).out())
        .containsPattern(": soka, 7 modules, [0-9,]+ parameters, 60 steps, loss [0-9.]+ at first");
    assertThat(Files.readAllBytes(out)).isEqualTo(whole);

    String lora = folder.resolve("lora").toString();
    String[] asLora = with(common, "--method", "lora", "-o", lora);
    assertFails(run(asLora), "lora needs a rank or a budget");
    assertFails(run(with(asLora, "--rank", "0")), "rank is '0', must be a number");
    assertFails(
        run(with(asLora, "--rank", "1", "--factors", "4x4")), "--factors are those of soka");
    assertFails(run(with(asLora, "--budget", "-1")), "budget is -1");
    assertFails(run(with(asLora, "--rank", "1", "--resume")), "--resume needs --checkpoint");
    assertFails(run(with(asLora, "--rank", "1", "--save-every", "0")), "save-every is 0");
    assertFails(run(with(asLora, "--rank", "1", "--lr", "NaN")), "learning rate is NaN");
    assertFails(run(with(asLora, "--rank", "1")), "batch is 8, there are 3 examples");
    assertFails(
        run(
            with(
                asLora,
                "--rank",
                "1",
                "--batch",
                "2",
                "--resume",
                "--checkpoint",
                checkpoint.toString())),
        "checkpoint of another training");
    assertThat(Path.of(lora)).doesNotExist();
    Files.createDirectory(Path.of(lora));
    assertFails(run(with(asLora, "--rank", "1")), "lora: exists already");
  }

  private static String[] with(String[] arguments, String... more) {
    return Stream.concat(Stream.of(arguments), Stream.of(more)).toArray(String[]::new);
  }

  @Test
  void adaptersAreDescribed() {
    JsonNode json =
        run("adapt", "info", ADAPTERS.resolve("lora-patterns").toString(), "--json").json();
    assertThat(json.get("modules")).hasSize(4);
    // Ranks 4, 4, 2, 4 of 20 x 24 and 36 x 24.
    assertThat(json.get("parameters").intValue()).isEqualTo(6 * 44 + 8 * 60);
    JsonNode module = json.get("modules").get(2);
    assertThat(module.get("name").textValue()).isEqualTo("layers.1.q_proj");
    assertThat(module.get("terms").intValue()).isEqualTo(2);
    assertThat(module.get("u").toString()).isEqualTo("[20,1]");
    assertThat(module.get("v").toString()).isEqualTo("[1,24]");
    assertThat(module.get("scale").floatValue()).isEqualTo((float) (6 / Math.sqrt(2)));
    assertThat(run("adapt", "info", ADAPTERS.resolve("lokr").toString()).out())
        .containsPattern("layers.0.q_proj +20 x 24 +4 x 4 +5 x 6 +1 +0.5000\n")
        .containsPattern("4 modules, 212 parameters when applied, [0-9,]+ bytes\n");
    assertFails(run("adapt", "info", folder.toString()), "adapter_config.json: no such file");
  }
}

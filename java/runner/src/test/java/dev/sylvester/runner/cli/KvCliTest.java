package dev.sylvester.runner.cli;

import static dev.sylvester.runner.cli.Cli.assertFails;
import static dev.sylvester.runner.cli.Cli.run;
import static dev.sylvester.runner.cli.Cli.runWith;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.sylvester.runner.cli.Cli.Run;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Packed caches on the command line. */
class KvCliTest {
  private static final String QUESTION =
      "Iris has 32 kites. Then Iris doubles the number of kites. How many kites does Iris have"
          + " now?";
  private static final String PROBLEM =
      "{\"question\":\"Ann has 3 coins. Ann finds 2 more. How many coins does Ann have now?\","
          + "\"answer\":\"After finding 2, Ann has 3+2=5. #### 5\"}\n";

  @TempDir private Path folder;

  private Path text;

  @BeforeEach
  void write() throws IOException {
    text = Files.writeString(folder.resolve("text"), (QUESTION + " ").repeat(40));
  }

  @Test
  void tellsHowKeysAndValuesAreKept() {
    JsonNode json =
        run("generate", "-p", QUESTION, "--json", "--kv", "quarot", "--kv-bits", "4").json();
    assertThat(json.get("text").textValue()).endsWith("#### 64");
    JsonNode kv = json.get("kv");
    assertThat(kv.fieldNames())
        .toIterable()
        .containsExactly(
            "preset",
            "bytes_per_token",
            "effective_bits_k",
            "effective_bits_v",
            "ratio_vs_f16",
            "sink_tokens",
            "codes_bytes",
            "params_bytes",
            "total_bytes");
    assertThat(kv.get("preset").textValue()).isEqualTo("quarot");
    // 4 bits, and 16 for each head of 64.
    assertThat(kv.get("effective_bits_k").doubleValue()).isEqualTo(4.25);
    assertThat(kv.get("effective_bits_v").doubleValue()).isEqualTo(4.25);
    assertThat(kv.get("bytes_per_token").intValue()).isEqualTo(680);
    assertThat(json.get("kv_bytes_per_token").intValue()).isEqualTo(680);

    JsonNode f16 = run("generate", "-p", QUESTION, "--json", "-n", "2").json().get("kv");
    assertThat(f16.get("preset").textValue()).isEqualTo("f16");
    assertThat(f16.get("effective_bits_k").doubleValue()).isEqualTo(16);
    assertThat(f16.get("ratio_vs_f16").doubleValue()).isEqualTo(1);
  }

  @Test
  void plansAreMadeAndUsed() throws IOException {
    Path problems = Files.writeString(folder.resolve("train.jsonl"), PROBLEM.repeat(10));
    String plan = folder.resolve("plan").toString();
    for (Path file : List.of(problems, text)) {
      Run made =
          run("calibrate", "-m", "gsm-mini", "-f", file.toString(), "--kv-bits", "4", "-o", plan);
      assertThat(made.err()).isEmpty();
      assertThat(made.out()).startsWith(plan + ": best-4, keys of 4.").endsWith("bytes/token\n");
      JsonNode json = run("generate", "-p", QUESTION, "--json", "--kv-plan", plan).json();
      assertThat(json.get("text").textValue()).endsWith("#### 64");
      assertThat(json.get("kv").get("preset").textValue()).isEqualTo("plan");
    }
    String diffusion = folder.resolve("diffusion").toString();
    String[] calibrate = {"calibrate", "-m", "gsm-mini-diffusion", "-f", problems.toString()};
    assertThat(run(with(calibrate, "-o", diffusion)).out())
        .startsWith(diffusion + ": best, keys of 2.65 bits, values of 2.25");
    String[] fill = {"generate", "-m", "gsm-mini-diffusion", "-p", QUESTION, "--gen-length", "32"};
    assertThat(run(with(fill, "--cache", "prefix", "--kv-plan", diffusion)).out()).contains("####");
    // Another geometry, and a damaged file.
    assertFails(run("generate", "-p", "x", "-m", "gsm-mini-draft", "--kv-plan", plan), "plan: ");
    byte[] bytes = Files.readAllBytes(folder.resolve("plan"));
    bytes[bytes.length / 2] ^= 1;
    Files.write(folder.resolve("plan"), bytes);
    assertFails(run("generate", "-p", "x", "--kv-plan", plan), "plan: ");
  }

  @Test
  void calibrationNeedsEnoughOfTheRightText() {
    String plan = folder.resolve("plan").toString();
    String[] arguments = {"calibrate", "-m", "gsm-mini", "-f", text.toString(), "-o", plan};
    assertFails(run(with(arguments, "--max-tokens", "255")), "256");
    assertFails(run(with(arguments, "--max-tokens", "0")), "max tokens is 0");
    assertFails(run(with(arguments, "--kv", "q8")), "q8 needs no calibration");
    assertFails(run(with(arguments, "--kv", "f16")), "must be one of best");
    assertThat(folder.resolve("plan")).doesNotExist();
  }

  private static String[] with(String[] arguments, String... more) {
    return Stream.concat(Stream.of(arguments), Stream.of(more)).toArray(String[]::new);
  }

  @Test
  void aModelWithoutAPlanIsTold() {
    assertFails(
        run("generate", "-p", "x", "-m", "gsm-mini-draft", "--kv", "best"), "sylvester calibrate");
  }

  @Test
  void chatsGoOn() {
    String file = folder.resolve("chat").toString();
    String whole = runWith(QUESTION + "\n" + QUESTION + "\n", "chat", "--kv", "q8").out();
    Run first = runWith(QUESTION + "\n", "chat", "--kv", "q8", "--save", file);
    assertThat(first.err()).isEmpty();
    Run second = runWith(QUESTION + "\n", "chat", "--resume", file, "--save", file);
    assertThat(second.err()).isEmpty();
    assertThat(answers(first.out() + second.out())).isEqualTo(answers(whole)).hasSize(2);
    assertFails(runWith("", "chat", "--resume", file, "--kv", "q8"), "brings its own kind");
    assertFails(runWith("", "chat", "--resume", file, "--system", "x"), "brings its own --system");
    assertFails(runWith("", "chat", "--resume", file, "-m", "gsm-mini-draft"), "another model");
    assertFails(runWith("", "chat", "--resume", text.toString()), "is not a saved session");
    assertFails(runWith("", "chat", "--save", file), "--save needs a packed cache");
  }

  private static List<String> answers(String out) {
    return out.lines().filter(line -> line.startsWith("> ") && line.length() > 2).toList();
  }

  @Test
  void comparesKinds() throws IOException {
    Path svg = folder.resolve("plot.svg");
    String[] arguments = {
      "eval",
      "kv",
      "-f",
      text.toString(),
      "--context",
      "64",
      "--presets",
      "q8,turbo-2",
      "--json",
      "--svg",
      svg.toString()
    };
    JsonNode rows = run(arguments).json().get("rows");
    assertThat(rows.findValuesAsText("cache")).containsExactly("f16", "q8", "turbo-2");
    JsonNode perplexity =
        run("perplexity", "-f", text.toString(), "--context", "64", "--json").json();
    for (String field : List.of("perplexity", "nll", "tokens")) {
      assertThat(rows.get(0).get(field)).isEqualTo(perplexity.get(field));
    }
    assertThat(rows.get(0).get("kl").doubleValue()).isZero();
    assertThat(rows.get(1).get("kl").doubleValue()).isBetween(1e-9, 0.02);
    assertThat(rows.get(2).get("kl").doubleValue())
        .isGreaterThan(10 * rows.get(1).get("kl").doubleValue());
    assertThat(rows.get(2).get("kv").get("effective_bits_k").doubleValue()).isEqualTo(2.25);
    assertThat(rows.get(2).get("decode_tok_s").doubleValue()).isPositive();
    assertThat(Files.readString(svg).contains("</svg>")).isTrue();
    assertThat(run("eval", "kv", "-f", text.toString(), "--context", "64", "--presets", "q4").out())
        .containsPattern("q4 +[0-9.]+ +[0-9.]+ +4.50 +4.50 +720 +[0-9.]+\n");
    assertFails(run("eval", "kv", "-f", text.toString(), "--presets", "q4-x"), "NAME-BITS");
  }

  @Test
  void bitsAreChosenForTheModel() {
    Run run = run("generate", "-p", QUESTION, "--json", "--kv", "auto");
    assertThat(run.err()).matches("auto: .*; mean divergence from f16 0.0[0-9]+, at most 0.03\n");
    assertThat(run.out()).contains("#### 64", "\"preset\":\"auto\"");
  }

  @Test
  void plansComeWithTheModel() {
    for (String kind : List.of("best", "rotatekv")) {
      for (String bits : List.of("2", "3", "4")) {
        JsonNode json =
            run("generate", "-p", QUESTION, "--json", "--kv", kind, "--kv-bits", bits).json();
        JsonNode kv = json.get("kv");
        assertThat(kv.get("preset").textValue()).isEqualTo(kind);
        assertThat(kv.get("effective_bits_v").doubleValue() - Integer.parseInt(bits))
            .isBetween(0.1, 0.5);
        assertThat(kv.get("sink_tokens").intValue()).isPositive();
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"f16", "q8", "best"})
  void samplesShareTheirPrompt(String kind) throws IOException {
    String[] common = {
      "generate", "-p", QUESTION, "--json", "--kv", kind, "--temperature", "4", "-n", "12"
    };
    Run run = run(with(common, "--samples", "3", "--seed", "5"));
    assertThat(run.err()).isEmpty();
    List<String> lines = run.out().lines().toList();
    assertThat(lines).hasSize(3);
    for (int i = 0; i < 3; i++) {
      JsonNode alone = run(with(common, "--seed", Integer.toString(5 + i))).json();
      JsonNode sample = new ObjectMapper().readTree(lines.get(i));
      assertThat(sample.get("tokens")).isEqualTo(alone.get("tokens"));
    }
    assertFails(run(with(common, "--samples", "0")), "samples is 0");
  }
}

package dev.sylvester.runner.cli;

import static dev.sylvester.runner.cli.Cli.assertFails;
import static dev.sylvester.runner.cli.Cli.run;
import static dev.sylvester.runner.cli.Cli.runWith;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.sylvester.runner.cli.Cli.Run;
import dev.sylvester.runner.hub.Catalog;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Speculation on the command line. */
class SpecCliTest {
  private static final String QUESTION =
      "Iris has 32 kites. Then Iris doubles the number of kites. How many kites does Iris have"
          + " now?";
  private static final String STRANGER =
      Path.of(System.getProperty("sylvester.root"), "tests/golden/checkpoints/llama-gqa-f16")
          .toString();

  @TempDir private Path folder;

  private static Run generate(String... more) {
    String[] arguments = {"generate", "-p", QUESTION, "--threads", "1"};
    return run(Stream.of(arguments, more).flatMap(Stream::of).toArray(String[]::new));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "gsm-mini-draft",
        "gsm-mini-draft --draft-len 3",
        "gsm-mini-draft --spec greedy",
        "gsm-mini-draft --spec block --draft-len auto",
        "gsm-mini-draft --kv best",
        "gsm-mini-draft --kv q4 --tree 3,2,1",
        "gsm-mini-draft --spec token --tree grow:10",
        "ngram",
        "ngram+gsm-mini-draft",
        "skip:3 --kv best"
      })
  void theTextIsThatWithoutADraft(String draft) {
    String cache = draft.contains("--kv") ? draft.replaceAll(".*--kv (\\S+).*", "$1") : "f16";
    JsonNode plain = generate("--json", "--kv", cache).json();
    JsonNode json = generate(("--json --draft " + draft).split(" ")).json();
    for (String field : List.of("text", "tokens", "prompt_tokens", "stop_reason", "kv")) {
      assertThat(json.get(field)).as(field).isEqualTo(plain.get(field));
    }
    assertThat(plain.has("spec")).isFalse();
    JsonNode spec = json.get("spec");
    assertThat(spec.fieldNames())
        .toIterable()
        .containsExactly(
            "rounds",
            "drafted",
            "accepted",
            "emitted",
            "tokens_per_pass",
            "acceptance_rate",
            "length_histogram",
            "discard_rate",
            "t_draft_ms",
            "t_target_ms",
            "speedup_estimate");
    long rounds = spec.get("rounds").longValue();
    long drafted = spec.get("drafted").longValue();
    long accepted = spec.get("accepted").longValue();
    // The end token counts.
    long emitted = json.get("tokens").size() + 1;
    assertThat(spec.get("emitted").longValue()).isEqualTo(emitted);
    assertThat(spec.get("tokens_per_pass").doubleValue()).isEqualTo((double) emitted / rounds);
    assertThat(accepted).isBetween(emitted - rounds, drafted);
    long counted = 0;
    long candidates = 0;
    for (int length = 0; length < spec.get("length_histogram").size(); length++) {
      counted += spec.get("length_histogram").get(length).longValue();
      candidates += length * spec.get("length_histogram").get(length).longValue();
    }
    assertThat(counted).isEqualTo(rounds);
    assertThat(candidates).isEqualTo(drafted);
    if (drafted > 0) {
      assertThat(spec.get("acceptance_rate").doubleValue()).isEqualTo((double) accepted / drafted);
      assertThat(spec.get("discard_rate").doubleValue())
          .isEqualTo((double) (drafted - accepted) / emitted);
      assertThat(spec.get("t_draft_ms").doubleValue()).isPositive();
    }
    assertThat(spec.get("t_target_ms").doubleValue()).isPositive();
  }

  @Test
  void aSeedsTextStays() {
    String[] sampled = {"--json", "--temperature", "1.2", "--top-p", "0.9", "--seed", "3"};
    JsonNode plain = generate(sampled).json();
    String[] exact =
        Stream.concat(Stream.of(sampled), Stream.of("--draft", "gsm-mini-draft"))
            .toArray(String[]::new);
    assertThat(generate(exact).json().get("tokens")).isEqualTo(plain.get("tokens"));
  }

  @Test
  void samplesAndNothing() throws IOException {
    String[] common = {"--json", "--temperature", "1", "-n", "20", "--samples", "3"};
    Run plain = generate(common);
    Run drafted =
        generate(
            Stream.concat(Stream.of(common), Stream.of("--draft", "gsm-mini-draft"))
                .toArray(String[]::new));
    List<String> lines = drafted.out().lines().toList();
    assertThat(lines).hasSize(3);
    ObjectMapper mapper = new ObjectMapper();
    for (int i = 0; i < 3; i++) {
      JsonNode want = mapper.readTree(plain.out().lines().toList().get(i));
      assertThat(mapper.readTree(lines.get(i)).get("tokens")).isEqualTo(want.get("tokens"));
    }
    JsonNode none = generate("--json", "-n", "0", "--draft", "ngram").json().get("spec");
    assertThat(none.get("rounds").longValue()).isZero();
    assertThat(none.get("tokens_per_pass").isNull()).isTrue();
    assertThat(none.get("speedup_estimate").isNull()).isTrue();
  }

  @Test
  void tellsHowItWent() {
    Run run = generate("--draft", "gsm-mini-draft", "--draft-len", "4", "--stop", "####");
    assertThat(run.err()).isEmpty();
    assertThat(run.out())
        .containsPattern("[0-9.]+ tokens a pass, [0-9]+ % of [0-9]+ candidates accepted\n")
        .doesNotContain("####");
    String talk = QUESTION + "\n" + QUESTION + "\n";
    Run plain = runWith(talk, "chat", "--threads", "1");
    Run chat = runWith(talk, "chat", "--threads", "1", "--draft", "skip:2");
    assertThat(chat.err()).isEmpty();
    assertThat(answers(chat)).isEqualTo(answers(plain)).hasSize(2);
    assertThat(chat.out()).containsPattern("bytes/token; [0-9.]+ tokens a pass");
  }

  private static List<String> answers(Run run) {
    return run.out().lines().filter(line -> line.startsWith("> ") && line.length() > 2).toList();
  }

  @Test
  void wrongCombinationsAreTold() {
    assertFails(generate("--spec", "token"), "--spec needs a --draft");
    assertFails(generate("--draft-len", "3"), "--draft-len needs a --draft");
    assertFails(generate("--accept-head", "x"), "--accept-head needs a --draft");
    assertFails(generate("--tree", "2,2"), "--tree needs a --draft");
    assertFails(generate("--draft", "nothing"), "no model 'nothing'");
    assertFails(generate("--draft", STRANGER), "it lacks its token");
    assertFails(generate("--draft", "gsm-mini-diffusion"), "bidirectional");
    assertFails(generate("--draft", "ngram", "--spec", "maybe"), "--spec");
    assertFails(
        generate("--draft", "ngram", "--spec", "greedy", "--temperature", "1"),
        "it needs --temperature 0, not 1.0");
    for (String length : new String[] {"0", "256", "-1", "many"}) {
      assertFails(
          generate("--draft", "ngram", "--draft-len=" + length),
          "draft length is '" + length + "', must be 1..255 or auto");
    }
    assertFails(generate("--draft", "skip:5"), "layers is 5, must be 1..4");
    assertFails(generate("--draft", "skip:x"), "draft is 'skip:x'");
    assertFails(generate("--draft", "ngram", "--tree", "2"), "not for ngram");
    assertFails(generate("--draft", "skip:1", "--tree", "2"), "not for skip:1");
    assertFails(generate("--draft", "ngram", "--accept-head", "x"), "not for ngram");
    String draft = "gsm-mini-draft";
    assertFails(generate("--draft", draft, "--tree", "2", "--draft-len", "2"), "--tree says");
    assertFails(generate("--draft", draft, "--tree", "2", "--spec", "block"), "is for chains");
    assertFails(generate("--draft", draft, "--tree", "2", "--accept-head", "x"), "is for chains");
    assertFails(generate("--draft", draft, "--tree", "2,x"), "tree is '2,x'");
    assertFails(generate("--draft", draft, "--tree", "grow:"), "tree is 'grow:'");
    assertFails(generate("--draft", draft, "--tree", "grow:256"), "candidates is 256");
    assertFails(generate("--draft", draft, "--tree", "16,16"), "more than 255 candidates");
    assertFails(generate("--draft", draft, "--tree", "2,0"), "children is 0");
    assertFails(generate("--draft", draft, "--accept-head", "x"), "x");
  }

  @Test
  void aHeadMustFit() throws IOException {
    Path head = folder.resolve("head.safetensors");
    Path shipped = Catalog.resolve("gsm-mini-draft");
    Files.copy(shipped.resolve("accept-head.safetensors"), head);
    JsonNode json =
        generate("--draft", "gsm-mini-draft", "--accept-head", head.toString(), "--json").json();
    assertThat(json.get("text").textValue()).endsWith("#### 64");
    assertFails(
        generate("--draft", "gsm-mini", "--accept-head", head.toString()),
        "is a head of width 96, the hidden states of");
    Files.writeString(head, "no head");
    assertFails(
        generate("--draft", "gsm-mini-draft", "--accept-head", head.toString()),
        "head.safetensors");
  }

  @Test
  void comparesRules() throws IOException {
    String prefix = folder.resolve("plot").toString();
    String[] common = {
      "eval",
      "spec",
      "--draft",
      "gsm-mini-draft",
      "--threads",
      "1",
      "--limit",
      "3",
      "--lengths",
      "2,5",
      "--thresholds",
      "0.5",
      "--rules",
      "cost,heuristic"
    };
    String[] more = {"--json", "--svg", prefix, "--temperature", "1", "--modes", "exact,block"};
    JsonNode json =
        run(Stream.concat(Stream.of(common), Stream.of(more)).toArray(String[]::new)).json();
    assertThat(json.get("plain_tok_s").doubleValue()).isPositive();
    JsonNode rows = json.get("rows");
    assertThat(rows.findValuesAsText("rule"))
        .containsExactly(
            "K=2", "K=5", "h=0.5", "cost", "heuristic", "K=2", "K=5", "h=0.5", "cost", "heuristic");
    for (JsonNode row : rows) {
      assertThat(row.get("decode_tok_s").doubleValue()).isPositive();
      JsonNode differing = row.get("differing");
      if (row.get("mode").textValue().equals("exact")) {
        assertThat(differing.intValue()).isZero();
      } else {
        assertThat(differing.isNull()).isTrue();
      }
    }
    JsonNode two = rows.get(0);
    assertThat(two.get("alpha").doubleValue()).isBetween(0.3, 1.0);
    assertThat(two.get("bound").doubleValue()).isPositive();
    double verify = two.get("verify_rate").doubleValue();
    assertThat(verify * two.get("spec").get("tokens_per_pass").doubleValue())
        .isBetween(0.999999, 1.000001);
    for (String name : List.of("plane", "speed")) {
      assertThat(Files.readString(Path.of(prefix + "-" + name + ".svg"))).contains("</svg>");
    }
    Run table = run(common);
    assertThat(table.err()).isEmpty();
    assertThat(table.out())
        .containsPattern("exact +K=2 +[0-9.]+ +[0-9.]+ +[0-9.]+ .* 0\n")
        .containsPattern(
            "constant K [0-9.]+ \\(the paper: 2.07\\), h [0-9.]+ \\(the paper: 2.26\\)");
    assertFails(run("eval", "spec", "--draft", "ngram", "--limit", "0"), "limit is 0");
    assertFails(run("eval", "spec", "--draft", "ngram", "--rules", "x"), "rule is 'x'");
    assertFails(run("eval", "spec", "--draft", "ngram", "--lengths", "0"), "lengths are 1..0");
  }
}

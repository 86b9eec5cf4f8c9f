package dev.sylvester.runner.cli;

import static dev.sylvester.runner.cli.Cli.assertFails;
import static dev.sylvester.runner.cli.Cli.run;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DiffusionCliTest {
  private static final String QUESTION =
      "Iris has 32 kites. Iris buys 4 more. How many kites does Iris have now?";

  private static Cli.Run generate(String... arguments) {
    List<String> all =
        new ArrayList<>(List.of("generate", "-m", "gsm-mini-diffusion", "-p", QUESTION));
    all.addAll(List.of(arguments));
    return run(all.toArray(String[]::new));
  }

  @Test
  void solvesAProblem() {
    JsonNode json = generate("--gen-length", "32", "--json").json();
    assertThat(json.get("text").textValue()).endsWith("#### 36");
    assertThat(json.get("stop_reason").textValue()).isEqualTo("eos");
    JsonNode diffusion = json.get("diffusion");
    assertThat(diffusion.fieldNames())
        .toIterable()
        .containsExactly(
            "steps",
            "forward_passes",
            "rows_computed",
            "rows_predicted",
            "edits",
            "committed_at",
            "stopped_by",
            "stop_step");
    assertThat(diffusion.get("forward_passes").intValue()).isEqualTo(32);
    assertThat(diffusion.get("committed_at")).hasSize(32);
    assertThat(diffusion.get("stopped_by").textValue()).isEqualTo("none");
    assertThat(generate("--gen-length", "32", "--steps", "16", "--stop", "eos").out())
        .matches("After buying .*\n\\d+ passes in \\d+ steps, [0-9.]+ tok/s, stopped by eos\n");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "margin",
        "entropy",
        "random",
        "origin",
        "threshold:0.8",
        "factor",
        "entropy-bound:0.5",
        "local-leap",
        "wino:0.7,0.2",
        "joint-threshold:0.7,0.9,2"
      })
  void knowsEveryRule(String rule) {
    String[] arguments = {
      "--gen-length",
      "16",
      "--block",
      "8",
      "--steps",
      "4",
      "--commit",
      rule,
      "--cache",
      "dual",
      "--stop",
      "prophet:9,9,9",
      "--answer",
      "8+4",
      "--json"
    };
    JsonNode json = generate(arguments).json();
    assertThat(json.get("diffusion").get("committed_at"))
        .allSatisfy(step -> assertThat(step.intValue()).isNotNegative());
  }

  /** The rule does not look at confidences, so that only proposals can differ. */
  private static String filtered(String... sampling) {
    List<String> all =
        new ArrayList<>(List.of("--gen-length", "16", "--steps", "4", "--commit", "origin"));
    all.add("--json");
    all.addAll(List.of(sampling));
    return generate(all.toArray(String[]::new)).json().get("tokens").toString();
  }

  @Test
  void filtersComeBeforeTheProposal() {
    String best = filtered();
    assertThat(filtered("--temperature", "5")).isNotEqualTo(best);
    assertThat(filtered("--temperature", "5", "--top-k", "1")).isEqualTo(best);
    assertThat(filtered("--temperature", "5", "--top-p", "1e-6")).isEqualTo(best);
  }

  @Test
  void delaysTheCache() {
    String[] arguments = {"--gen-length", "16", "--steps", "8", "--json", "--cache"};
    JsonNode none = fill(arguments, "none");
    assertThat(fill(arguments, "delayed:1").get("rows_computed"))
        .isEqualTo(none.get("rows_computed"));
    assertThat(fill(arguments, "delayed:1").get("committed_at"))
        .isEqualTo(none.get("committed_at"));
    assertThat(fill(arguments, "delayed").get("rows_computed").intValue())
        .isLessThan(none.get("rows_computed").intValue() / 2);
  }

  @Test
  void packsThePrefix() {
    String[] arguments = {"--gen-length", "32", "--json", "--cache", "prefix", "--kv", "best"};
    for (String bits : List.of("2", "3", "4")) {
      List<String> all = new ArrayList<>(List.of(arguments));
      all.addAll(List.of("--kv-bits", bits));
      JsonNode json = generate(all.toArray(String[]::new)).json();
      assertThat(json.get("text").textValue()).endsWith("#### 36");
      assertThat(json.get("kv_bytes_per_token").intValue()).isLessThan(1000);
    }
    assertFails(
        generate("--cache", "dual", "--kv", "q8"), "cache is dual, must be none or prefix: packed");
    assertFails(generate("--kv", "auto"), "auto would measure");
    assertThat(
            run("eval", "diffusion", "--limit", "2", "--ways", "threshold:0.9/prefix/kv=best-3")
                .out())
        .contains("threshold:0.9/prefix/kv=best-3");
    assertFails(
        run("eval", "diffusion", "--limit", "2", "--ways", "threshold:0.9/kv=best-x"), "NAME-BITS");
  }

  private static JsonNode fill(String[] arguments, String cache) {
    List<String> all = new ArrayList<>(List.of(arguments));
    all.add(cache);
    return generate(all.toArray(String[]::new)).json().get("diffusion");
  }

  @Test
  void showsTheCanvas() {
    String[] lines =
        generate("--gen-length", "8", "--block", "8", "--steps", "4", "--show").out().split("\n");
    assertThat(lines).hasSize(5);
    assertThat(lines[0]).contains("·");
    assertThat(lines[3]).doesNotContain("·");
    assertThat(lines[4]).startsWith("4 passes in 4 steps");
  }

  @Test
  void votes() {
    JsonNode diffusion =
        generate(
                "--gen-length",
                "16",
                "--steps",
                "4",
                "--commit",
                "threshold:0.5",
                "--hex",
                "--json")
            .json()
            .get("diffusion");
    assertThat(diffusion.get("planned_paths").intValue()).isEqualTo(10);
    assertThat(diffusion.get("paths").intValue()).isBetween(1, 10);
    assertThat(diffusion.get("votes").isObject()).isTrue();
  }

  @Test
  void comparesWays(@TempDir Path folder) throws IOException {
    Path svg = folder.resolve("a.svg");
    String[] arguments = {
      "eval",
      "diffusion",
      "--limit",
      "2",
      "--ways",
      "low-confidence/steps=4,threshold:0.5/dual/eos,local-leap:0.8,0.6,3/block=32/prophet:9,9,9,"
          + "threshold:0/length=96/hex=2,joint-threshold:0,1,3/delayed:4,"
          + "threshold:0/hex=2:16+64/all/together=1",
      "--json",
      "--svg",
      svg.toString()
    };
    JsonNode rows = run(arguments).json().get("rows");
    assertThat(rows.findValuesAsText("way"))
        .containsExactly(
            "low-confidence/steps=4",
            "threshold:0.5/dual/eos",
            "local-leap:0.8,0.6,3/block=32/prophet:9,9,9",
            "threshold:0/length=96/hex=2",
            "joint-threshold:0,1,3/delayed:4",
            "threshold:0/hex=2:16+64/all/together=1");
    assertThat(rows.get(0).get("passes").doubleValue()).isEqualTo(4);
    assertThat(rows.get(0).get("problems").intValue()).isEqualTo(2);
    // A pass for each block of 8, 16 or 32, twice, unless the vote is decided before.
    assertThat(rows.get(3).get("passes").doubleValue()).isBetween(4 * 3.0, 2 * (12 + 6 + 3.0));
    // Four blocks, filled at once, in which a second pass finds nothing to edit.
    assertThat(rows.get(4).get("passes").doubleValue()).isEqualTo(8);
    // Two canvases of four blocks and two of one.
    assertThat(rows.get(5).get("passes").doubleValue()).isEqualTo(10);
    assertThat(svg).content().contains("<svg");
    String[] early = {
      "eval",
      "diffusion",
      "--data",
      Path.of(System.getProperty("sylvester.root"), "models/gsm-mini/train.jsonl").toString(),
      "--limit",
      "1",
      "--ways",
      "low-confidence/steps=8",
      "--emergence",
      svg.toString(),
      "--json"
    };
    JsonNode shares = run(early).json().get("shares");
    assertThat(shares).hasSize(9);
    assertThat(shares.get(8).doubleValue()).isEqualTo(shares.get(7).doubleValue());
    assertFails(run("eval", "diffusion", "--limit", "0"), "limit is 0");
    early[7] = "joint-threshold";
    assertFails(
        run(early), "way is 'joint-threshold', but --emergence needs one canvas and a rule");
    assertFails(
        run("eval", "diffusion", "--ways", "margin/all", "--limit", "1"), "all and together say");
    assertFails(run("eval", "diffusion", "--ways", "margin/x", "--limit", "1"), "stop is 'x'");
  }

  @Test
  void keepsConstraints() {
    JsonNode json =
        generate(
                "--gen-length",
                "16",
                "--steps",
                "2",
                "--block",
                "0",
                "--constraint",
                "4:#### ",
                "--stop",
                "prophet-linear:0,0",
                "--json")
            .json();
    assertThat(json.get("diffusion").get("stopped_by").textValue()).isEqualTo("prophet");
    assertThat(json.get("diffusion").get("stop_step").intValue()).isZero();
    assertThat(json.get("diffusion").get("committed_at").get(4).intValue()).isEqualTo(-1);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "-n 9",
        "--samples 2",
        "--draft gsm-mini-draft",
        "--spec greedy",
        "--draft-len 3",
        "--accept-head file",
        "--tree 2,1"
      })
  void refusesWhatOnlyOtherModelsKnow(String options) {
    assertFails(generate(options.split(" ")), "is a diffusion model: --max-tokens, --samples, ");
  }

  @Test
  void refusesWhatWouldBeIgnored() {
    assertFails(generate("--hex", "--block", "8"), "--block and --show are of no use");
    assertFails(generate("--hex", "--show"), "--block and --show are of no use");
    assertFails(generate("--show", "--json"), "--show and --json exclude each other");
    assertFails(generate("--answer", "8+4"), "--answer '8+4' needs a --stop prophet");
    assertFails(
        generate("--answer", "8+4", "--stop", "sched"), "--answer '8+4' needs a --stop prophet");
  }

  @Test
  void refusesWhatMakesNoSense() {
    assertFails(generate("--block", "7"), "block is 7, must divide the generation length 64");
    assertFails(generate("--steps", "63"), "steps is 63, must be a multiple of the 4 blocks");
    assertFails(generate("--commit", "best"), "commit is 'best', must be low-confidence,");
    assertFails(generate("--commit", "threshold:x"), "must be NAME or NAME:NUMBERS");
    assertFails(generate("--commit", "margin:1"), "must have 0 numbers");
    assertFails(generate("--commit", "local-leap:0.9,0.7,1.5"), "must be a whole number");
    assertFails(generate("--commit", "joint-threshold:0.9,0.7,1.5"), "its edit passes must be a");
    assertFails(generate("--cache", "best"), "cache is 'best', must be none, prefix, dual or");
    assertFails(generate("--cache", "delayed:0"), "interval is 0, must be at least 1");
    assertFails(generate("--cache", "dual:2"), "must have 0 numbers");
    assertFails(generate("--stop", "prophet:1e999,1,1"), "is Infinity, must be finite");
    assertFails(generate("--stop", "never"), "stop is 'never', must be prophet");
    assertFails(generate("--stop", "eos", "--stop", "none"), "--stop of a diffusion model is one");
    assertFails(generate("--answer", "x", "--stop", "prophet"), "answer is 'x', must be OFFSET+");
    assertFails(
        generate("--answer", "62+5", "--stop", "prophet"),
        "the answer region is at 62..66, the generated part at 0..63");
    assertFails(generate("--constraint", "x"), "constraint is 'x', must be OFFSET:TEXT");
    assertFails(generate("--gen-length", "0"), "generation length is 0");
    assertFails(generate("--cfg", "-1"), "guidance is -1.0");
    assertFails(generate("--min-p", "0.1"), "knows no --min-p");
    assertFails(generate("--top-k", "-1"), "top-k is -1");
    assertFails(generate("--top-p", "0"), "top-p is 0.0");
    assertFails(generate("--top-k", "3", "--commit", "wino:0.6,0.9"), "top-k 3 and top-p 1.0");
    assertFails(generate("--gen-length", "512"), "the context holds 512");
    assertFails(generate("--precision", "f16"), "Invalid value for option '--precision'");
  }

  /**
   * Logits of 32 bits decide as they do in 64; rounded to bfloat16 some probabilities are equal.
   */
  @Test
  void computesAsReferencesDo() {
    String[] plain = {"--gen-length", "32", "--json"};
    String[] precise = {"--gen-length", "32", "--json", "--precision", "f64"};
    String[] rounded = {"--gen-length", "32", "--json", "--precision", "bf16_ref"};
    JsonNode want = generate(plain).json();
    assertThat(generate(precise).json().get("diffusion").get("committed_at"))
        .isEqualTo(want.get("diffusion").get("committed_at"));
    JsonNode other = generate(rounded).json();
    assertThat(other.get("diffusion").get("committed_at"))
        .hasSize(32)
        .isNotEqualTo(want.get("diffusion").get("committed_at"));
  }
}

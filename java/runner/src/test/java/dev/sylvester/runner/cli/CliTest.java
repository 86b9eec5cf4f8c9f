package dev.sylvester.runner.cli;

import static dev.sylvester.runner.cli.Cli.assertFails;
import static dev.sylvester.runner.cli.Cli.run;
import static dev.sylvester.runner.cli.Cli.runWith;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.sylvester.runner.cli.Cli.Run;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class CliTest {
  private static final String QUESTION =
      "Iris has 32 kites. Then Iris doubles the number of kites. How many kites does Iris have"
          + " now?";

  @TempDir private Path folder;

  static Stream<List<String>> mistakes() {
    return Stream.of(
        List.of("unknown command or argument 'bogus'", "bogus"),
        List.of("--bogus", "generate", "-p", "x", "--bogus"),
        List.of("--prompt", "generate"),
        List.of("the prompt is empty", "generate", "-p", ""),
        List.of("the prompt is empty", "generate", "--raw", "-p", ""),
        List.of("no model 'nowhere'", "generate", "-p", "x", "-m", "nowhere"),
        List.of("no model 'nowhere'", "info", "-m", "nowhere"),
        List.of("no model 'nowhere'", "chat", "-m", "nowhere"),
        List.of("no model 'nowhere'", "bench", "generate", "-m", "nowhere"),
        List.of("'hot' is not a float", "generate", "-p", "x", "--temperature", "hot"),
        List.of("temperature is -1.0", "generate", "-p", "x", "--temperature=-1"),
        List.of("temperature is NaN", "generate", "-p", "x", "--temperature=NaN"),
        List.of("top-p is 0.0", "generate", "-p", "x", "--top-p", "0"),
        List.of("top-p is 1.5", "generate", "-p", "x", "--top-p", "1.5"),
        List.of("min-p is 2.0", "generate", "-p", "x", "--min-p", "2"),
        List.of("top-k is -1.0", "generate", "-p", "x", "--top-k=-1"),
        List.of("max tokens is -3", "generate", "-p", "x", "-n", "-3"),
        List.of("threads is 0", "generate", "-p", "x", "--threads", "0"),
        List.of("threads is 1000", "generate", "-p", "x", "--threads", "1000"),
        List.of("context is 0", "generate", "-p", "x", "--context", "0"),
        List.of("at most 512 tokens", "generate", "-p", "x", "--context", "513"),
        List.of("cache is 'q2'", "generate", "-p", "x", "--kv", "q2"),
        List.of("cache bits is 5", "generate", "-p", "x", "--kv", "best", "--kv-bits", "5"),
        List.of("f16 has its own", "generate", "-p", "x", "--kv-bits", "4"),
        List.of("says all", "generate", "-p", "x", "--kv", "q4", "--kv-plan", "p"),
        List.of("p: no such file", "generate", "-p", "x", "--kv-plan", "p"),
        List.of(
            "needs a model that predicts the next token",
            "perplexity",
            "-f",
            "pom.xml",
            "-m",
            "gsm-mini-diffusion",
            "--kv",
            "q4"),
        List.of("stop string is empty", "generate", "-p", "x", "--stop", ""),
        List.of("exclude each other", "generate", "-p", "x", "--chat", "--raw"),
        List.of("the context holds 3", "generate", "-p", "one two three four", "--context", "3"),
        List.of("is no diffusion model", "generate", "-p", "x", "--steps", "4"),
        List.of("bidirectional", "perplexity", "-m", "gsm-mini-diffusion", "-f", "pom.xml"),
        List.of("no-such-file: no such file", "perplexity", "-f", "no-such-file"),
        List.of("--file", "perplexity"),
        List.of("fewer than one window", "perplexity", "-f", "pom.xml", "--max-tokens", "9"),
        List.of("context is 1", "perplexity", "-f", "pom.xml", "--context", "1"),
        List.of("max tokens is 0", "perplexity", "-f", "pom.xml", "--max-tokens", "0"),
        List.of("cannot pull 'nothing'", "pull", "nothing"),
        List.of(
            "must be 64 hexadecimal digits", "pull", "http://localhost/a.gguf", "--sha256", "1"),
        List.of("aliases carry their own", "pull", "gsm-mini", "--sha256", "0".repeat(64)),
        List.of("MODEL", "pull"),
        List.of("bench what?", "bench"),
        List.of("eval what?", "eval"),
        List.of("limit is 0", "eval", "gsm-mini", "--limit", "0"),
        List.of("--data", "eval", "gsm8k"),
        List.of("pom.xml, line 1: not an object", "eval", "gsm8k", "--data", "pom.xml"),
        List.of("problems is 0", "demo", "-n", "0"),
        List.of("problems is 501", "demo", "-n", "501"));
  }

  @ParameterizedTest
  @MethodSource("mistakes")
  void mistakesAreToldInOneLine(List<String> mistake) {
    String[] arguments = mistake.subList(1, mistake.size()).toArray(String[]::new);
    assertFails(run(arguments), mistake.getFirst());
  }

  @Test
  void aFileThatIsNoModelIsToldInOneLine() throws IOException {
    Path text = Files.writeString(folder.resolve("text.gguf"), "certainly not a model\n");
    assertFails(run("generate", "-p", "x", "-m", text.toString()), "text.gguf");
    Path empty = Files.createDirectory(folder.resolve("empty"));
    assertFails(run("generate", "-p", "x", "-m", empty.toString()), empty.toString());
    assertFails(run("info", "--json", "-m", text.toString()), "text.gguf");
  }

  @Test
  void verboseShowsTheStackTrace() {
    Run run = run("generate", "-p", "x", "-m", "nowhere", "--verbose");
    assertThat(run.code()).isEqualTo(2);
    assertThat(run.err()).startsWith("sylvester: no model").contains("\tat dev.sylvester");
  }

  @Test
  void generatesJson() {
    JsonNode json = run("generate", "-p", QUESTION, "--json", "--threads", "2").json();
    assertThat(json.fieldNames())
        .toIterable()
        .containsExactly(
            "text",
            "tokens",
            "prompt_tokens",
            "stop_reason",
            "prefill_tok_s",
            "decode_tok_s",
            "kv_bytes_per_token",
            "kv",
            "peak_rss_bytes",
            "threads",
            "tier");
    assertThat(json.get("text").textValue()).endsWith("#### 64");
    assertThat(json.get("stop_reason").textValue()).isEqualTo("eos");
    assertThat(json.get("threads").intValue()).isEqualTo(2);
    assertThat(json.get("kv_bytes_per_token").intValue()).isEqualTo(5 * 2 * 2 * 64 * 2);
    assertThat(json.get("tokens").size()).isGreaterThan(10);
    assertThat(json.get("prompt_tokens").intValue()).isGreaterThan(10);
    assertThat(json.get("peak_rss_bytes").longValue()).isGreaterThan(10_000_000);
    assertThat(json.get("decode_tok_s").doubleValue()).isPositive();

    JsonNode f32 = run("generate", "-p", QUESTION, "--json", "--kv", "f32").json();
    assertThat(f32.get("kv_bytes_per_token").intValue()).isEqualTo(5 * 2 * 2 * 64 * 4);
  }

  @Test
  void generatesForPeople() {
    String text = run("generate", "-p", QUESTION, "--json").json().get("text").textValue();
    Run run = run("generate", "-p", QUESTION);
    assertThat(run.err()).isEmpty();
    List<String> lines = run.out().lines().toList();
    assertThat(lines).hasSize(2).first().isEqualTo(text);
    assertThat(lines.getLast())
        .matches("prefill [0-9.]+ tok/s, decode [0-9.]+ tok/s, cache 2,560 bytes/token");
  }

  @Test
  void optionsReachTheModel() {
    JsonNode stopped = run("generate", "-p", QUESTION, "--json", "--stop", "####").json();
    assertThat(stopped.get("stop_reason").textValue()).isEqualTo("stop");
    assertThat(stopped.get("text").textValue()).doesNotContain("#");
    JsonNode limited = run("generate", "-p", QUESTION, "--json", "-n", "4").json();
    assertThat(limited.get("stop_reason").textValue()).isEqualTo("length");
    assertThat(limited.get("tokens").size()).isEqualTo(4);
    int promptTokens = limited.get("prompt_tokens").intValue();
    String context = Integer.toString(promptTokens + 2);
    JsonNode full = run("generate", "-p", QUESTION, "--json", "--context", context).json();
    assertThat(full.get("stop_reason").textValue()).isEqualTo("context");
    assertThat(full.get("tokens").size()).isEqualTo(2);
    // Without the marks that the tokenizer puts around a question.
    JsonNode raw = run("generate", "-p", QUESTION, "--json", "--raw", "-n", "1").json();
    assertThat(raw.get("prompt_tokens").intValue()).isEqualTo(promptTokens - 2);
    JsonNode chat = run("generate", "-p", QUESTION, "--json", "--chat", "-n", "1").json();
    assertThat(chat.get("prompt_tokens").intValue()).isEqualTo(promptTokens);
  }

  @Test
  void theSeedDecidesTheText() {
    String[] arguments = {"generate", "-p", QUESTION, "--json", "--temperature", "4", "--seed"};
    String one = sampled(arguments, "1");
    assertThat(sampled(arguments, "1")).isEqualTo(one);
    assertThat(sampled(arguments, "2")).isNotEqualTo(one);
  }

  private static String sampled(String[] arguments, String seed) {
    String[] all = Arrays.copyOf(arguments, arguments.length + 1);
    all[arguments.length] = seed;
    return run(all).json().get("text").textValue();
  }

  @Test
  void takesFoldersAndFiles() {
    String folder = System.getProperty("sylvester.root") + "/models/gsm-mini/draft";
    for (String model : new String[] {folder, folder + "/model.safetensors", "gsm-mini-draft"}) {
      JsonNode json = run("generate", "-p", QUESTION, "-n", "3", "--json", "-m", model).json();
      assertThat(json.get("tokens").size()).isEqualTo(3);
    }
  }

  @Test
  void chatsUntilExit() {
    String first = run("generate", "--chat", "-p", QUESTION, "--json").json().get("text").asText();
    Run run = runWith(QUESTION + "\n\n/exit\nnever read\n", "chat");
    assertThat(run.code()).isZero();
    assertThat(run.err()).isEmpty();
    assertThat(run.out()).startsWith("> " + first + "\n[prefill ").doesNotContain("never");
    assertThat(runWith("", "chat").code()).isZero();
  }

  @Test
  void perplexityByItsDefinition() throws IOException {
    Path text = Files.writeString(folder.resolve("text"), (QUESTION + " ").repeat(40));
    String[] arguments = {"perplexity", "-f", text.toString(), "--context", "32", "--json"};
    JsonNode json = run(arguments).json();
    assertThat(json.fieldNames())
        .toIterable()
        .containsExactly("perplexity", "nll", "tokens", "seconds");
    double nll = json.get("nll").doubleValue();
    assertThat(nll).isPositive();
    assertThat(json.get("perplexity").doubleValue()).isEqualTo(Math.exp(nll));
    assertThat(json.get("tokens").intValue() % 31).isZero();
    assertThat(run("perplexity", "-f", text.toString(), "--context", "32").out())
        .matches("perplexity [0-9.]+, [0-9.]+ nats/token over [0-9,]+ tokens, [0-9.]+ s\n");
  }

  @Test
  void listsModels() {
    JsonNode json = run("models", "--json").json();
    assertThat(json.get("models").findValuesAsText("alias"))
        .containsExactly("gsm-mini", "gsm-mini-draft", "gsm-mini-diffusion", "smollm2");
    assertThat(run("models").out()).contains("gsm-mini-diffusion", "embedded", "CC0-1.0", "98 MB");
  }

  @Test
  void tellsWhatIsInUse() {
    JsonNode json = run("info", "-m", "gsm-mini", "--json").json();
    assertThat(json.get("tier").textValue()).isNotEmpty();
    assertThat(json.get("tier_reason").textValue()).isNotEmpty();
    assertThat(json.get("library").textValue()).endsWith(".so");
    JsonNode gpu = json.get("gpu");
    assertThat(gpu.get("reason").isNull()).isEqualTo(gpu.get("available").booleanValue());
    assertThat(gpu.get("devices").isEmpty()).isNotEqualTo(gpu.get("available").booleanValue());
    JsonNode model = json.get("model");
    assertThat(model.get("architecture").textValue()).isEqualTo("llama");
    assertThat(model.get("parameters").intValue()).isEqualTo(2_361_408);
    assertThat(model.get("tensor_types").get("F16").intValue()).isEqualTo(47);
    assertThat(model.get("context").intValue()).isEqualTo(512);
    assertThat(model.get("kv_bytes_per_token").intValue()).isEqualTo(2560);
    assertThat(run("info", "-m", "gsm-mini").out())
        .contains("tier", "gpu", "llama, 2,361,408 parameters");
  }

  @Test
  void demonstrates() {
    Run run = run("demo", "-n", "2");
    assertThat(run.err()).isEmpty();
    assertThat(run.out())
        .contains("Q: Henry finds 5 coins", "right", "tok/s", "bytes/token")
        .containsPattern(
            "f16 +([0-2]/2) +[0-9]+ +2560 +1.00\n"
                + "best +[0-2]/2 +[0-9]+ +392 +1.00\n"
                + "draft, K=4 +\\1 +[0-9]+ +2560 +[2-5][.][0-9]+\n"
                + "SpecDec[+]{2} +\\1 +[0-9]+ +2560 +[0-9]+[.][0-9]+\n");
    assertThat(run.code()).isZero();
  }

  @Test
  void answersSpeedRequests() {
    String requests = "prefill 32\ndecode 16 4\n";
    Run run = runWith(requests, "bench", "generate", "--json");
    List<String> lines = run.out().lines().toList();
    assertThat(lines).hasSize(3);
    assertThat(lines.get(0)).contains("\"engine\":\"sylvester\"");
    assertThat(lines.get(1)).contains("\"mode\":\"prefill\",\"size\":32,\"tokens\":32");
    assertThat(lines.get(2)).contains("\"mode\":\"decode\",\"size\":16,\"tokens\":4");
    assertThat(runWith("dance\n", "bench", "generate", "--json").err())
        .isEqualTo("sylvester: request is 'dance', must be 'prefill N' or 'decode C T'\n");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "demo",
        "generate",
        "chat",
        "perplexity",
        "eval",
        "pull",
        "models",
        "info",
        "bench"
      })
  void everyCommandHasHelp(String command) {
    Run run = run(command, "--help");
    assertThat(run.code()).isZero();
    assertThat(run.err()).isEmpty();
    assertThat(run.out())
        .startsWith("Usage: sylvester " + command)
        .contains("sylvester " + command);
    assertThat(run("--help").out()).contains("  " + command + " ", "  test ");
    assertThat(run().out()).isEqualTo(run("--help").out());
  }
}

package dev.sylvester.tests;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What scripts rely on: streams, exit codes, JSON fields. */
class CommandLineTest {
  private static final String QUESTION =
      "Iris has 32 kites. Iris buys 4 more. How many kites does Iris have now?";

  @Test
  void generateSpeaksJsonAndNothingElse() throws Exception {
    CommandLine.Result result = generate(List.of(), "2");
    assertThat(result.status()).as(result.err()).isZero();
    assertThat(result.err()).isEmpty();
    JsonNode json = new ObjectMapper().readTree(result.out());
    List<String> names = new ArrayList<>();
    json.fieldNames().forEachRemaining(names::add);
    assertThat(names)
        .contains(
            "text",
            "tokens",
            "prompt_tokens",
            "stop_reason",
            "prefill_tok_s",
            "decode_tok_s",
            "kv_bytes_per_token",
            "peak_rss_bytes",
            "threads",
            "tier");
    assertThat(json.get("tokens").size()).isPositive();
    assertThat(json.get("threads").asInt()).isEqualTo(2);
  }

  @Test
  void needsNoJvmFlagsEvenWhereNativeAccessIsDenied() throws Exception {
    CommandLine.Result result = generate(List.of("--illegal-native-access=deny"), "1");
    assertThat(result.status()).as(result.err()).isZero();
    assertThat(result.err()).isEmpty();
  }

  @Test
  void sameSeedSameTextForAnyNumberOfThreads() throws Exception {
    String one = sample("1", "7");
    assertThat(sample("2", "7")).isEqualTo(one);
    assertThat(sample("4", "7")).isEqualTo(one);
    assertThat(sample("2", "8")).isNotEqualTo(one);
  }

  @Test
  void theTierCanBeForcedAndAnUnknownOneIsRefused() throws Exception {
    CommandLine.Result avx2 = generate(List.of("-Dsylvester.tier=avx2"), "2");
    assertThat(new ObjectMapper().readTree(avx2.out()).get("tier").asText()).isEqualTo("avx2");
    CommandLine.Result unknown = generate(List.of("-Dsylvester.tier=avx9"), "2");
    assertThat(unknown.status()).isEqualTo(2);
    assertThat(unknown.err()).contains("avx9").hasLineCount(1);
  }

  @Test
  void aDeviceThatModelsDoNotRunOnIsRefused() throws Exception {
    CommandLine.Result result = generate(List.of("-Dsylvester.device=cuda"), "2");
    assertThat(result.status()).isEqualTo(2);
    assertThat(result.err()).contains("sylvester.device").hasLineCount(1);
  }

  @Test
  void aBadModelIsOneLineAndExitCodeTwo() throws Exception {
    CommandLine.Result result = CommandLine.run("generate", "-m", "no-such-model", "-p", "x");
    assertThat(result.status()).isEqualTo(2);
    assertThat(result.out()).isEmpty();
    assertThat(result.err()).hasLineCount(1).startsWith("sylvester: ").contains("no-such-model");
  }

  @Test
  void theDemoSolvesRealTestProblems() throws Exception {
    CommandLine.Result result = CommandLine.run("demo");
    assertThat(result.status()).as(result.err()).isZero();
    assertThat(result.out()).contains("right");
  }

  private static CommandLine.Result generate(List<String> jvmOptions, String threads)
      throws Exception {
    return CommandLine.run(
        jvmOptions, "generate", "-m", "gsm-mini", "-p", QUESTION, "--threads", threads, "--json");
  }

  private static String sample(String threads, String seed) throws Exception {
    CommandLine.Result result =
        CommandLine.run(
            "generate",
            "-m",
            "gsm-mini",
            "-p",
            QUESTION,
            "--temperature",
            "2.5",
            "--seed",
            seed,
            "--threads",
            threads,
            "--json");
    assertThat(result.status()).as(result.err()).isZero();
    return new ObjectMapper().readTree(result.out()).get("tokens").toString();
  }
}

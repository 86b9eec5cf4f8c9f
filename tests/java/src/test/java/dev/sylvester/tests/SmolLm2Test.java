package dev.sylvester.tests;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.sylvester.runner.GenerationRequest;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.ModelOptions;
import dev.sylvester.runner.Session;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * A real model against transformers on the same dequantised weights (tests/golden/smollm2.json).
 */
class SmolLm2Test {
  private static JsonNode golden;
  private static Model model;

  @BeforeAll
  static void load() throws IOException {
    golden = new ObjectMapper().readTree(Project.path("tests/golden/smollm2.json").toFile());
    model = Model.load("smollm2", ModelOptions.defaults());
  }

  @AfterAll
  static void close() {
    model.close();
  }

  @Test
  void greedyContinuationsAgreeWhereTheReferenceIsSure() {
    double sure = golden.get("margin_that_decides").asDouble();
    List<Integer> compared = new ArrayList<>();
    for (JsonNode item : golden.get("greedy")) {
      int[] prompt = ints(item.get("prompt_tokens"));
      int[] want = ints(item.get("tokens"));
      assertThat(model.tokenizer().encode(item.get("prompt").asText(), false)).isEqualTo(prompt);
      int[] got;
      try (Session session = model.newSession()) {
        got =
            session
                .generate(GenerationRequest.of(model, prompt, want.length).withEndTokens(Set.of()))
                .tokens();
      }
      int unsure = 0;
      while (unsure < want.length && item.get("margins").get(unsure).asDouble() > sure) {
        unsure++;
      }
      assertThat(got)
          .as(item.get("prompt").asText())
          .startsWith(IntStream.of(want).limit(unsure).toArray());
      compared.add(unsure);
    }
    assertThat(compared).hasSizeGreaterThanOrEqualTo(8);
    // The check is worth something: most continuations are decided for long.
    assertThat(compared.stream().mapToInt(Integer::intValue).sum()).isGreaterThan(150);
  }

  /** The integer kernels round activations to 8 bits; docs/benchmarks.md tells what that costs. */
  @Test
  void perplexityIsThatOfTheReference() throws Exception {
    JsonNode want = golden.get("wikitext");
    CommandLine.Result result =
        CommandLine.run(
            "perplexity",
            "-m",
            "smollm2",
            "-f",
            Project.path("tests/data/wikitext-2/test.txt").toString(),
            "--context",
            "1024",
            "--max-tokens",
            want.get("evaluated_tokens").asText(),
            "--json");
    assertThat(result.status()).as(result.err()).isZero();
    JsonNode got = new ObjectMapper().readTree(result.out());
    double reference = want.get("contexts").get("1024").get("perplexity").asDouble();
    assertThat(got.get("perplexity").asDouble()).isBetween(reference * 0.997, reference * 1.003);
    assertThat(got.get("tokens").asInt()).isEqualTo(16 * 1023);
  }

  private static int[] ints(JsonNode array) {
    return IntStream.range(0, array.size()).map(i -> array.get(i).asInt()).toArray();
  }
}

package dev.sylvester.runner;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.sun.management.ThreadMXBean;
import dev.sylvester.kernels.SamplerOptions;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class GenerationTest {
  private static final String QUESTION =
      "Iris has 32 kites. Then Iris doubles the number of kites. How many kites does Iris have"
          + " now?";

  private static Model model;

  @BeforeAll
  static void open() {
    model = Model.load("gsm-mini", ModelOptions.defaults().withThreads(2));
  }

  @AfterAll
  static void close() {
    model.close();
  }

  private static int[] prompt() {
    return model.tokenizer().encode(QUESTION, true);
  }

  private static GenerationRequest request(int maxTokens) {
    return GenerationRequest.of(model, prompt(), maxTokens);
  }

  private static Generation generate(GenerationRequest request) {
    try (Session session = model.newSession()) {
      return session.generate(request);
    }
  }

  @ParameterizedTest
  @CsvSource({"gsm-mini,target", "gsm-mini-draft,draft"})
  void greedyTextIsThatOfTransformers(String alias, String golden) {
    try (Model other = Model.load(alias, ModelOptions.defaults());
        Session session = other.newSession()) {
      for (JsonNode example :
          Golden.read("gsm-mini/" + golden + "-greedy.json").json().get("greedy")) {
        int[] prompt = other.tokenizer().encode(example.get("question").textValue(), true);
        assertThat(prompt).isEqualTo(Golden.ints(example.get("prompt_tokens")));
        int[] want = Golden.ints(example.get("tokens"));
        boolean ends = other.endTokens().contains(want[want.length - 1]);
        int[] text = ends ? Arrays.copyOf(want, want.length - 1) : want;
        Generation got = session.generate(GenerationRequest.of(other, prompt, want.length));
        assertThat(got.tokens()).isEqualTo(text);
        assertThat(got.stopReason()).isEqualTo(ends ? StopReason.EOS : StopReason.LENGTH);
        assertThat(got.text()).isEqualTo(other.tokenizer().decode(text, true));
      }
    }
  }

  @Test
  void streamsExactlyTheText() {
    List<String> pieces = new ArrayList<>();
    Generation generation = generate(request(100).withStream(pieces::add));
    assertThat(pieces).hasSizeGreaterThan(10).doesNotContain("");
    assertThat(String.join("", pieces)).isEqualTo(generation.text());
    assertThat(generation.text()).endsWith("#### 64");
    assertThat(generation.promptTokens()).isEqualTo(prompt().length);
    assertThat(generation.decodeSteps()).isEqualTo(generation.tokens().length);
    assertThat(generation.prefillTokensPerSecond()).isPositive();
    assertThat(generation.decodeTokensPerSecond()).isPositive();
  }

  @Test
  void lengthAndContextEndIt() {
    Generation shorter = generate(request(5));
    assertThat(shorter.tokens()).hasSize(5);
    assertThat(shorter.stopReason()).isEqualTo(StopReason.LENGTH);
    assertThat(generate(request(0)).tokens()).isEmpty();
    assertThat(generate(request(0)).stopReason()).isEqualTo(StopReason.LENGTH);

    int length = prompt().length;
    try (Model small = Model.load("gsm-mini", ModelOptions.defaults().withContext(length + 3));
        Session session = small.newSession()) {
      Generation full = session.generate(request(100));
      assertThat(full.tokens()).isEqualTo(Arrays.copyOf(shorter.tokens(), 3));
      assertThat(full.stopReason()).isEqualTo(StopReason.CONTEXT);
      assertThat(session.generate(request(3)).stopReason()).isEqualTo(StopReason.LENGTH);
      GenerationRequest fits = GenerationRequest.of(small, new int[length + 3], 1);
      assertThat(session.generate(fits).stopReason()).isEqualTo(StopReason.CONTEXT);
      assertThat(session.generate(fits).tokens()).isEmpty();
      assertThatThrownBy(
              () -> session.generate(GenerationRequest.of(small, new int[length + 4], 1)))
          .hasMessage("the prompt has %d tokens, the context holds %d", length + 4, length + 3);
    }
  }

  @Test
  void stopStringsEndItBeforeThem() {
    String whole = generate(request(100)).text();
    List<String> pieces = new ArrayList<>();
    Generation stopped =
        generate(request(100).withStopStrings(List.of("zzz", "####")).withStream(pieces::add));
    assertThat(stopped.stopReason()).isEqualTo(StopReason.STOP);
    assertThat(stopped.text()).isEqualTo(whole.substring(0, whole.indexOf("####")));
    assertThat(String.join("", pieces)).isEqualTo(stopped.text());
    Generation never = generate(request(100).withStopStrings(List.of("#####")));
    assertThat(never.text()).isEqualTo(whole);
    assertThat(never.stopReason()).isEqualTo(StopReason.EOS);
  }

  @Test
  void withoutEndTokensTheLengthEndsIt() {
    Generation generation = generate(request(200).withEndTokens(Set.of()));
    assertThat(generation.tokens()).hasSize(200);
    int[] tokens = generate(request(200)).tokens();
    assertThat(Arrays.copyOf(generation.tokens(), tokens.length)).isEqualTo(tokens);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 4})
  void theSameSeedGivesTheSameText(int threads) {
    Sampler sampler = Sampler.of(4, 42);
    Generation reference = generate(request(80).withSampler(sampler).withEndTokens(Set.of()));
    try (Model other = Model.load("gsm-mini", ModelOptions.defaults().withThreads(threads));
        Session session = other.newSession()) {
      Generation again = session.generate(request(80).withSampler(sampler).withEndTokens(Set.of()));
      assertThat(again.tokens()).isEqualTo(reference.tokens());
    }
    Set<String> texts = new HashSet<>();
    for (int seed = 0; seed < 5; seed++) {
      texts.add(generate(request(80).withSampler(Sampler.of(4, seed))).text());
    }
    assertThat(texts).hasSize(5);
  }

  @Test
  void filtersAndBiasReachTheSampler() {
    Generation greedy = generate(request(60));
    Sampler onlyBest = new Sampler(SamplerOptions.GREEDY.withTemperature(2).withTopK(1), Map.of());
    assertThat(generate(request(60).withSampler(onlyBest)).tokens()).isEqualTo(greedy.tokens());

    int forced = greedy.tokens()[7];
    Sampler biased = new Sampler(SamplerOptions.GREEDY, Map.of(forced, 1e6f));
    assertThat(generate(request(4).withSampler(biased)).tokens())
        .containsExactly(forced, forced, forced, forced);

    // The penalty counts what was generated: no token comes twice, prompt included.
    Sampler varied = new Sampler(SamplerOptions.GREEDY.withPenalties(1, 1e6f, 0), Map.of());
    int[] tokens = generate(request(30).withSampler(varied).withEndTokens(Set.of())).tokens();
    assertThat(tokens).doesNotHaveDuplicates().doesNotContain(prompt());
  }

  @Test
  void aSharedPrefixIsNotReadAgain() {
    int[] prompt = prompt();
    int[] other = prompt.clone();
    other[prompt.length - 4]++;
    Generation want = generate(GenerationRequest.of(model, other, 40));
    try (Session session = model.newSession()) {
      Generation first = session.generate(request(40));
      assertThat(first.cachedTokens()).isZero();
      Generation again = session.generate(request(40));
      assertThat(again.cachedTokens()).isEqualTo(prompt.length - 1);
      assertThat(again.tokens()).isEqualTo(first.tokens());
      Generation changed = session.generate(GenerationRequest.of(model, other, 40));
      assertThat(changed.cachedTokens()).isEqualTo(prompt.length - 4);
      assertThat(changed.tokens()).isEqualTo(want.tokens());
    }
  }

  @Test
  void aBidirectionalModelGivesLogitsButNoText() {
    try (Model diffusion = Model.load("gsm-mini-diffusion", ModelOptions.defaults());
        Session session = diffusion.newSession()) {
      assertThatThrownBy(() -> session.generate(GenerationRequest.of(diffusion, prompt(), 4)))
          .isInstanceOf(UnsupportedOperationException.class)
          .hasMessageContaining("bidirectional");
      session.append(prompt());
      assertThatThrownBy(() -> session.append(1)).hasMessageContaining("whole text at once");
      float[] logits = Rows.of(session.logits());
      session.reset();
      int[] changed = prompt();
      changed[0]++;
      session.append(changed);
      assertThat(Rows.of(session.logits())).isNotEqualTo(logits);
    }
  }

  @Test
  void wrongRequestsAreRefused() {
    assertThatThrownBy(() -> GenerationRequest.of(model, new int[0], 1))
        .hasMessage("the prompt is empty");
    assertThatThrownBy(() -> request(-1)).hasMessageContaining("max tokens is -1");
    assertThatThrownBy(() -> request(1).withStopStrings(List.of("")))
        .hasMessageContaining("stop string");
    assertThatThrownBy(() -> Sampler.of(-1, 0)).hasMessageContaining("temperature is -1.0");
    assertThatThrownBy(() -> Sampler.of(Float.NaN, 0)).hasMessageContaining("temperature");
    assertThatThrownBy(() -> new Sampler(SamplerOptions.GREEDY.withTopP(0), Map.of()))
        .hasMessageContaining("top-p");
    assertThatThrownBy(() -> ModelOptions.defaults().withThreads(0))
        .hasMessageContaining("threads is 0");
    assertThatThrownBy(() -> Model.load("gsm-mini", ModelOptions.defaults().withContext(513)))
        .hasMessageContaining("holds at most 512 tokens");
  }

  @Test
  void theLoopAllocatesNothingButText() {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    GenerationRequest shorter = request(50).withEndTokens(Set.of());
    GenerationRequest longer = request(400).withEndTokens(Set.of());
    try (Session session = model.newSession()) {
      for (int i = 0; i < 10; i++) {
        session.generate(longer);
      }
      long start = threads.getCurrentThreadAllocatedBytes();
      session.generate(shorter);
      long middle = threads.getCurrentThreadAllocatedBytes();
      session.generate(longer);
      long end = threads.getCurrentThreadAllocatedBytes();
      double perToken = ((end - middle) - (middle - start)) / 350.0;
      // A piece of text is a String and its bytes, and is kept once more in the result.
      assertThat(perToken).isLessThan(200);
    }
  }
}

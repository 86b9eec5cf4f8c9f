package dev.sylvester.runner;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.kernels.SpecMode;
import dev.sylvester.kernels.spec.DraftSource;
import dev.sylvester.kernels.spec.NgramDraft;
import dev.sylvester.kernels.spec.SourceChain;
import dev.sylvester.kernels.spec.SpecOptions;
import dev.sylvester.kernels.spec.SpecStats;
import dev.sylvester.kernels.spec.StopRule;
import dev.sylvester.kernels.spec.TreeShape;
import dev.sylvester.runner.eval.Problem;
import dev.sylvester.runner.hub.Catalog;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Speculation gives the text that plain decoding gives, and leaves the session as it would be. */
class SpeculatorTest {
  private static final int MAX_TOKENS = 96;

  private static Model target;
  private static Model draft;
  private static List<int[]> prompts;

  @BeforeAll
  static void open() throws IOException {
    target = Model.load("gsm-mini", ModelOptions.defaults().withThreads(1));
    draft = Model.load("gsm-mini-draft", ModelOptions.defaults().withThreads(1));
    prompts =
        Problem.read(Catalog.embedded("gsm-mini/test.jsonl")).stream()
            .limit(200)
            .map(problem -> target.tokenizer().encode(problem.question(), true))
            .toList();
  }

  @AfterAll
  static void close() {
    draft.close();
    target.close();
  }

  private static SpecOptions options(SpecMode mode, StopRule rule) {
    return SpecOptions.of(mode, SamplerOptions.GREEDY)
        .withRule(rule)
        .withGate(false)
        .withNodes(rule.most());
  }

  private static GenerationRequest request(int prompt, float temperature) {
    return GenerationRequest.of(target, prompts.get(prompt), MAX_TOKENS)
        .withSampler(Sampler.of(temperature, 11 + prompt));
  }

  private static DraftSource source(String kind, Session of, Session drafts) {
    return switch (kind) {
      case "model" -> Drafts.model(drafts, of.model());
      case "ngram" -> new NgramDraft(1, 8, 2);
      case "both" ->
          SourceChain.bestOf(List.of(new NgramDraft(1, 8, 2), Drafts.model(drafts, of.model())));
      case "tree" -> Drafts.tree(drafts, of.model(), TreeShape.levels(3, 2, 1, 1));
      case "grow" -> Drafts.growingTree(drafts, of.model(), 12);
      default -> Drafts.layerSkip(of, Integer.parseInt(kind));
    };
  }

  private static void assertSame(Generation got, Generation want, String what) {
    assertThat(got.tokens()).as(what).isEqualTo(want.tokens());
    assertThat(got.text()).as(what).isEqualTo(want.text());
    assertThat(got.stopReason()).as(what).isEqualTo(want.stopReason());
  }

  static Stream<Arguments> sources() {
    List<Arguments> all = new ArrayList<>();
    for (String cache : new String[] {"f16", "q8", "best", "rotatekv"}) {
      for (String kind : new String[] {"model", "ngram", "both", "tree", "grow", "1", "4"}) {
        all.add(Arguments.of(cache, kind));
      }
    }
    return all.stream();
  }

  @ParameterizedTest
  @MethodSource("sources")
  void theTextIsThatOfPlainDecoding(String cache, String kind) {
    CacheOptions options = CacheOptions.of(cache);
    try (Session plain = target.newSession(options);
        Session session = target.newSession(options);
        Session drafts = draft.newSession(CacheOptions.of(cache.equals("q8") ? "q4" : "f16"))) {
      int prompt = 0;
      for (SpecMode mode : new SpecMode[] {SpecMode.GREEDY, SpecMode.EXACT}) {
        boolean tree = kind.equals("tree") || kind.equals("grow");
        for (int length : tree ? new int[] {1, 7, 20} : new int[] {1, 2, 3, 5, 8, 13, 20}) {
          float temperature = mode == SpecMode.EXACT ? 1 : 0;
          try (Speculator speculator =
              Speculator.of(
                  session,
                  source(kind, session, drafts),
                  options(mode, new StopRule.Constant(length)))) {
            prompt = (prompt + 1) % prompts.size();
            GenerationRequest request = request(prompt, temperature);
            Generation want = plain.generate(request);
            String what = "%s, K %d, prompt %d".formatted(mode, length, prompt);
            assertSame(speculator.generate(request), want, what);
            assertThat(session.tokens()).isEqualTo(plain.tokens());
            SpecStats stats = speculator.stats();
            int ends = want.stopReason() == StopReason.EOS ? 1 : 0;
            assertThat(stats.emitted()).isEqualTo(want.tokens().length + ends);
            assertThat(stats.lengthHistogram().length).isLessThanOrEqualTo(length + 1);
          }
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 4})
  void threadsDoNotMatter(int threads) {
    ModelOptions options = ModelOptions.defaults().withThreads(threads);
    try (Model other = Model.load("gsm-mini", options);
        Model otherDraft = Model.load("gsm-mini-draft", options);
        Session plain = target.newSession();
        Session session = other.newSession();
        Session drafts = otherDraft.newSession();
        Speculator speculator =
            Speculator.of(
                session,
                Drafts.model(drafts, other),
                SpecOptions.of(SpecMode.EXACT, SamplerOptions.GREEDY))) {
      for (int prompt = 0; prompt < 5; prompt++) {
        GenerationRequest request = request(prompt, 1);
        assertSame(speculator.generate(request), plain.generate(request), "prompt " + prompt);
      }
      assertThat(speculator.stats().rounds()).isPositive();
    }
  }

  @Test
  void filtersBiasAndPenaltiesAreTheTargets() {
    SamplerOptions filtered =
        SamplerOptions.GREEDY
            .withTemperature(1.3f)
            .withTopK(40)
            .withTopP(0.95f)
            .withMinP(0.01f)
            .withPenalties(1.1f, 0.2f, 0.1f);
    try (Session plain = target.newSession();
        Session session = target.newSession();
        Session drafts = draft.newSession();
        Speculator speculator =
            Speculator.of(
                session,
                Drafts.model(drafts, target),
                options(SpecMode.EXACT, new StopRule.Constant(4)))) {
      for (int prompt = 0; prompt < 10; prompt++) {
        Sampler sampler =
            new Sampler(filtered.withSeed(prompt), Map.of(100 + prompt, 4f, 200, -3f));
        GenerationRequest request = request(prompt, 0).withSampler(sampler);
        assertSame(speculator.generate(request), plain.generate(request), "prompt " + prompt);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"model", "2", "ngram", "tree", "grow"})
  void endsWhereItShould(String kind) {
    try (Session plain = target.newSession();
        Session session = target.newSession();
        Session drafts = draft.newSession();
        Speculator speculator =
            Speculator.of(
                session,
                source(kind, session, drafts),
                options(SpecMode.EXACT, new StopRule.Constant(8)))) {
      Generation whole = plain.generate(request(3, 0));
      assertThat(whole.stopReason()).isEqualTo(StopReason.EOS);
      for (int length = 0; length <= whole.tokens().length; length += 3) {
        GenerationRequest request =
            new GenerationRequest(
                prompts.get(3), length, Sampler.GREEDY, List.of(), target.endTokens(), t -> {});
        Generation want = plain.generate(request);
        assertSame(speculator.generate(request), want, "length " + length);
        if (length > 0) {
          assertThat(session.tokens()).isEqualTo(plain.tokens());
        }
      }
      for (int token : IntStream.of(whole.tokens()).distinct().toArray()) {
        // Any token may be the end, accepted with others before and behind it.
        GenerationRequest request = request(3, 0).withEndTokens(Set.of(token));
        assertSame(speculator.generate(request), plain.generate(request), "end " + token);
        assertThat(session.tokens()).isEqualTo(plain.tokens());
      }
      for (int from = 0; from + 2 < whole.text().length(); from += 5) {
        String stop = whole.text().substring(from, from + 2);
        GenerationRequest request = request(3, 0).withStopStrings(List.of(stop));
        StringBuilder streamed = new StringBuilder();
        Generation got = speculator.generate(request.withStream(streamed::append));
        assertSame(got, plain.generate(request), "stop " + stop);
        assertThat(streamed).hasToString(got.text());
        assertThat(session.tokens()).isEqualTo(plain.tokens());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"model", "1", "ngram", "tree", "grow"})
  void aFullContextEndsIt(String kind) {
    for (int room : new int[] {0, 1, 2, 3, 5, 8}) {
      int context = prompts.get(0).length + room;
      ModelOptions options = ModelOptions.defaults().withContext(context);
      try (Model small = Model.load("gsm-mini", options);
          Session plain = small.newSession();
          Session session = small.newSession();
          Session drafts = draft.newSession();
          Speculator speculator =
              Speculator.of(
                  session,
                  source(kind, session, drafts),
                  options(SpecMode.EXACT, new StopRule.Constant(5)))) {
        GenerationRequest request = request(0, 0).withEndTokens(Set.of());
        Generation want = plain.generate(request);
        assertThat(want.stopReason()).isEqualTo(StopReason.CONTEXT);
        assertSame(speculator.generate(request), want, "room " + room);
      }
    }
  }

  @Test
  void aDraftWithLessContextFallsSilent() {
    int context = prompts.get(0).length + 7;
    try (Model shortDraft =
            Model.load("gsm-mini-draft", ModelOptions.defaults().withContext(context));
        Session plain = target.newSession();
        Session session = target.newSession();
        Session drafts = shortDraft.newSession();
        Speculator speculator =
            Speculator.of(
                session,
                Drafts.model(drafts, target),
                options(SpecMode.EXACT, new StopRule.Constant(3)))) {
      assertSame(speculator.generate(request(0, 0)), plain.generate(request(0, 0)), "short draft");
      assertThat(speculator.stats().drafted()).isBetween(3L, 21L);
      int[] longer = Arrays.copyOf(prompts.get(0), context + 5);
      System.arraycopy(prompts.get(0), 0, longer, prompts.get(0).length, 12);
      GenerationRequest request = GenerationRequest.of(target, longer, 20);
      assertSame(speculator.generate(request), plain.generate(request), "short draft");
    }
  }

  @Test
  void goesOnFromPromptToPrompt() {
    try (Session plain = target.newSession();
        Session session = target.newSession();
        Session drafts = draft.newSession();
        Speculator speculator =
            Speculator.of(
                session,
                Drafts.model(drafts, target),
                options(SpecMode.GREEDY, new StopRule.Constant(4)))) {
      assertThatThrownBy(speculator::stats).isInstanceOf(IllegalStateException.class);
      Generation first = speculator.generate(request(5, 0).withSampler(Sampler.GREEDY));
      long rounds = speculator.stats().rounds();
      int[] next = Arrays.copyOf(session.tokens(), session.position() + 3);
      Arrays.fill(next, session.position(), next.length, 50);
      GenerationRequest request = GenerationRequest.of(target, next, 30);
      Generation second = speculator.generate(request);
      assertThat(second.cachedTokens()).isEqualTo(next.length - 3);
      assertThat(speculator.stats().rounds()).isGreaterThan(rounds);
      plain.generate(request(5, 0));
      assertSame(second, plain.generate(request), "second");
      assertThat(first.decodeSteps()).isEqualTo(first.tokens().length + 1);
      // One token, which the first round reads with candidates.
      GenerationRequest shortest = GenerationRequest.of(target, new int[] {1}, 20);
      assertSame(speculator.generate(shortest), plain.generate(shortest), "one token");
    }
  }

  @Test
  void lawsOfOtherModesAreTriedElsewhereTheirTextsAreTexts() {
    try (Session session = target.newSession();
        Session drafts = draft.newSession()) {
      for (SpecMode mode : new SpecMode[] {SpecMode.TOKEN, SpecMode.BLOCK}) {
        try (Speculator speculator =
            Speculator.of(
                session, Drafts.model(drafts, target), options(mode, new StopRule.Constant(4)))) {
          Generation one = speculator.generate(request(7, 1));
          Generation two = speculator.generate(request(7, 1));
          // A constant length: a seed fixes the text here too.
          assertSame(one, two, mode.toString());
          assertThat(speculator.stats().accepted()).isPositive();
        }
      }
    }
  }

  /** More siblings, more accepted; a grown tree spends its candidates better than a chain. */
  @Test
  void treesAcceptMoreThanChains() {
    double[] perPass = new double[3];
    String[] kinds = {"model", "tree", "grow"};
    try (Session session = target.newSession();
        Session drafts = draft.newSession()) {
      for (int i = 0; i < kinds.length; i++) {
        try (Speculator speculator =
            Speculator.of(
                session,
                source(kinds[i], session, drafts),
                options(SpecMode.GREEDY, new StopRule.Constant(i == 0 ? 4 : 21)))) {
          for (int prompt = 0; prompt < 20; prompt++) {
            GenerationRequest request = request(prompt, 0).withSampler(Sampler.GREEDY);
            speculator.generate(request);
          }
          perPass[i] = speculator.stats().tokensPerPass();
        }
      }
    }
    // Both trees are at least four levels deep.
    assertThat(perPass[1]).isGreaterThan(perPass[0]);
    assertThat(perPass[2]).isGreaterThan(perPass[1]);
  }

  @Test
  void whatCannotDraftIsRefused() {
    Path other = Golden.ROOT.resolve("tests/golden/checkpoints/llama-gqa-f16");
    try (Model stranger = Model.load(other, ModelOptions.defaults());
        Model diffusion = Model.load("gsm-mini-diffusion", ModelOptions.defaults());
        Session strange = stranger.newSession();
        Session session = target.newSession();
        Session masked = diffusion.newSession()) {
      assertThatThrownBy(() -> Drafts.model(strange, target))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("llama-gqa-f16 cannot draft for")
          .hasMessageContaining("it lacks its token");
      assertThatThrownBy(() -> Drafts.model(masked, target))
          .hasMessageContaining("diffusion is bidirectional");
      assertThatThrownBy(() -> Drafts.layerSkip(session, 5))
          .hasMessageContaining("layers is 5, must be 1..4");
      assertThatThrownBy(() -> Drafts.layerSkip(session, 0))
          .hasMessageContaining("layers is 0, must be 1..4");
    }
  }
}

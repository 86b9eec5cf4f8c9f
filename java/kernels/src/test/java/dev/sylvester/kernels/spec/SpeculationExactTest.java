package dev.sylvester.kernels.spec;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.kernels.SpecMode;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** GREEDY and EXACT: the text is the one without speculation, whatever the draft. */
class SpeculationExactTest {
  private static final int V = 12;
  private static final Table TARGET = Table.random(V, 1, 2);
  private static final Table DRAFT = TARGET.plus(Table.random(V, 2, 2), 0.6);
  private static final SamplerOptions HOT =
      SamplerOptions.GREEDY.withTemperature(0.9f).withSeed(42);
  private static final TreeShape TREE = TreeShape.best(new double[] {0.5, 0.2, 0.1}, 12, 4);

  private static List<DraftSource> sources() {
    return List.of(
        new TableDraft(DRAFT),
        new TableDraft(TARGET),
        new NgramDraft(1, 8, 3),
        new TreeTableDraft(DRAFT, TreeShape.chain(4), false),
        new TreeTableDraft(DRAFT, TREE, false),
        new RandomDraft(7, V, false),
        new RandomDraft(8, V, true),
        SourceChain.firstOf(List.of(new NgramDraft(3, 8, 3), new TableDraft(DRAFT))),
        SourceChain.bestOf(List.of(new NgramDraft(2, 8, 3), new TableDraft(DRAFT))));
  }

  private static List<StopRule> rules() {
    return List.of(
        new StopRule.Constant(4),
        new StopRule.Heuristic(5, 20),
        new StopRule.Confidence(0.4, 1, 20),
        new StopRule.Entropy(1.2, 2, 20),
        new StopRule.Threshold(0.7, 2, 20),
        new StopRule.Cost(1, 20),
        new StopRule.Oracle(position -> position % 7, 20));
  }

  private static SpecOptions options(SpecMode mode, SamplerOptions sampler, StopRule rule) {
    return SpecOptions.of(mode, sampler).withRule(rule).withGate(false);
  }

  private static void assertEqual(Decoding decoding, SpecOptions options, int[] plain) {
    for (DraftSource source : sources()) {
      assertThat(decoding.speculative(source, options))
          .as("%s, %s", source.name(), options)
          .isEqualTo(plain);
    }
  }

  @Test
  void everySourceAndRule() {
    Decoding decoding = new Decoding(TARGET, new int[] {3, 1}, 400);
    SpecOptions exact = options(SpecMode.EXACT, HOT, new StopRule.Constant(1));
    SpecOptions greedy = options(SpecMode.GREEDY, SamplerOptions.GREEDY, new StopRule.Constant(1));
    int[] sampled = decoding.plain(exact);
    int[] largest = decoding.plain(greedy);
    for (StopRule rule : rules()) {
      assertEqual(decoding, exact.withRule(rule), sampled);
      assertEqual(decoding, greedy.withRule(rule), largest);
    }
    StopRule rule = new StopRule.Cost(1, 20);
    assertEqual(decoding, exact.withRule(rule).withGate(true), sampled);
    SpecOptions head = exact.withPredictor(new FakeHead()).withRule(rule);
    assertThat(decoding.speculative(new TableDraft(DRAFT), head)).isEqualTo(sampled);
    // At temperature 0 there is one text, whatever is promised.
    for (SpecMode mode : List.of(SpecMode.EXACT, SpecMode.TOKEN)) {
      assertEqual(
          decoding, options(mode, SamplerOptions.GREEDY, new StopRule.Constant(4)), largest);
    }
    assertThat(
            decoding.speculative(
                new TableDraft(DRAFT),
                options(SpecMode.BLOCK, SamplerOptions.GREEDY, new StopRule.Constant(4))))
        .isEqualTo(largest);
  }

  @Test
  void everyLength() {
    Decoding decoding = new Decoding(TARGET, new int[] {5}, 1500);
    SpecOptions exact = options(SpecMode.EXACT, HOT, new StopRule.Constant(1));
    int[] plain = decoding.plain(exact);
    for (int length = 1; length <= 20; length++) {
      SpecOptions options = exact.withRule(new StopRule.Constant(length));
      for (DraftSource source : List.of(new TableDraft(DRAFT), new NgramDraft(1, 8, 9))) {
        assertThat(decoding.speculative(source, options))
            .as("%s, %d", source.name(), length)
            .isEqualTo(plain);
      }
    }
  }

  @Test
  void everySampler() {
    Decoding decoding = new Decoding(TARGET, new int[] {3, 1}, 500);
    Map<Integer, Float> bias = Map.of(2, 1.5f, 7, Float.NEGATIVE_INFINITY, 9, -1f);
    List<SamplerOptions> samplers =
        List.of(
            HOT.withTopK(5),
            HOT.withTopP(0.8f),
            HOT.withMinP(0.1f),
            HOT.withPenalties(1.3f, 0.2f, 0.01f),
            HOT.withTopK(6).withTopP(0.9f).withMinP(0.02f).withPenalties(1.1f, 0, 0.02f),
            SamplerOptions.GREEDY.withPenalties(1.2f, 0.3f, 0.02f));
    for (SamplerOptions sampler : samplers) {
      SpecOptions options = options(SpecMode.EXACT, sampler, new StopRule.Constant(5));
      assertEqual(decoding, options, decoding.plain(options));
      SpecOptions biased = options.withBias(bias);
      assertEqual(decoding, biased, decoding.plain(biased));
    }
  }

  @Test
  void everyEnd() {
    Decoding decoding = new Decoding(TARGET, new int[] {3, 1}, 300);
    for (int end = 0; end < V; end++) {
      for (SamplerOptions sampler : List.of(HOT, SamplerOptions.GREEDY)) {
        SpecOptions options =
            options(SpecMode.EXACT, sampler, new StopRule.Constant(5)).withEndTokens(Set.of(end));
        assertEqual(decoding, options, decoding.plain(options));
      }
    }
  }

  /** Coupled noise: the draft agrees as often as two draws can, not as often as by chance. */
  @Test
  void anExactDraftIsCoupled() {
    Decoding decoding = new Decoding(TARGET, new int[] {3, 1}, 1000);
    SpecOptions options = options(SpecMode.EXACT, HOT, new StopRule.Constant(1));
    TableModel model = new TableModel(TARGET, 3000, false);
    Text text = new Text(3, 1);
    model.prompt(text);
    try (Speculation speculation = Speculation.of(model, new TableDraft(TARGET), options, null)) {
      speculation.generate(text, 1000, token -> true);
      // The same logits and noise: every candidate is right.
      assertThat(speculation.stats().acceptanceRate()).isEqualTo(1);
      assertThat(text.toArray()).isEqualTo(decoding.plain(options));
    }
  }

  /** TOKEN and BLOCK are told how candidates were drawn: p = q rejects nothing but roundings. */
  @Test
  void anEqualDraftIsAccepted() {
    for (SpecMode mode : List.of(SpecMode.TOKEN, SpecMode.BLOCK)) {
      TableModel model = new TableModel(TARGET, 1003, false);
      Text text = new Text(3, 1);
      model.prompt(text);
      SpecOptions options = options(mode, HOT, new StopRule.Constant(4));
      try (Speculation speculation = Speculation.of(model, new TableDraft(TARGET), options, null)) {
        speculation.generate(text, 1000, token -> true);
        assertThat(speculation.stats().acceptanceRate()).isGreaterThan(0.999);
      }
    }
  }
}

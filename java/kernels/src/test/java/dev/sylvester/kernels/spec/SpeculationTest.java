package dev.sylvester.kernels.spec;

import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.spec.Drafts.source;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.kernels.SpecMode;
import dev.sylvester.kernels.Status;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

class SpeculationTest extends SpeculationFixture {
  // ---- Rounds ----

  @Test
  void aRoundAppendsWhatWasAcceptedAndOneToken() {
    Speculation speculation =
        start(new TableDraft(DRAFT), options(SpecMode.TOKEN, new StopRule.Constant(5)));
    long accepted = 0;
    for (int round = 1; round <= 40; round++) {
      int before = text.length();
      int emitted = speculation.round(text, 100);
      assertThat(text.length()).isEqualTo(before + emitted);
      assertThat(model.position()).isEqualTo(text.length() - 1);
      SpecStats stats = speculation.stats();
      accepted += emitted - 1;
      assertThat(stats.rounds()).isEqualTo(round);
      assertThat(stats.accepted()).isEqualTo(accepted);
    }
    assertThat(model.passes).isEqualTo(40);
    assertThat(accepted).isPositive();
  }

  @Test
  void theContextIsNeverExceeded() {
    for (DraftSource source :
        List.of(
            new TableDraft(TARGET),
            new TreeTableDraft(TARGET, TreeShape.best(new double[] {0.6, 0.2}, 20, 8), false))) {
      for (int context = 3; context < 12; context++) {
        TableModel small = new TableModel(TARGET, context, true);
        Text full = new Text(1, 2, 3);
        small.prompt(full);
        SpecOptions options = options(SpecMode.EXACT, new StopRule.Constant(7));
        try (Speculation speculation = Speculation.of(small, source, options, null)) {
          assertThat(speculation.generate(full, 100, token -> true)).isEqualTo(context - 3);
          assertThat(full.length()).isEqualTo(context);
          assertThat(speculation.round(full, 5)).isZero();
        }
      }
    }
  }

  @Test
  void noMoreTokensThanAskedFor() {
    Speculation speculation =
        start(new TableDraft(TARGET), options(SpecMode.EXACT, new StopRule.Constant(9)));
    for (int most = 1; most < 14; most++) {
      assertThat(speculation.round(text, most)).isEqualTo(Math.min(most, 10));
      assertThat(speculation.generate(text, most, token -> true)).isEqualTo(most);
    }
    assertThat(speculation.generate(text, 0, token -> true)).isZero();
  }

  @Test
  void noMoreRowsThanTheModelReads() {
    model.maxRows = 4;
    Speculation speculation =
        start(new TableDraft(TARGET), options(SpecMode.EXACT, new StopRule.Constant(9)));
    speculation.generate(text, 50, token -> true);
    assertThat(model.mostRows).isEqualTo(4);
    model.maxRows = 1;
    assertThat(speculation.round(text, 50)).isEqualTo(1);
  }

  @Test
  void noMoreCandidatesThanNodes() {
    SpecOptions few = options(SpecMode.EXACT, new StopRule.Constant(9)).withNodes(3);
    Speculation speculation = start(new TableDraft(TARGET), few);
    assertThat(speculation.round(text, 50)).isEqualTo(4);
    assertThat(model.mostRows).isEqualTo(4);
  }

  @Test
  void aSourceThatHasNothingGivesPlainDecoding() {
    Speculation speculation =
        start(source("none", (t, draft) -> {}), options(SpecMode.BLOCK, new StopRule.Constant(4)));
    assertThat(speculation.generate(text, 30, token -> true)).isEqualTo(30);
    SpecStats stats = speculation.stats();
    assertThat(stats.zeroRounds()).isEqualTo(30);
    assertThat(stats.rounds()).isEqualTo(30);
    assertThat(stats.drafted()).isZero();
    assertThat(stats.lengthHistogram()).containsExactly(30);
    assertThat(stats.proposedAt()).isEmpty();
    assertThat(stats.ece()).isNaN();
    assertThat(stats.tokensPerPass()).isEqualTo(1);
    assertThat(stats.plainNanos()).isPositive();
  }

  // ---- Ends ----

  @Test
  void anEndTokenIsTheLast() {
    for (int end = 0; end < V; end++) {
      Text ended = new Text(1, 2, 3);
      model.prompt(ended);
      SpecOptions options =
          options(SpecMode.TOKEN, new StopRule.Constant(6)).withEndTokens(Set.of(end));
      try (Speculation speculation = Speculation.of(model, new TableDraft(DRAFT), options, null)) {
        int appended = speculation.generate(ended, 400, token -> true);
        int[] tokens = ended.toArray();
        assertThat(tokens).hasSize(3 + appended);
        assertThat(tokens[tokens.length - 1]).isEqualTo(end);
        assertThat(Arrays.stream(tokens, 3, tokens.length - 1)).doesNotContain(end);
        assertThat(model.position()).isEqualTo(tokens.length - 1);
      }
    }
  }

  @Test
  void anEndInsideTheAcceptedCandidatesEndsTheText() {
    // The source knows the text, and goes on behind the end.
    SpecOptions greedy =
        SpecOptions.of(SpecMode.GREEDY, SamplerOptions.GREEDY)
            .withRule(new StopRule.Constant(20))
            .withGate(false);
    int[] plain = new Decoding(TARGET, new int[] {1, 2, 3}, 6).plain(greedy);
    int end = plain[5];
    int first = 3;
    while (plain[first] != end) {
      first++;
    }
    Speculation speculation =
        start(
            source(
                "knows",
                (t, draft) -> {
                  for (int i = t.length(); i < plain.length; i++) {
                    draft.add(plain[i], 0.9);
                  }
                }),
            greedy.withEndTokens(Set.of(end)));
    assertThat(speculation.round(text, 100)).isEqualTo(first - 2);
    assertThat(text.toArray()).isEqualTo(Arrays.copyOf(plain, first + 1));
    assertThat(model.position()).isEqualTo(first);
    // What was accepted was the end: no token of the target's own.
    assertThat(speculation.stats().accepted()).isEqualTo(speculation.stats().emitted());
  }

  @Test
  void theConsumerEndsTheText() {
    Speculation speculation =
        start(new TableDraft(TARGET), options(SpecMode.EXACT, new StopRule.Constant(6)));
    List<Integer> seen = new ArrayList<>();
    int appended =
        speculation.generate(
            text,
            100,
            token -> {
              seen.add(token);
              return seen.size() < 10;
            });
    assertThat(appended).isEqualTo(10);
    assertThat(text.length()).isEqualTo(13);
    assertThat(model.position()).isEqualTo(12);
    assertThat(speculation.stats().emitted()).isEqualTo(10);
    // And goes on as if nothing had been beyond.
    speculation.generate(text, 20, token -> true);
    int[] plain =
        new Decoding(TARGET, new int[] {1, 2, 3}, 30)
            .plain(options(SpecMode.EXACT, new StopRule.Constant(1)));
    assertThat(text.toArray()).isEqualTo(plain);
  }

  @Test
  void tokensAreTakenBack() {
    Speculation speculation =
        start(new TableDraft(TARGET), options(SpecMode.EXACT, new StopRule.Constant(6)));
    speculation.round(text, 50);
    speculation.cut(text, 5);
    assertThat(text.length()).isEqualTo(5);
    assertThat(model.position()).isEqualTo(4);
    assertThat(speculation.stats().emitted()).isEqualTo(2);
    speculation.cut(text, 5);
    assertRefused(Status.BAD_VALUE, "newLength is 0", () -> speculation.cut(text, 0));
    assertRefused(Status.BAD_VALUE, "newLength is 6", () -> speculation.cut(text, 6));
    assertThat(speculation.stats().emitted()).isEqualTo(2);
  }

  // ---- Statistics ----

  @Test
  void statisticsAddUp() {
    TreeShape shape = TreeShape.best(new double[] {0.5, 0.2, 0.1}, 10, 4);
    for (DraftSource source :
        List.of(
            new TableDraft(DRAFT),
            new NgramDraft(1, 8, 3),
            new TreeTableDraft(DRAFT, shape, false),
            new RandomDraft(3, V, true))) {
      TableModel wide = new TableModel(TARGET, 5000, true);
      Text long1 = new Text(1, 2, 3);
      wide.prompt(long1);
      SpecOptions options = options(SpecMode.TOKEN, new StopRule.Confidence(0.4, 1, 9));
      try (Speculation speculation = Speculation.of(wide, source, options, null)) {
        speculation.generate(long1, 2000, token -> true);
        SpecStats stats = speculation.stats();
        assertThat(stats.emitted()).isEqualTo(2000);
        assertThat(stats.rounds()).isEqualTo(wide.passes);
        assertThat(stats.emitted()).isEqualTo(stats.rounds() + stats.accepted());
        assertThat(sum(stats.acceptedAt())).isEqualTo(stats.accepted());
        assertThat(sum(stats.acceptedByRank())).isEqualTo(stats.accepted());
        assertThat(sum(stats.lengthHistogram())).isEqualTo(stats.rounds());
        assertThat(stats.lengthHistogram()[0]).isEqualTo(stats.zeroRounds());
        long drafted = 0;
        for (int i = 0; i < stats.lengthHistogram().length; i++) {
          drafted += i * stats.lengthHistogram()[i];
        }
        assertThat(drafted).isEqualTo(stats.drafted());
        if (!(source instanceof TreeTableDraft || source instanceof RandomDraft)) {
          assertThat(sum(stats.proposedAt())).isEqualTo(stats.drafted());
        }
        assertThat(stats.acceptanceRate()).isEqualTo(1.0 * stats.accepted() / stats.drafted());
        assertThat(stats.discardRate()).isEqualTo((stats.drafted() - stats.accepted()) / 2000.0);
        assertThat(stats.verifyRate() * stats.tokensPerPass()).isBetween(0.999999, 1.000001);
        for (double share : stats.acceptanceByRank()) {
          assertThat(share).isBetween(0.0, 1.0);
        }
      }
    }
  }

  private static long sum(long[] values) {
    return Arrays.stream(values).sum();
  }

  @Test
  void acceptanceByRankIsHowOftenTheTargetChoseThatRank() {
    // Independent: every pair of tokens has the same law, so do all ranks.
    float[] logits = new float[V * V * V];
    double[] p = {0.4, 0.3, 0.1, 0.08, 0.05, 0.03, 0.03, 0.01};
    for (int i = 0; i < logits.length; i++) {
      logits[i] = (float) Math.log(p[i % V]);
    }
    Table table = new Table(V, logits);
    TableModel wide = new TableModel(table, 30_000, true);
    Text long1 = new Text(1, 2, 3);
    wide.prompt(long1);
    DraftSource source =
        new TreeTableDraft(table, TreeShape.best(new double[] {0.4, 0.3, 0.1}, 12, 3), false);
    SpecOptions options = options(SpecMode.EXACT, new StopRule.Constant(1));
    try (Speculation speculation = Speculation.of(wide, source, options, null)) {
      speculation.generate(long1, 20_000, token -> true);
      double[] shares = speculation.stats().acceptanceByRank();
      assertThat(shares).hasSize(3);
      for (int rank = 0; rank < 3; rank++) {
        assertThat(shares[rank]).isBetween(p[rank] - 0.02, p[rank] + 0.02);
      }
    }
  }

  @Test
  void aHeadWithoutPredictionStopsAtTheLeastLengthAndIsCounted() {
    for (StopRule rule : List.of(new StopRule.Threshold(0.9, 3, 9), new StopRule.Cost(3, 9))) {
      TableDraft source = new TableDraft(TARGET);
      source.prediction = Float.NaN;
      Text fresh = new Text(1, 2, 3);
      model.prompt(fresh);
      SpecOptions options = options(SpecMode.EXACT, rule).withPredictor(new FakeHead());
      try (Speculation speculation = Speculation.of(model, source, options, null)) {
        speculation.generate(fresh, 101, token -> true);
        SpecStats stats = speculation.stats();
        assertThat(stats.lengthHistogram()[3]).isGreaterThan(20);
        assertThat(stats.lengthHistogram()).hasSize(4);
        assertThat(stats.invalidPredictions()).isGreaterThan(20);
        assertThat(stats.ece()).isNaN();
      }
    }
  }

  @Test
  void calibrationErrorIsThatOfThePredictions() {
    TableDraft source = new TableDraft(TARGET);
    source.prediction = 0.75f;
    SpecOptions options =
        options(SpecMode.EXACT, new StopRule.Constant(3)).withPredictor(new FakeHead());
    Speculation speculation = start(source, options);
    speculation.generate(text, 100, token -> true);
    // All are accepted; of three candidates the head judges two.
    assertThat(speculation.stats().ece()).isEqualTo(0.25);
  }
}

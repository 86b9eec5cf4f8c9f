package dev.sylvester.kernels.spec;

import static dev.sylvester.kernels.TestData.assertRefused;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.kernels.SpecMode;
import dev.sylvester.kernels.Status;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class SpeculationTest {
  private static final int V = 8;
  private static final Table TARGET = Table.random(V, 11, 2);
  private static final Table DRAFT = TARGET.plus(Table.random(V, 12, 2), 0.4);
  private static final SamplerOptions HOT = SamplerOptions.GREEDY.withTemperature(1).withSeed(5);

  private final TableModel model = new TableModel(TARGET, 500, true);
  private final Text text = new Text(1, 2, 3);
  private final List<Speculation> open = new ArrayList<>();

  @AfterEach
  void free() {
    open.forEach(Speculation::close);
  }

  private Speculation start(DraftSource source, SpecOptions options) {
    model.prompt(text);
    Speculation speculation = Speculation.of(model, source, options, null);
    open.add(speculation);
    return speculation;
  }

  private static SpecOptions options(SpecMode mode, StopRule rule) {
    return SpecOptions.of(mode, HOT).withRule(rule).withGate(false);
  }

  private static DraftSource source(String name, Proposal proposal) {
    return new DraftSource() {
      @Override
      public String name() {
        return name;
      }

      @Override
      public void propose(Text text, Draft draft) {
        proposal.propose(text, draft);
      }
    };
  }

  private interface Proposal {
    void propose(Text text, Draft draft);
  }

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

  // ---- Errors: text and target are as before ----

  private void assertUnchanged(Speculation speculation, Runnable fails, Class<?> error) {
    int[] before = text.toArray();
    int position = model.position();
    assertThatThrownBy(fails::run).isInstanceOf(error);
    assertThat(text.toArray()).isEqualTo(before);
    assertThat(model.position()).isEqualTo(position);
    assertThat(speculation.stats().rounds()).isZero();
  }

  private static SpecOptions four(SpecMode mode) {
    return options(mode, new StopRule.Constant(4));
  }

  @Test
  void tokensOutsideTheVocabularyAreRefused() {
    for (int token : new int[] {-1, V, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
      Speculation speculation =
          start(source("bad", (t, draft) -> draft.add(token, 0.5)), four(SpecMode.EXACT));
      assertRefused(
          Status.BAD_VALUE,
          "token is " + token + ", must be 0..7",
          () -> speculation.round(text, 9));
      assertUnchanged(speculation, () -> speculation.round(text, 9), RuntimeException.class);
    }
  }

  @Test
  void drawsWithoutLogitsAreRefused() {
    Speculation none = start(source("none", (t, draft) -> draft.draw()), four(SpecMode.TOKEN));
    assertUnchanged(none, () -> none.round(text, 9), IllegalStateException.class);
    Speculation nan =
        start(
            source(
                "nan",
                (t, draft) -> {
                  draft.logits().fill((byte) -1);
                  draft.draw();
                }),
            four(SpecMode.TOKEN));
    assertRefused(Status.BAD_VALUE, "", () -> nan.round(text, 9));
    assertUnchanged(nan, () -> nan.round(text, 9), RuntimeException.class);
  }

  @Test
  void drawnAndChosenCandidatesAreNotMixed() {
    Proposal mixed =
        (t, draft) -> {
          TARGET.row(t.get(t.length() - 2), t.last(), draft.logits(), 0);
          draft.draw();
          draft.add(1, 0.5);
        };
    Speculation token = start(source("mixed", mixed), four(SpecMode.TOKEN));
    assertUnchanged(token, () -> token.round(text, 9), IllegalStateException.class);
    // Where nobody asks how a candidate was found it is fine.
    assertThat(start(source("mixed", mixed), four(SpecMode.EXACT)).round(text, 9)).isPositive();
  }

  @Test
  void tooManyCandidatesAreRefused() {
    Proposal many =
        (t, draft) -> {
          for (int i = 0; i < 99; i++) {
            draft.add(1, 0.5);
          }
        };
    Speculation nodes = start(source("many", many), four(SpecMode.EXACT));
    assertThatThrownBy(() -> nodes.round(text, 400))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("candidate 65 of depth 65, there is room for 64 of depth 399");
    assertUnchanged(nodes, () -> nodes.round(text, 3), IllegalStateException.class);
  }

  @Test
  void treesAreRefusedByBlockAndByModelsThatReadNone() {
    Proposal tree =
        (t, draft) -> {
          draft.add(0, 1, 0.5);
          draft.add(0, 2, 0.5);
        };
    Speculation block = start(source("tree", tree), four(SpecMode.BLOCK));
    assertRefused(Status.UNSUPPORTED, "BLOCK", () -> block.round(text, 9));
    assertUnchanged(block, () -> block.round(text, 9), RuntimeException.class);
    TableModel chains = new TableModel(TARGET, 500, false);
    chains.prompt(text);
    try (Speculation speculation =
        Speculation.of(chains, source("tree", tree), four(SpecMode.EXACT), null)) {
      assertThatThrownBy(() -> speculation.round(text, 9))
          .isInstanceOf(UnsupportedOperationException.class);
    }
  }

  @Test
  void badLogitsOfTheTargetChangeNothing() {
    for (boolean tree : new boolean[] {false, true}) {
      float[] logits = new float[V * V * V];
      Arrays.fill(logits, Float.NaN);
      TableModel broken = new TableModel(new Table(V, logits), 500, true);
      broken.prompt(text);
      Proposal two =
          (t, draft) -> {
            draft.add(0, 1, 0.5);
            draft.add(tree ? 0 : 1, 2, 0.5);
          };
      try (Speculation speculation =
          Speculation.of(broken, source("two", two), four(SpecMode.TOKEN), null)) {
        assertRefused(Status.BAD_VALUE, "row 0", () -> speculation.round(text, 9));
        assertThat(text.toArray()).containsExactly(1, 2, 3);
        assertThat(broken.position()).isEqualTo(2);
        assertRefused(Status.BAD_VALUE, "row 0", () -> speculation.round(text, 9));
      }
    }
  }

  /** Rows of an engine that are too short for what it says they are. */
  @Test
  void shortRowsAreRefused() {
    TargetModel shortRows =
        new TargetModel() {
          @Override
          public int vocabulary() {
            return V;
          }

          @Override
          public int context() {
            return 500;
          }

          @Override
          public int position() {
            return model.position();
          }

          @Override
          public MemorySegment read(int[] tokens, int[] parents, int count) {
            return model.read(tokens, parents, count).asSlice(0, (count * V - 1L) * Float.BYTES);
          }

          @Override
          public void truncate(int length) {
            model.truncate(length);
          }
        };
    model.prompt(text);
    try (Speculation speculation =
        Speculation.of(shortRows, new TableDraft(DRAFT), four(SpecMode.TOKEN), null)) {
      assertUnchanged(speculation, () -> speculation.round(text, 9), RuntimeException.class);
      assertRefused(Status.BAD_SHAPE, "logits has", () -> speculation.round(text, 9));
    }
  }

  @Test
  void badArgumentsAreRefused() {
    Speculation speculation = start(new TableDraft(DRAFT), four(SpecMode.EXACT));
    assertRefused(Status.BAD_VALUE, "most is 0", () -> speculation.round(text, 0));
    assertRefused(
        Status.BAD_VALUE,
        "the target has read 2 tokens of 2",
        () -> speculation.round(new Text(1, 2), 5));
    assertRefused(Status.BAD_VALUE, "of 0", () -> speculation.round(new Text(), 5));
    assertThatThrownBy(
            () -> Speculation.of(null, new TableDraft(DRAFT), four(SpecMode.EXACT), null))
        .isInstanceOf(NullPointerException.class)
        .hasMessage("target");
    SpecOptions options = four(SpecMode.EXACT);
    assertThatThrownBy(() -> options.withNodes(0)).hasMessageContaining("nodes is 0");
    assertThatThrownBy(() -> options.withNodes(256)).hasMessageContaining("nodes is 256");
    for (SpecOptions bad :
        List.of(
            options.withBias(Map.of(V, 1f)),
            options.withBias(Map.of(1, Float.NaN)),
            options.withEndTokens(Set.of(-1)),
            SpecOptions.of(SpecMode.TOKEN, HOT.withTopP(0)))) {
      Speculation refuses = start(source("none", (t, draft) -> {}), bad);
      assertRefused(Status.BAD_VALUE, "", () -> refuses.round(text, 5));
    }
  }

  @Test
  void aClosedSpeculationIsRefused() {
    Speculation speculation = start(new TableDraft(DRAFT), four(SpecMode.TOKEN));
    speculation.round(text, 50);
    speculation.close();
    speculation.close();
    assertThatThrownBy(() -> speculation.round(text, 50)).isInstanceOf(IllegalStateException.class);
  }

  // ---- Drafts as sources see them ----

  @Test
  void nodesOfATree() {
    Speculation speculation =
        start(
            source(
                "tree",
                (t, draft) -> {
                  assertThat(draft.count()).isZero();
                  assertThat(draft.token(0)).isEqualTo(t.last());
                  assertThat(draft.add(0, 1, 0.5)).isEqualTo(1);
                  assertThat(draft.add(0, 2, 0.5)).isEqualTo(2);
                  assertThat(draft.add(1, 3, Double.NaN)).isEqualTo(3);
                  assertThat(draft.parent(3)).isEqualTo(1);
                  assertThat(draft.token(3)).isEqualTo(3);
                  assertThat(draft.depth(3)).isEqualTo(2);
                  assertThat(draft.room()).isEqualTo(61);
                  assertThat(draft.maxDepth()).isEqualTo(8);
                  assertThat(draft.logits(3).byteSize()).isEqualTo(V * Float.BYTES);
                  assertThatThrownBy(() -> draft.token(4))
                      .isInstanceOf(IndexOutOfBoundsException.class);
                  assertThatThrownBy(() -> draft.add(4, 0, 0.5))
                      .isInstanceOf(IndexOutOfBoundsException.class);
                  assertThatThrownBy(() -> draft.logits(-1))
                      .isInstanceOf(IndexOutOfBoundsException.class);
                }),
            four(SpecMode.EXACT));
    speculation.round(text, 9);
  }

  @Test
  void greedyDrawsOneChildOfANode() {
    Proposal twice =
        (t, draft) -> {
          TARGET.row(t.get(t.length() - 2), t.last(), draft.logits(), 0);
          draft.draw(0);
          draft.draw(0);
        };
    Speculation speculation =
        start(source("twice", twice), SpecOptions.of(SpecMode.GREEDY, HOT).withGate(false));
    model.prompt(text);
    // The first round measures a plain pass.
    speculation.round(text, 9);
    assertThatThrownBy(() -> speculation.round(text, 9)).hasMessageContaining("one child");
  }

  @Test
  void entropyIsThatOfTheDraft() {
    double[] p = DRAFT.probabilities(2, 3, 1);
    double expected = 0;
    for (double x : p) {
      expected -= x * Math.log(x);
    }
    int[] lengths = new int[2];
    for (int i = 0; i < 2; i++) {
      StopRule rule = new StopRule.Entropy(expected + (i == 0 ? -1e-5 : 1e-5), 1, 2);
      int at = i;
      Text fresh = new Text(1, 2, 3);
      model.prompt(fresh);
      DraftSource source =
          source(
              "entropy",
              (t, draft) -> {
                DRAFT.row(2, 3, draft.logits(), 0);
                assertThat(draft.logits().get(JAVA_FLOAT, 0)).isFinite();
                draft.draw();
                lengths[at] = draft.wanted() ? 2 : 1;
              });
      try (Speculation speculation =
          Speculation.of(model, source, options(SpecMode.EXACT, rule), null)) {
        speculation.round(fresh, 9);
      }
    }
    assertThat(lengths).containsExactly(1, 2);
  }
}

package dev.sylvester.kernels.spec;

import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.spec.Drafts.source;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.kernels.SpecMode;
import dev.sylvester.kernels.Status;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** What is refused leaves text and target as they were. */
class SpeculationErrorsTest extends SpeculationFixture {
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
    Drafts.Proposal mixed =
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
    Drafts.Proposal many =
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
    Drafts.Proposal tree =
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
      Drafts.Proposal two =
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
    Drafts.Proposal twice =
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

package dev.sylvester.runner.diffusion;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.LogitsOptions;
import dev.sylvester.kernels.LogitsStats;
import dev.sylvester.kernels.RowSelector;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/** The native selection takes the positions that the rules take, in their order. */
class NativeSelectionTest {
  private static final int MASK = 0;
  private static final int VOCABULARY = 24;
  private static final int LENGTH = 32;
  private static final int CASES = 50;

  /** A rule, and what it has selected compared with another selection of the same rows. */
  private record Compared(CommitRule rule, RowSelector selector, Oracle oracle, Arena arena)
      implements CommitRule {
    @Override
    public boolean adaptive() {
      return rule.adaptive();
    }

    @Override
    public boolean idle(Schedule.Stage stage) {
      return rule.idle(stage);
    }

    @Override
    public void select(Predictions predictions, Decoding decoding, Picks picks) {
      rule.select(predictions, decoding, picks);
      int[] expected = new int[picks.commits()];
      for (int i = 0; i < expected.length; i++) {
        expected[i] = picks.commitAt(i);
      }
      if (rule instanceof FixedK) {
        selector.k(decoding.stage().quota());
      }
      int count = predictions.candidates();
      MemorySegment selected = arena.allocate(ValueLayout.JAVA_INT, count);
      int taken = selector.select(stats(predictions, decoding, count), null, count, selected);
      int[] got = selected.asSlice(0, 4L * taken).toArray(ValueLayout.JAVA_INT);
      assertThat(got).as("%s in step %d", rule, decoding.step()).isEqualTo(expected);
    }

    private LogitsStats stats(Predictions predictions, Decoding decoding, int count) {
      int[] tokens = new int[LENGTH];
      for (int i = 0; i < LENGTH; i++) {
        tokens[i] = decoding.token(i);
      }
      MemorySegment rows = arena.allocate(ValueLayout.JAVA_FLOAT, (long) count * VOCABULARY);
      for (int r = 0; r < count; r++) {
        float[] row = oracle.row(tokens, predictions.position(r));
        MemorySegment.copy(row, 0, rows, ValueLayout.JAVA_FLOAT, 4L * r * VOCABULARY, VOCABULARY);
      }
      LogitsStats stats = LogitsStats.allocate(count, arena);
      LogitsOptions options = LogitsOptions.allocate(arena).banned(MASK).ignored(MASK);
      stats.compute(options, rows, null, VOCABULARY, count, VOCABULARY, null, null, count, null);
      return stats;
    }
  }

  private static void compare(CommitRule rule, Function<Arena, RowSelector> selector) {
    for (int seed = 1; seed <= CASES; seed++) {
      try (Arena arena = Arena.ofConfined()) {
        Oracle oracle = new Oracle(seed, VOCABULARY, false, seed % 2 == 0);
        Compared compared = new Compared(rule, selector.apply(arena), oracle, arena);
        Canvas canvas = Canvas.of(new int[0], LENGTH, MASK);
        DiffusionRequest request =
            DiffusionRequest.of(canvas, new SemiAutoregressive(16, 16)).withRule(compared);
        DiffusionResult result = new DiffusionDecoder(oracle).fill(request);
        assertThat(result.tokens()).doesNotContain(MASK);
      }
    }
  }

  @Test
  void fixedNumber() {
    for (RowSelector.Score score : RowSelector.Score.values()) {
      compare(
          new FixedK(FixedK.Score.valueOf(score.name())),
          arena -> RowSelector.fixedK(score, 0, arena));
    }
  }

  @Test
  void threshold() {
    compare(new Threshold(0.2), arena -> RowSelector.threshold(0.2, arena));
  }

  @Test
  void factor() {
    compare(new Factor(2), arena -> RowSelector.factor(2, false, arena));
    compare(new Factor(2, true), arena -> RowSelector.factor(2, true, arena));
  }

  @Test
  void entropyBound() {
    compare(new EntropyBound(4), arena -> RowSelector.entropyBound(4, arena));
  }
}

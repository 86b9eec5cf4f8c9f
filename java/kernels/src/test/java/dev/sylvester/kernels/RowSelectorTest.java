package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.assertRefused;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

class RowSelectorTest {
  /** Rows of two tokens whose logits differ by so much. */
  private static LogitsStats stats(Arena arena, float... gaps) {
    MemorySegment logits = arena.allocate(JAVA_FLOAT, 2L * gaps.length);
    for (int i = 0; i < gaps.length; i++) {
      logits.setAtIndex(JAVA_FLOAT, 2L * i, gaps[i]);
    }
    LogitsStats stats = LogitsStats.allocate(gaps.length, arena);
    stats.compute(logits, 2, gaps.length, 2, null);
    return stats;
  }

  private static int[] select(RowSelector selector, LogitsStats stats, MemorySegment masked) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment selected = arena.allocate(JAVA_INT, stats.capacity());
      int count = selector.select(stats, masked, stats.capacity(), selected);
      return selected.asSlice(0, 4L * count).toArray(JAVA_INT);
    }
  }

  @Test
  void rules() {
    try (Arena arena = Arena.ofConfined()) {
      // Confidences 0.731, 0.982, 0.881, 0.982, 0.5; entropies 0.58, 0.09, 0.37, 0.09, 0.69.
      LogitsStats stats = stats(arena, 1, 4, 2, 4, 0);
      RowSelector fixed = RowSelector.fixedK(RowSelector.Score.MARGIN, 3, arena);
      assertThat(select(fixed, stats, null)).containsExactly(1, 3, 2);
      assertThat(select(fixed.k(0), stats, null)).isEmpty();
      assertThat(select(fixed.k(9), stats, null)).containsExactly(1, 3, 2, 0, 4);
      assertThat(select(RowSelector.threshold(0.88, arena), stats, null)).containsExactly(1, 3, 2);
      assertThat(select(RowSelector.threshold(1, arena), stats, null)).containsExactly(1);
      assertThat(select(RowSelector.factor(0.4, false, arena), stats, null)).containsExactly(1, 3);
      assertThat(select(RowSelector.factor(1.4, false, arena), stats, null))
          .containsExactly(1, 3, 2, 0);
      assertThat(select(RowSelector.factor(1.4, true, arena), stats, null)).hasSize(5);
      assertThat(select(RowSelector.entropyBound(0.15, arena), stats, null)).containsExactly(1, 3);
      assertThat(select(RowSelector.entropyBound(0.2, arena), stats, null))
          .containsExactly(1, 3, 2);
      MemorySegment masked = arena.allocateFrom(JAVA_BYTE, new byte[] {1, 0, 1, 0, 1});
      assertThat(select(RowSelector.threshold(0.7, arena), stats, masked)).containsExactly(2, 0);
    }
  }

  @Test
  void badArgumentsAreRefused() {
    try (Arena arena = Arena.ofConfined()) {
      LogitsStats stats = stats(arena, 1, 2);
      MemorySegment selected = arena.allocate(JAVA_INT, 1);
      RowSelector selector = RowSelector.threshold(2, arena);
      assertRefused(
          Status.BAD_VALUE, "bound is 2", () -> selector.select(stats, null, 1, selected));
      assertRefused(Status.BAD_SHAPE, "selected", () -> selector.select(stats, null, 2, selected));
      assertRefused(
          Status.BAD_VALUE, "count is 3", () -> selector.select(stats, null, 3, selected));
      assertRefused(
          Status.BAD_SHAPE, "masked", () -> selector.select(stats, arena.allocate(0), 1, selected));
    }
  }
}

package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.EPS;
import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.get;
import static dev.sylvester.kernels.TestData.rows;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

class LogitsStatsTest {
  @Test
  void rowsByDefinition() {
    int rows = 3;
    int cols = 1001;
    long stride = 1003;
    try (Arena arena = Arena.ofConfined();
        ThreadPool pool = ThreadPool.of(2)) {
      MemorySegment logits = rows(arena, 1, rows, cols, stride);
      LogitsStats stats = LogitsStats.allocate(4, arena);
      stats.compute(logits, stride, rows, cols, pool);
      for (int r = 0; r < rows; r++) {
        int argmax = 0;
        double sum = 0;
        for (int i = 0; i < cols; i++) {
          float logit = get(logits, r * stride + i);
          argmax = logit > get(logits, r * stride + argmax) ? i : argmax;
          sum += Math.exp(logit);
        }
        assertThat(stats.argmax(r)).isEqualTo(argmax);
        assertThat(stats.max(r)).isEqualTo(get(logits, r * stride + argmax));
        assertThat(stats.logSumExp(r)).isCloseTo(Math.log(sum), offset(1e-6 + 8 * EPS));
      }
    }
  }

  @Test
  void ofAHeapRow() {
    LogitsStats stats = LogitsStats.of(new float[] {1, Float.NaN, 3, 3});
    assertThat(stats.argmax(0)).isEqualTo(2);
    assertThat(stats.max(0)).isEqualTo(3);
    assertThat(LogitsStats.of(new float[] {Float.NaN}).argmax(0)).isEqualTo(-1);
  }

  @Test
  void badArgumentsAreRefused() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment logits = rows(arena, 1, 2, 10, 10);
      LogitsStats stats = LogitsStats.allocate(1, arena);
      assertRefused(Status.BAD_VALUE, "rows is 2", () -> stats.compute(logits, 10, 2, 10, null));
      assertRefused(Status.BAD_SHAPE, "logits has", () -> stats.compute(logits, 21, 1, 21, null));
      assertRefused(Status.BAD_VALUE, "rows is 0", () -> LogitsStats.allocate(0, arena));
      assertThatThrownBy(() -> stats.argmax(1)).isInstanceOf(IndexOutOfBoundsException.class);
    }
  }
}

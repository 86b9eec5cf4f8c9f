package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.EPS;
import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.get;
import static dev.sylvester.kernels.TestData.rows;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import dev.sylvester.kernels.ffi.SylvesterFfi;
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
        double weighted = 0;
        for (int i = 0; i < cols; i++) {
          float logit = get(logits, r * stride + i);
          argmax = logit > get(logits, r * stride + argmax) ? i : argmax;
          sum += Math.exp(logit);
          weighted += logit * Math.exp(logit);
        }
        float second = Float.NEGATIVE_INFINITY;
        for (int i = 0; i < cols; i++) {
          second = i == argmax ? second : Math.max(second, get(logits, r * stride + i));
        }
        double p = Math.exp(get(logits, r * stride + argmax)) / sum;
        assertThat(stats.token(r)).isEqualTo(argmax);
        assertThat(stats.second(r)).isEqualTo(second);
        assertThat(stats.gap(r)).isEqualTo(stats.max(r) - second);
        assertThat(stats.probability(r)).isCloseTo(p, offset(1e-6 * p));
        assertThat(stats.tail(r)).isCloseTo((1 - p) / p, offset(1e-6 / p));
        assertThat(stats.margin(r)).isCloseTo(p - Math.exp(second) / sum, offset(1e-6));
        assertThat(stats.entropy(r)).isCloseTo(Math.log(sum) - weighted / sum, offset(1e-5));
        assertThat(stats.argmax(r)).isEqualTo(argmax);
        assertThat(stats.max(r)).isEqualTo(get(logits, r * stride + argmax));
        assertThat(stats.logSumExp(r)).isCloseTo(Math.log(sum), offset(1e-6 + 8 * EPS));
      }
    }
  }

  @Test
  void listedRowsOfHalves() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment logits = rows(arena, 1, 5, 3000, 3000);
      MemorySegment halves = arena.allocate(2L * 5 * 3000);
      SylvesterException.check(
          SylvesterFfi.syl_convert_from_f32(DType.BF16.id(), logits, 5 * 3000, halves));
      MemorySegment list = arena.allocateFrom(JAVA_INT, 4, 0);
      MemorySegment streams = arena.allocateFrom(JAVA_LONG, 9, 9);
      LogitsOptions options = LogitsOptions.allocate(arena).type(DType.BF16).drawTemperature(1);
      LogitsStats stats = LogitsStats.allocate(2, arena);
      stats.compute(options, halves, null, 3000, 5, 3000, list, streams, 2, null);
      for (int i = 0; i < 2; i++) {
        float max = Float.NEGATIVE_INFINITY;
        for (int c = 0; c < 3000; c++) {
          max = Math.max(max, bfloat16(halves, (i == 0 ? 4 : 0) * 3000L + c));
        }
        assertThat(stats.max(i)).isEqualTo(max);
      }
      int token = stats.token(0);
      stats.compute(options.step(1), halves, null, 3000, 5, 3000, list, streams, 2, null);
      assertThat(stats.token(0)).isNotEqualTo(token);
      stats.compute(options.step(0), halves, null, 3000, 5, 3000, list, streams, 2, null);
      assertThat(stats.token(0)).isEqualTo(token);
      double p = Math.exp(bfloat16(halves, 4 * 3000L + token) - stats.logSumExp(0));
      assertThat(stats.probability(0)).isCloseTo(p, offset(1e-6 * p));
    }
  }

  @Test
  void guidanceAndTokensSetApart() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment logits = arena.allocateFrom(JAVA_FLOAT, 1, 2, 4, 3);
      MemorySegment without = arena.allocateFrom(JAVA_FLOAT, 1, 3, 3, 5);
      LogitsOptions options = LogitsOptions.allocate(arena).guidance(1); // 1, 1, 5, 1
      LogitsStats stats = LogitsStats.allocate(1, arena);
      stats.compute(options, logits, without, 4, 1, 4, null, null, 1, null);
      assertThat(stats.argmax(0)).isEqualTo(2);
      assertThat(stats.gap(0)).isEqualTo(4);
      assertThat(stats.tail(0)).isCloseTo(3 * Math.exp(-4), offset(1e-8));
      options.banned(2, 0);
      stats.compute(options, logits, without, 4, 1, 4, null, null, 1, null);
      assertThat(stats.argmax(0)).isEqualTo(1);
      assertThat(stats.tail(0)).isCloseTo(2 + Math.exp(4), offset(1e-4));
      options.ignored(2, 1).banned();
      stats.compute(options, logits, without, 4, 1, 4, null, null, 1, null);
      assertThat(stats.argmax(0)).isEqualTo(2);
      assertThat(stats.probability(0)).isZero();
    }
  }

  @Test
  void filtersKeepEqualTokensTogether() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment logits = arena.allocateFrom(JAVA_FLOAT, 1, 4, 3, 3, 0);
      LogitsStats stats = LogitsStats.allocate(1, arena);
      for (LogitsOptions options :
          new LogitsOptions[] {
            LogitsOptions.allocate(arena).topK(2), LogitsOptions.allocate(arena).topP(0.6f)
          }) {
        stats.compute(options, logits, null, 5, 1, 5, null, null, 1, null);
        assertThat(stats.tail(0)).isCloseTo(2 * Math.exp(-1), offset(1e-6));
      }
      LogitsOptions one = LogitsOptions.allocate(arena).topK(1);
      stats.compute(one, logits, null, 5, 1, 5, null, null, 1, null);
      assertThat(stats.tail(0)).isZero();
      assertThat(stats.margin(0)).isEqualTo(1);
      assertThat(stats.gap(0)).isEqualTo(1);
      assertRefused(
          Status.BAD_VALUE,
          "options->top_p is 0",
          () -> stats.compute(one.topP(0), logits, null, 5, 1, 5, null, null, 1, null));
    }
  }

  @Test
  void logitsThatAreNotStoredHaveTheSameStatistics() {
    try (Arena arena = Arena.ofConfined();
        ThreadPool pool = ThreadPool.of(2);
        Workspace workspace = new Workspace()) {
      int m = 3;
      int vocab = 5000;
      int width = 24;
      Matrix head =
          Matrix.pack(DType.F32, vocab, width, rows(arena, 1, vocab, width, width), arena, null);
      MemorySegment x = rows(arena, 2, m, width, width + 1);
      MemorySegment other = rows(arena, 3, m, width, width + 1);
      MemorySegment logits = arena.allocate(4L * m * vocab);
      MemorySegment unconditional = arena.allocate(4L * m * vocab);
      head.multiply(x, width + 1, m, null, false, logits, vocab, workspace, pool);
      head.multiply(other, width + 1, m, null, false, unconditional, vocab, workspace, pool);
      LogitsOptions options =
          LogitsOptions.allocate(arena).guidance(0.5f).drawTemperature(2).banned(3).ignored(4999);
      MemorySegment streams = arena.allocateFrom(JAVA_LONG, 7, 8, 9);
      LogitsStats want = LogitsStats.allocate(m, arena);
      want.compute(options, logits, unconditional, vocab, m, vocab, null, streams, m, null);
      LogitsStats got = LogitsStats.allocate(m, arena);
      got.compute(options, head, x, other, width + 1, m, streams, workspace, pool);
      assertThat(got.toNative().mismatch(want.toNative())).isEqualTo(-1);
      assertRefused(
          Status.BAD_SHAPE,
          "unconditional has",
          () -> got.compute(options, head, x, streams, width + 1, m, null, workspace, null));
      assertRefused(
          Status.BAD_SHAPE,
          "streams has",
          () ->
              got.compute(options, head, x, null, width + 1, m, x.asSlice(0, 8), workspace, null));
      assertRefused(
          Status.BAD_VALUE,
          "m is 4",
          () -> got.compute(options, head, x, null, width + 1, 4, null, workspace, null));
      assertRefused(
          Status.BAD_VALUE,
          "options->top_k is 5",
          () -> got.compute(options.topK(5), head, x, null, width + 1, m, null, workspace, null));
    }
  }

  @Test
  void rowsWithoutProbabilitiesAreNamed() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment logits = arena.allocateFrom(JAVA_FLOAT, 1, 2, 3, Float.NaN);
      LogitsStats stats = LogitsStats.allocate(2, arena);
      LogitsOptions options = LogitsOptions.allocate(arena);
      assertRefused(
          Status.BAD_DATA,
          "row 1, result 1: a logit is NaN",
          () -> stats.compute(options, logits, null, 2, 2, 2, null, null, 2, null));
      assertThat(stats.tail(0)).isCloseTo(Math.exp(-1), offset(1e-6));
      assertThat(stats.tail(1)).isNaN();
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
      LogitsOptions options = LogitsOptions.allocate(arena);
      MemorySegment list = arena.allocateFrom(JAVA_INT, 2);
      assertRefused(
          Status.BAD_VALUE,
          "count is 2",
          () -> stats.compute(options, logits, null, 10, 2, 10, null, null, 2, null));
      assertRefused(
          Status.BAD_VALUE,
          "list[0] is 2",
          () -> stats.compute(options, logits, null, 10, 2, 10, list, null, 1, null));
      assertRefused(
          Status.BAD_SHAPE,
          "streams has 4 bytes",
          () -> stats.compute(options, logits, null, 10, 2, 10, list, list, 1, null));
      assertRefused(
          Status.BAD_SHAPE,
          "unconditional has",
          () -> stats.compute(options, logits, list, 10, 2, 10, list, null, 1, null));
      assertRefused(
          Status.BAD_VALUE,
          "options->temperature is 0",
          () ->
              stats.compute(
                  LogitsOptions.allocate(arena).temperature(0),
                  logits,
                  null,
                  10,
                  2,
                  10,
                  list,
                  null,
                  1,
                  null));
      assertThatThrownBy(() -> stats.argmax(1)).isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  private static float bfloat16(MemorySegment halves, long index) {
    return Float.intBitsToFloat(halves.getAtIndex(JAVA_SHORT, index) << 16);
  }
}

package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.EPS;
import static dev.sylvester.kernels.TestData.assertPaddingUntouched;
import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.blank;
import static dev.sylvester.kernels.TestData.floats;
import static dev.sylvester.kernels.TestData.gaussian;
import static dev.sylvester.kernels.TestData.get;
import static dev.sylvester.kernels.TestData.ints;
import static dev.sylvester.kernels.TestData.rows;
import static dev.sylvester.kernels.TestData.toArray;
import static dev.sylvester.kernels.TestData.weight;
import static dev.sylvester.kernels.TestData.weights;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class NnTest {
  private static final long ROWS = 3;
  private static final long COLS = 96;
  private static final long STRIDE = 101;

  private final Arena arena = Arena.ofConfined();

  @AfterEach
  void free() {
    arena.close();
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "F16", "BF16", "Q8_0", "Q4_0"})
  void embedCopiesRows(DType type) {
    MemorySegment table = weights(arena, type, 1, 7, COLS);
    int[] ids = {6, 0, 6};
    MemorySegment y = blank(arena, ROWS, COLS, STRIDE);
    Nn.embed(type, table, 7, COLS, ints(arena, ids), ROWS, y, STRIDE);
    for (int r = 0; r < ROWS; r++) {
      for (int i = 0; i < COLS; i++) {
        assertThat(get(y, r * STRIDE + i))
            .isEqualTo((float) weight(type, table, ids[r] * COLS + i));
      }
    }
    assertPaddingUntouched(y, COLS, STRIDE);
  }

  @Test
  void embedNamesTheBadId() {
    MemorySegment table = weights(arena, DType.F32, 1, 7, COLS);
    MemorySegment y = blank(arena, 2, COLS, COLS);
    assertRefused(
        Status.BAD_VALUE,
        "7",
        () -> Nn.embed(DType.F32, table, 7, COLS, ints(arena, 0, 7), 2, y, COLS));
    assertRefused(
        Status.BAD_SHAPE,
        "table has",
        () -> Nn.embed(DType.F32, table, 8, COLS, ints(arena, 0, 7), 2, y, COLS));
    assertRefused(
        Status.BAD_SHAPE,
        "ids has",
        () -> Nn.embed(DType.F32, table, 7, COLS, ints(arena, 0), 2, y, COLS));
  }

  @Test
  void rmsNormByDefinition() {
    MemorySegment x = rows(arena, 1, ROWS, COLS, STRIDE);
    MemorySegment weight = floats(arena, gaussian(2, COLS));
    float eps = 1e-5f;
    MemorySegment y = blank(arena, ROWS, COLS, COLS + 1);
    Nn.rmsNorm(x, STRIDE, weight, eps, ROWS, COLS, y, COLS + 1, null);
    for (int r = 0; r < ROWS; r++) {
      double sum = 0;
      for (int i = 0; i < COLS; i++) {
        sum += Math.pow(get(x, r * STRIDE + i), 2);
      }
      double factor = 1 / Math.sqrt(sum / COLS + eps);
      double bound = (4 + Math.log(COLS) / Math.log(2)) * EPS;
      for (int i = 0; i < COLS; i++) {
        double expected = get(x, r * STRIDE + i) * factor * get(weight, i);
        assertThat((double) get(y, r * (COLS + 1) + i))
            .isCloseTo(expected, offset(bound * Math.abs(expected)));
      }
    }
    assertPaddingUntouched(y, COLS, COLS + 1);
  }

  @Test
  void rmsNormInPlaceGivesTheSameBits() {
    MemorySegment x = rows(arena, 1, ROWS, COLS, COLS);
    MemorySegment weight = floats(arena, gaussian(2, COLS));
    MemorySegment y = blank(arena, ROWS, COLS, COLS);
    Nn.rmsNorm(x, COLS, weight, 1e-6f, ROWS, COLS, y, COLS, null);
    try (ThreadPool pool = ThreadPool.of(2)) {
      Nn.rmsNorm(x, COLS, weight, 1e-6f, ROWS, COLS, x, COLS, pool);
    }
    assertThat(toArray(x)).isEqualTo(toArray(y));
  }

  @Test
  void rmsNormRefusesBadArguments() {
    MemorySegment x = rows(arena, 1, ROWS, COLS, COLS);
    MemorySegment weight = floats(arena, gaussian(2, COLS));
    MemorySegment y = blank(arena, ROWS, COLS, COLS);
    assertRefused(
        Status.BAD_VALUE,
        "eps",
        () -> Nn.rmsNorm(x, COLS, weight, Float.NaN, ROWS, COLS, y, COLS, null));
    assertRefused(
        Status.BAD_SHAPE,
        "weight has",
        () -> Nn.rmsNorm(x, COLS, weight.asSlice(4), 0, ROWS, COLS, y, COLS, null));
    assertRefused(
        Status.OVERLAP,
        "overlap",
        () -> Nn.rmsNorm(x, COLS, weight, 0, 1, COLS, x.asSlice(4), COLS, null));
  }

  @Test
  void swiGluByDefinition() {
    MemorySegment both = rows(arena, 1, ROWS, 2 * COLS, 2 * COLS);
    MemorySegment up = both.asSlice(COLS * Float.BYTES);
    MemorySegment y = blank(arena, ROWS, COLS, STRIDE);
    Nn.swiGlu(both, 2 * COLS, up, 2 * COLS, ROWS, COLS, y, STRIDE, null);
    for (int r = 0; r < ROWS; r++) {
      for (int i = 0; i < COLS; i++) {
        double gate = get(both, r * 2 * COLS + i);
        double expected = gate / (1 + Math.exp(-gate)) * get(up, r * 2 * COLS + i);
        // exp to 2 units in the last place, then three roundings.
        assertThat((double) get(y, r * STRIDE + i))
            .isCloseTo(expected, offset(8 * EPS * Math.abs(expected)));
      }
    }
    assertPaddingUntouched(y, COLS, STRIDE);
  }

  @Test
  void swiGluInPlaceGivesTheSameBits() {
    MemorySegment gate = rows(arena, 1, ROWS, COLS, COLS);
    MemorySegment up = rows(arena, 2, ROWS, COLS, COLS);
    MemorySegment y = blank(arena, ROWS, COLS, COLS);
    Nn.swiGlu(gate, COLS, up, COLS, ROWS, COLS, y, COLS, null);
    Nn.swiGlu(gate, COLS, up, COLS, ROWS, COLS, gate, COLS, null);
    assertThat(toArray(gate)).isEqualTo(toArray(y));
  }
}

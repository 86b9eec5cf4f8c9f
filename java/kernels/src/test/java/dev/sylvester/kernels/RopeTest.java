package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.EPS;
import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.blank;
import static dev.sylvester.kernels.TestData.get;
import static dev.sylvester.kernels.TestData.ints;
import static dev.sylvester.kernels.TestData.rows;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.data.Offset.offset;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RopeTest {
  private final Arena arena = Arena.ofConfined();

  @AfterEach
  void free() {
    arena.close();
  }

  @Test
  void frequenciesOfEachKind() {
    double[] plain = Rope.of(RopeScaling.none(10000), 64, arena).inverseFrequencies();
    double[] linear = Rope.of(RopeScaling.linear(10000, 4), 64, arena).inverseFrequencies();
    double[] ntk = Rope.of(RopeScaling.ntk(10000, 4), 64, arena).inverseFrequencies();
    double[] llama3 =
        Rope.of(RopeScaling.llama3(10000, 8, 8192, 1, 4), 64, arena).inverseFrequencies();
    Rope yarn = Rope.of(RopeScaling.yarn(10000, 4, 4096, 32, 1, 0), 64, arena);
    assertThat(plain).hasSize(32);
    for (int i = 0; i < 32; i++) {
      double expected = Math.pow(10000, -2.0 * i / 64);
      assertThat(plain[i]).isCloseTo(expected, within(1e-14 * expected));
      assertThat(linear[i]).isCloseTo(expected / 4, within(1e-14 * expected));
      double base = 10000 * Math.pow(4, 64.0 / 62);
      assertThat(ntk[i]).isCloseTo(Math.pow(base, -2.0 * i / 64), within(1e-13 * expected));
      double wavelength = 2 * Math.PI / expected;
      double smooth = Math.clamp((8192 / wavelength - 1) / (4 - 1), 0, 1);
      assertThat(llama3[i])
          .isCloseTo((1 - smooth) * expected / 8 + smooth * expected, within(1e-13 * expected));
    }
    assertThat(yarn.magnitude()).isCloseTo(0.1 * Math.log(4) + 1, within(1e-14));
    assertThat(yarn.inverseFrequencies()[0]).isCloseTo(1, within(1e-14));
    assertThat(yarn.inverseFrequencies()[31]).isCloseTo(plain[31] / 4, within(1e-14));
    assertThat(Rope.of(RopeScaling.yarn(10000, 4, 4096, 32, 1, 0.5), 64, arena).magnitude())
        .isEqualTo(0.5);
  }

  @Test
  void badParametersAreRefused() {
    assertRefused(Status.BAD_VALUE, "theta", () -> Rope.of(RopeScaling.none(0.5), 64, arena));
    assertRefused(Status.BAD_VALUE, "factor", () -> Rope.of(RopeScaling.linear(1e4, 0), 64, arena));
    assertRefused(Status.BAD_SHAPE, "dims is 7", () -> Rope.of(RopeScaling.none(1e4), 7, arena));
    assertRefused(Status.BAD_VALUE, "dims is 0", () -> Rope.of(RopeScaling.none(1e4), 0, arena));
    assertRefused(Status.BAD_VALUE, "dims is 2048", () -> Rope.of(new double[1024], 1, arena));
  }

  @Test
  void tableHoldsCosThenSin() {
    Rope rope = Rope.of(new double[] {1, 0.1, 0.001}, 1.5, arena);
    int[] positions = {0, 1, 100_000};
    MemorySegment table = blank(arena, 3, 6, 6);
    rope.table(ints(arena, positions), 3, table);
    for (int r = 0; r < 3; r++) {
      for (int i = 0; i < 3; i++) {
        double angle = positions[r] * rope.inverseFrequencies()[i];
        assertThat(get(table, 6 * r + i)).isEqualTo((float) (1.5 * Math.cos(angle)));
        assertThat(get(table, 6 * r + 3 + i)).isEqualTo((float) (1.5 * Math.sin(angle)));
      }
    }
    assertRefused(Status.BAD_VALUE, "-1", () -> rope.table(ints(arena, 0, -1), 2, table));
    assertRefused(
        Status.BAD_SHAPE,
        "table has",
        () -> rope.table(ints(arena, positions), 3, table.asSlice(4)));
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void rotatesTheFirstDimensionsOfEachHead(boolean interleaved) {
    int rows = 3;
    int heads = 2;
    int headDim = 24;
    int dims = 16;
    long stride = 53;
    Rope rope = Rope.of(RopeScaling.none(10000), dims, arena);
    MemorySegment table = blank(arena, rows, dims, dims);
    rope.table(ints(arena, 5, 0, 77), rows, table);
    MemorySegment x = rows(arena, 1, rows, heads * headDim, stride);
    MemorySegment old = arena.allocate(x.byteSize()).copyFrom(x);
    rope.rotate(x, stride, rows, heads, headDim, interleaved, table, null);
    for (int r = 0; r < rows; r++) {
      for (int h = 0; h < heads; h++) {
        long head = r * stride + h * headDim;
        for (int i = 0; i < dims / 2; i++) {
          long first = head + (interleaved ? 2 * i : i);
          long second = head + (interleaved ? 2 * i + 1 : i + dims / 2);
          double cos = get(table, r * dims + i);
          double sin = get(table, r * dims + dims / 2 + i);
          double a = get(old, first);
          double b = get(old, second);
          double bound = 2 * EPS * (Math.abs(a) + Math.abs(b));
          assertThat((double) get(x, first)).isCloseTo(a * cos - b * sin, offset(bound));
          assertThat((double) get(x, second)).isCloseTo(b * cos + a * sin, offset(bound));
        }
        for (int i = dims; i < headDim; i++) {
          assertThat(get(x, head + i)).isEqualTo(get(old, head + i));
        }
      }
    }
    assertRefused(
        Status.BAD_SHAPE,
        "x has",
        () -> rope.rotate(x, stride, rows + 1, heads, headDim, interleaved, table, null));
    assertRefused(
        Status.BAD_SHAPE,
        "dims",
        () -> rope.rotate(x, stride, rows, heads, dims - 2, interleaved, table, null));
  }
}

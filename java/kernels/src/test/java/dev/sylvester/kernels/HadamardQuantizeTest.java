package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.floats;
import static dev.sylvester.kernels.TestData.gaussian;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.HadamardOptions.Quantizer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Codes, scales and zeros are those of plain loops over what the plan gives without quantizer. */
class HadamardQuantizeTest {
  private final Arena arena = Arena.ofConfined();

  @AfterEach
  void free() {
    arena.close();
  }

  private static int[] consecutive(int n, int group) {
    return IntStream.range(0, n).map(e -> e / group).toArray();
  }

  /** Group of each element: RotateKV's channels, here every third of the groups apart. */
  private static int[] scattered(int n, int groups) {
    return IntStream.range(0, n).map(e -> e * 5 % n % groups).toArray();
  }

  @ParameterizedTest
  @CsvSource({
    "I8, 128, 128, 1",
    "I8, 128, 32, 700",
    "I8, 65536, 65536, 2",
    "U4, 128, 128, 3",
    "U4, 256, 64, 200",
    "U2, 256, 32, 5",
    "U2, 65536, 128, 2"
  })
  void sameAsRotatingAndThenQuantizing(Quantizer quantizer, int n, int group, int rows) {
    HadamardOptions options = Hadamard.of(n).rows(rows).signs(7);
    Hadamard plan = options.quantizer(quantizer, group).build();
    float[] x = gaussian(n + rows, (long) n * rows);
    float[] z = new float[n * rows];
    options.build().apply(x, z);

    int groups = n / group;
    int bytes = n * quantizer.bits() / 8;
    byte[] codes = new byte[bytes * rows];
    float[] scales = new float[groups * rows];
    float[] zeros = quantizer.hasZeros() ? new float[groups * rows] : null;
    plan.quantize(x, codes, scales, zeros);
    for (int row = 0; row < rows; row++) {
      float[] one = Arrays.copyOfRange(z, row * n, (row + 1) * n);
      HadamardCodes expected = HadamardCodes.of(one, quantizer, consecutive(n, group), groups);
      assertThat(Arrays.copyOfRange(codes, row * bytes, (row + 1) * bytes))
          .as("codes of row %d", row)
          .isEqualTo(expected.codes());
      for (int g = 0; g < groups; g++) {
        assertThat(scales[row * groups + g]).isEqualTo(expected.scales()[g]);
        if (zeros != null) {
          assertThat(zeros[row * groups + g]).isEqualTo(expected.zeros()[g]);
        }
      }
    }

    // The same bytes from native memory, and with threads.
    MemorySegment nativeCodes = arena.allocate(codes.length);
    MemorySegment nativeScales = arena.allocate(JAVA_FLOAT, scales.length);
    MemorySegment nativeZeros = zeros == null ? null : arena.allocate(JAVA_FLOAT, scales.length);
    try (ThreadPool pool = ThreadPool.of(2);
        Workspace workspace = new Workspace()) {
      plan.quantize(
          floats(arena, x), nativeCodes, nativeScales, nativeZeros, 0, rows, workspace, pool);
    }
    assertThat(nativeCodes.toArray(JAVA_BYTE)).isEqualTo(codes);
    assertThat(nativeScales.toArray(JAVA_FLOAT)).isEqualTo(scales);
    if (zeros != null) {
      assertThat(nativeZeros.toArray(JAVA_FLOAT)).isEqualTo(zeros);
    }
  }

  @ParameterizedTest
  @EnumSource
  void groupsOfScatteredElements(Quantizer quantizer) {
    int[] map = scattered(128, 4);
    HadamardOptions options = Hadamard.of(128);
    float[] x = gaussian(21, 128);
    float[] z = new float[128];
    options.build().apply(x, z);
    HadamardCodes expected = HadamardCodes.of(z, quantizer, map, 4);
    byte[] codes = new byte[16 * quantizer.bits()];
    float[] scales = new float[4];
    float[] zeros = quantizer.hasZeros() ? new float[4] : null;
    options.quantizer(quantizer, 32).groupMap(map).build().quantize(x, codes, scales, zeros);
    assertThat(codes).isEqualTo(expected.codes());
    assertThat(scales).isEqualTo(expected.scales());
    assertThat(zeros).isEqualTo(quantizer.hasZeros() ? expected.zeros() : null);
  }

  @Test
  void aRangeOfTransforms() {
    Hadamard plan = Hadamard.of(64).rows(4).quantizer(Quantizer.U4, 16).build();
    float[] x = gaussian(22, 256);
    byte[] codes = new byte[128];
    float[] scales = new float[16];
    float[] zeros = new float[16];
    plan.quantize(x, codes, scales, zeros);
    byte[] some = new byte[128];
    float[] someScales = new float[16];
    float[] someZeros = new float[16];
    plan.quantize(
        MemorySegment.ofArray(x),
        MemorySegment.ofArray(some),
        MemorySegment.ofArray(someScales),
        MemorySegment.ofArray(someZeros),
        1,
        2,
        null,
        null);
    for (int i = 0; i < 128; i++) {
      assertThat(some[i]).isEqualTo(i / 32 == 1 || i / 32 == 2 ? codes[i] : 0);
    }
    for (int i = 0; i < 16; i++) {
      assertThat(someScales[i]).isEqualTo(i / 4 == 1 || i / 4 == 2 ? scales[i] : 0);
      assertThat(someZeros[i]).isEqualTo(i / 4 == 1 || i / 4 == 2 ? zeros[i] : 0);
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    Hadamard i8 = Hadamard.of(64).quantizer(Quantizer.I8).build();
    Hadamard u4 = Hadamard.of(64).quantizer(Quantizer.U4).build();
    float[] x = new float[64];
    byte[] codes = new byte[64];
    float[] one = new float[1];
    assertRefused(
        Status.BAD_SHAPE, "codes has 63 bytes", () -> i8.quantize(x, new byte[63], one, null));
    assertRefused(
        Status.BAD_SHAPE, "scales has 0 bytes", () -> i8.quantize(x, codes, new float[0], null));
    assertRefused(Status.NULL_ARGUMENT, "scales is null", () -> i8.quantize(x, codes, null, null));
    assertRefused(Status.BAD_VALUE, "zeros", () -> i8.quantize(x, codes, one, new float[1]));
    assertRefused(Status.NULL_ARGUMENT, "zeros", () -> u4.quantize(x, codes, one, null));
    assertRefused(Status.UNSUPPORTED, "call quantize", () -> i8.apply(x, new float[64]));
    assertRefused(Status.UNSUPPORTED, "quantizer", () -> i8.applyTransposed(x, new float[64]));
    assertRefused(Status.OVERLAP, "zeros overlaps scales", () -> u4.quantize(x, codes, one, one));
    Hadamard many = Hadamard.of(64).rows(5000).quantizer(Quantizer.U4).build();
    float[] both = new float[5000];
    assertRefused(
        Status.OVERLAP,
        "zeros overlaps scales",
        () -> many.quantize(new float[64 * 5000], new byte[32 * 5000], both, both));
    assertRefused(
        Status.BAD_SHAPE, "group", () -> Hadamard.of(64).quantizer(Quantizer.I8, 48).build());
    assertRefused(
        Status.BAD_VALUE, "elements is 65", () -> Hadamard.of(64).quantizer(Quantizer.I8, 65));
  }
}

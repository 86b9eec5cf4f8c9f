package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.floats;
import static dev.sylvester.kernels.TestData.gaussian;
import static dev.sylvester.kernels.TestData.get;
import static dev.sylvester.kernels.TestData.toArray;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import dev.sylvester.kernels.HadamardOptions.Table;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class HadamardTest {
  private final Arena arena = Arena.ofConfined();

  @AfterEach
  void free() {
    arena.close();
  }

  private static double[] widened(float[] x) {
    return IntStream.range(0, x.length).mapToDouble(i -> x[i]).toArray();
  }

  /** Both directions of a plan of one transform of floats. */
  private static void assertFollows(HadamardReference reference, Hadamard plan, float[] x) {
    float[] y = new float[(int) plan.options().n()];
    plan.apply(x, y);
    assertClose(y, reference.apply(widened(x)), reference.bound(plan, widened(x)));
    float[] back = new float[x.length];
    plan.applyTransposed(y, back);
    assertClose(back, reference.applyTransposed(widened(y)), reference.bound(plan, widened(y)));
  }

  private static void assertClose(float[] actual, double[] expected, double bound) {
    assertThat(bound).isPositive();
    for (int i = 0; i < actual.length; i++) {
      assertThat((double) actual[i]).as("element %d", i).isCloseTo(expected[i], offset(bound));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 4, 16, 64, 128, 256, 512, 2048})
  void followsTheDefinition(int n) {
    HadamardReference reference =
        new HadamardReference(n, 1 / Math.sqrt(n), HadamardReference::sylvester);
    assertFollows(reference, Hadamard.of(n).build(), gaussian(n, n));
    HadamardReference scaled = new HadamardReference(n, -3, HadamardReference::sylvester);
    assertFollows(scaled, Hadamard.of(n).scale(-3).build(), gaussian(n, n));
  }

  @Test
  void matrixIsTheDefinition() {
    float[] h = Hadamard.matrix(64);
    for (int i = 0; i < h.length; i++) {
      assertThat((double) h[i]).isEqualTo(HadamardReference.sylvester(i / 64, i % 64));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {12, 20, 28, 36, 40, 44, 52, 60, 108, 124, 140, 156, 172})
  void basesAreOrthogonalAndFollowTheirMatrix(int base) {
    HadamardOptions options = Hadamard.of(4L * base).base(base);
    float[] h = options.matrix();
    int n = 4 * base;
    for (int i = 0; i < n; i++) {
      for (int j = 0; j <= i; j++) {
        double product = 0;
        for (int e = 0; e < n; e++) {
          product += h[i * n + e] * h[j * n + e];
        }
        assertThat(product).as("rows %d and %d", i, j).isEqualTo(i == j ? n : 0);
        // Kronecker: the base's entry times H_4's.
        assertThat(h[i * n + j])
            .isEqualTo(
                h[i / 4 * 4 * n + j / 4 * 4] * (float) HadamardReference.sylvester(i % 4, j % 4));
      }
    }
    HadamardReference reference =
        new HadamardReference(n, 1 / Math.sqrt(n), (i, j) -> h[i * n + j]);
    assertFollows(reference, options.build(), gaussian(base, n));
  }

  @Test
  void thereAreTwoMatricesOfOrder12() {
    HadamardOptions quarot = Hadamard.of(12).base(12, Table.QUAROT);
    float[] h = quarot.matrix();
    assertThat(h).isNotEqualTo(Hadamard.of(12).base(12).matrix());
    HadamardReference reference =
        new HadamardReference(12, 1 / Math.sqrt(12), (i, j) -> h[i * 12 + j]);
    assertFollows(reference, quarot.build(), gaussian(12, 12));
  }

  @Test
  void otherFamiliesFollowTheirDefinitions() {
    HadamardReference regular = new HadamardReference(256, 1.0 / 16, HadamardReference::regular);
    assertFollows(regular, Hadamard.of(256).regular().build(), gaussian(1, 256));
    HadamardReference blocks =
        new HadamardReference(96, 1 / Math.sqrt(32), HadamardReference.blocks(32));
    assertFollows(blocks, Hadamard.of(96).blocks(32).build(), gaussian(2, 96));
    double scale = 1 / Math.sqrt(64);
    HadamardReference overlapped =
        new HadamardReference(
            100,
            scale,
            HadamardReference.window(0, 64, scale),
            HadamardReference.window(36, 64, scale),
            HadamardReference.window(0, 64, scale));
    assertFollows(overlapped, Hadamard.of(100).overlapped().rounds(3).build(), gaussian(3, 100));
  }

  @Test
  void signsOfEveryRoundAndRow() {
    int[] bits = new Random(4).ints(4 * 3 * 3L).toArray(); // 3 rounds, 3 rows, n = 80
    float[] dense = Hadamard.of(80).base(20).matrix();
    HadamardReference.Entries entries = (i, j) -> dense[i * 80 + j];
    Hadamard plan = Hadamard.of(80).base(20).rounds(3).signs(bits, 3).transforms(1, 1, 4).build();
    float[] x = gaussian(5, 4 * 80);
    float[] y = new float[4 * 80];
    plan.apply(x, y);
    float[] back = new float[4 * 80];
    plan.applyTransposed(y, back);
    for (int t = 0; t < 4; t++) {
      HadamardReference reference =
          new HadamardReference(80, 1 / Math.sqrt(80), entries, entries, entries)
              .signs(bits, 3, t % 3);
      double[] row = widened(Arrays.copyOfRange(x, t * 80, (t + 1) * 80));
      double bound = reference.bound(plan, row);
      assertClose(Arrays.copyOfRange(y, t * 80, (t + 1) * 80), reference.apply(row), bound);
      assertClose(Arrays.copyOfRange(back, t * 80, (t + 1) * 80), row, 2 * bound);
    }
  }

  @Test
  void signsOfASeedArePhiloxBits() {
    // Three words a diagonal: the second starts inside a block of four.
    int[] bits = new int[3 * 3];
    for (int word = 0; word < 6; word++) {
      bits[word] = philox(word / 4, 0x89abcdef, 0x01234567)[word % 4];
    }
    float[] x = gaussian(6, 96);
    float[] expected = new float[96];
    Hadamard.of(96).base(12).rounds(2).signs(bits, 1).build().apply(x, expected);
    float[] actual = new float[96];
    Hadamard.of(96).signs(0x0123456789abcdefL).base(12).rounds(2).build().apply(x, actual);
    assertThat(actual).isEqualTo(expected);
    Hadamard.of(96).base(12).rounds(2).build().apply(x, actual);
    assertThat(actual).isNotEqualTo(expected);
  }

  /** Philox4x32-10 of the counter {first, 0, 0, 0}. */
  private static int[] philox(int first, int key0, int key1) {
    int[] c = {first, 0, 0, 0};
    for (int round = 0; round < 10; round++) {
      long a = (c[0] & 0xffffffffL) * 0xD2511F53L;
      long b = (c[2] & 0xffffffffL) * 0xCD9E8D57L;
      c =
          new int[] {
            (int) (b >>> 32) ^ c[1] ^ key0, (int) b, (int) (a >>> 32) ^ c[3] ^ key1, (int) a
          };
      key0 += 0x9E3779B9;
      key1 += 0xBB67AE85;
    }
    return c;
  }

  @Test
  void gathersAndPads() {
    int[] indices = new int[64];
    Arrays.fill(indices, -1);
    for (int i = 0; i < 50; i++) {
      indices[i + i / 4] = 49 - i; // 50 elements in reverse order, with gaps
    }
    HadamardReference reference =
        new HadamardReference(64, 1.0 / 8, HadamardReference::sylvester).gather(indices, 50);
    assertFollows(reference, Hadamard.of(64).gather(indices, 50).build(), gaussian(7, 50));
  }

  @Test
  void acrossHeads() {
    long heads = 32;
    long dim = 24;
    Hadamard plan = Hadamard.acrossHeads(heads, dim).rows(3).build();
    float[] x = gaussian(8, 3 * heads * dim);
    float[] y = new float[x.length];
    plan.apply(x, y);
    Hadamard one = Hadamard.of(heads).build();
    for (int token = 0; token < 3; token++) {
      for (int i = 0; i < dim; i++) {
        float[] row = new float[(int) heads];
        for (int head = 0; head < heads; head++) {
          row[head] = x[(int) ((token * heads + head) * dim + i)];
        }
        one.apply(row, row);
        for (int head = 0; head < heads; head++) {
          assertThat(y[(int) ((token * heads + head) * dim + i)]).isEqualTo(row[head]);
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F16", "BF16"})
  void sixteenBitsAreRoundedOnce(DType type) {
    int n = 256;
    Hadamard plan = Hadamard.of(n).type(type).build();
    MemorySegment x = arena.allocate(2 * n);
    type.fromFloat(floats(arena, gaussian(9, n)), n, x);
    MemorySegment exact = arena.allocate(JAVA_FLOAT, n);
    type.toFloat(x, n, exact);
    Hadamard.of(n).build().apply(exact, exact);
    MemorySegment expected = arena.allocate(2 * n);
    type.fromFloat(exact, n, expected);
    MemorySegment y = arena.allocate(2 * n);
    plan.apply(x, y);
    assertThat(y.toArray(JAVA_SHORT)).isEqualTo(expected.toArray(JAVA_SHORT));
    // Arrays of shorts are as good.
    short[] array = x.toArray(JAVA_SHORT);
    plan.apply(MemorySegment.ofArray(array), MemorySegment.ofArray(array));
    assertThat(array).isEqualTo(expected.toArray(JAVA_SHORT));
    // Float in, 16 bits out.
    MemorySegment widened = arena.allocate(JAVA_FLOAT, n);
    type.toFloat(x, n, widened);
    Hadamard.of(n).type(DType.F32, type).build().apply(widened, y);
    assertThat(y.toArray(JAVA_SHORT)).isEqualTo(expected.toArray(JAVA_SHORT));
  }

  @Test
  void doubles() {
    int n = 128;
    double[] x = widened(gaussian(10, n));
    Hadamard plan = Hadamard.of(n).type(DType.F64).build();
    double[] y = new double[n];
    plan.apply(MemorySegment.ofArray(x), MemorySegment.ofArray(y));
    HadamardReference reference =
        new HadamardReference(n, 1 / Math.sqrt(n), HadamardReference::sylvester);
    double[] expected = reference.apply(x);
    for (int i = 0; i < n; i++) {
      // The plain loop adds n terms, one rounding each, to the bound of the plan.
      double bound = reference.bound(plan, x) * 0x1p-29 * (1 + n / plan.info().errorSteps());
      assertThat(y[i]).isCloseTo(expected[i], offset(bound));
    }
  }

  /** A short call, many pieces, and transforms too long for a critical call. */
  @ParameterizedTest
  @CsvSource({"128, 1", "128, 3000", "65536, 3", "49152, 2"})
  void heapIsTheSameAsNative(int n, int rows) {
    int stride = n + 5;
    HadamardOptions options = Hadamard.of(n).rows(rows).strides(stride, 0, 0, 1);
    Hadamard plan = (n == 49152 ? options.base(12) : options).signs(1).build();
    int length = (rows - 1) * stride + n;
    float[] x = gaussian(11, length);
    float[] y = gaussian(12, length);
    MemorySegment nativeX = floats(arena, x);
    MemorySegment nativeY = floats(arena, y);
    plan.apply(nativeX, nativeY);
    plan.apply(x, y);
    assertThat(y).isEqualTo(toArray(nativeY)); // elements between rows too
    plan.applyTransposed(nativeY, nativeX);
    plan.applyTransposed(y, x);
    assertThat(x).isEqualTo(toArray(nativeX));
    plan.apply(x, x);
    plan.apply(nativeX, nativeX);
    assertThat(x).isEqualTo(toArray(nativeX));
    // All but the first and the last.
    MemorySegment array = MemorySegment.ofArray(x);
    plan.apply(array, array, rows > 2 ? 1 : 0, Math.max(rows - 2, 1), null, null);
    plan.apply(nativeX, nativeX, rows > 2 ? 1 : 0, Math.max(rows - 2, 1), null, null);
    assertThat(x).isEqualTo(toArray(nativeX));
  }

  @Test
  void longTransformsWithStridesKeepWhatLiesBetween() {
    int n = 1 << 16;
    Hadamard plan = Hadamard.acrossHeads(n, 3).build();
    float[] x = gaussian(13, 3L * n);
    MemorySegment expected = floats(arena, x);
    plan.apply(expected, expected);
    float[] y = new float[3 * n];
    plan.apply(MemorySegment.ofArray(x), MemorySegment.ofArray(y), 1, 1, null, null);
    for (int i = 0; i < y.length; i++) {
      assertThat(y[i]).isEqualTo(i % 3 == 1 ? get(expected, i) : 0);
    }
  }

  @Test
  void threadsAndRangesDoNotChangeBits() {
    int n = 1024;
    int rows = 37;
    Hadamard plan = Hadamard.of(n).rows(rows).signs(2).rounds(2).build();
    MemorySegment x = floats(arena, gaussian(14, (long) n * rows));
    MemorySegment y = arena.allocate(x.byteSize());
    plan.apply(x, y);
    float[] expected = toArray(y);
    try (ThreadPool pool = ThreadPool.of(3);
        Workspace workspace = new Workspace()) {
      y.fill((byte) 0);
      plan.apply(x, y, 0, rows, workspace, pool);
      assertThat(toArray(y)).isEqualTo(expected);
      y.fill((byte) 0);
      plan.apply(x, y, 10, 5, workspace, null);
      for (int i = 0; i < rows * n; i++) {
        assertThat(get(y, i)).isEqualTo(i / n >= 10 && i / n < 15 ? expected[i] : 0);
      }
      plan.applyTransposed(y, y, 10, 5, workspace, pool);
      float[] again = toArray(y);
      plan.apply(MemorySegment.ofArray(again), MemorySegment.ofArray(again), 10, 5, null, pool);
      plan.apply(y, y, 10, 5, workspace, pool);
      assertThat(again).isEqualTo(toArray(y));
    }
  }

  @Test
  void manyThreadsShareAPlan() {
    Hadamard plan = Hadamard.of(512).signs(3).build();
    float[] expected = new float[512];
    plan.apply(gaussian(15, 512), expected);
    IntStream.range(0, 64)
        .parallel()
        .forEach(
            i -> {
              float[] y = gaussian(15, 512);
              plan.apply(y, y);
              assertThat(y).isEqualTo(expected);
            });
  }

  @ParameterizedTest
  @CsvSource({"64, 1000", "8192, 2", "131072, 2"})
  void transformWithoutAPlan(int n, int rows) {
    float[] x = gaussian(16, (long) n * rows);
    float[] y = new float[x.length];
    Hadamard.of(n).rows(rows).build().apply(x, y);
    MemorySegment segment = floats(arena, x);
    Hadamard.transform(x, n);
    assertThat(x).isEqualTo(y);
    Hadamard.transform(DType.F32, segment, rows, n, n, 0, null);
    assertThat(toArray(segment)).isEqualTo(y);
  }

  @Test
  void transformsOfOtherTypesWithoutAPlan() {
    int n = 64;
    MemorySegment x = floats(arena, gaussian(17, n));
    for (DType type : new DType[] {DType.F16, DType.BF16}) {
      MemorySegment y = arena.allocate(2 * n);
      type.fromFloat(x, n, y);
      MemorySegment expected = arena.allocate(2 * n);
      Hadamard.of(n).type(type).scale(2).build().apply(y, expected);
      Hadamard.transform(type, y, 1, n, n, 2, null);
      assertThat(y.toArray(JAVA_SHORT)).isEqualTo(expected.toArray(JAVA_SHORT));
    }
    MemorySegment y = arena.allocateFrom(JAVA_DOUBLE, widened(toArray(x)));
    MemorySegment expected = arena.allocate(8 * n);
    Hadamard.of(n).type(DType.F64).build().apply(y, expected);
    Hadamard.transform(DType.F64, y, 1, n, n, 0, null);
    assertThat(y.toArray(JAVA_DOUBLE)).isEqualTo(expected.toArray(JAVA_DOUBLE));
    assertRefused(
        Status.BAD_VALUE,
        "type is Q8_0",
        () -> Hadamard.transform(DType.Q8_0, x, 1, 2, 2, 0, null));
    assertRefused(
        Status.BAD_SHAPE, "x has 100 floats", () -> Hadamard.transform(new float[100], 64));
    assertRefused(Status.BAD_VALUE, "n is 48", () -> Hadamard.transform(new float[96], 48));
  }

  @Test
  void infoIsWhatThePlanDoes() {
    Hadamard plan = Hadamard.of(768).base(12).rows(5).build();
    assertThat(plan.info().transforms()).isEqualTo(5);
    assertThat(plan.info().groups()).isZero();
    assertThat(plan.info().scale()).isEqualTo(1 / Math.sqrt(768));
    assertThat(plan.info().additions()).isEqualTo(768 * (6 + 11));
    assertThat(plan.info().xBytes()).isEqualTo(768 * 4);
    assertThat(plan.info().yBytes()).isEqualTo(768 * 4);
    assertThat(plan.info().errorSteps()).isEqualTo(6 + 1 + 3 + 2);
  }

  @Test
  void refusesDescriptionsThatDoNotFit() {
    assertRefused(Status.BAD_VALUE, "n is 1, must be 2..16777216", () -> Hadamard.of(1));
    assertRefused(Status.BAD_SHAPE, "n is 48", () -> Hadamard.of(48).build());
    assertRefused(Status.UNSUPPORTED, "base is 16", () -> Hadamard.of(16).base(16).build());
    assertRefused(
        Status.BAD_SHAPE,
        "signs: has 3 ints, must be 4",
        () -> Hadamard.of(64).signs(new int[3], 1).build());
    assertRefused(
        Status.BAD_SHAPE,
        "gather: has 3 ints, must be 64",
        () -> Hadamard.of(64).gather(new int[3], 64).build());
    assertRefused(
        Status.BAD_VALUE, "gather", () -> Hadamard.of(64).gather(new int[64], 64).build());
    assertRefused(Status.BAD_VALUE, "times is 17", () -> Hadamard.of(64).rounds(17));
    assertRefused(Status.BAD_VALUE, "rows is 0", () -> Hadamard.of(64).rows(0));
    assertRefused(
        Status.BAD_SHAPE, "more than memory", () -> Hadamard.of(64).rows(Long.MAX_VALUE).build());
    assertRefused(Status.BAD_VALUE, "element is 0", () -> Hadamard.of(64).strides(64, 0, 0, 0));
    assertRefused(
        Status.BAD_SHAPE, "y_stride", () -> Hadamard.of(64).rows(2).strides(63, 0, 0, 1).build());
    assertRefused(Status.NULL_ARGUMENT, "x is null", () -> Hadamard.of(64).type(null));
    assertRefused(Status.BAD_VALUE, "x_type", () -> Hadamard.of(64).type(DType.Q8_0).build());
    assertRefused(Status.BAD_VALUE, "n is 8192", () -> Hadamard.matrix(8192));
  }

  @Test
  void refusesCallsThatDoNotFit() {
    Hadamard plan = Hadamard.of(64).rows(2).build();
    float[] good = new float[128];
    MemorySegment x = arena.allocate(JAVA_FLOAT, 128);
    assertRefused(Status.BAD_SHAPE, "x has 127 floats", () -> plan.apply(new float[127], good));
    assertRefused(Status.BAD_SHAPE, "y has 127 floats", () -> plan.apply(good, new float[127]));
    assertRefused(Status.NULL_ARGUMENT, "x is null", () -> plan.apply((float[]) null, good));
    assertRefused(Status.BAD_SHAPE, "x has 508 bytes", () -> plan.apply(x.asSlice(0, 508), x));
    assertRefused(Status.BAD_VALUE, "y is read-only", () -> plan.apply(x, x.asReadOnly()));
    assertRefused(
        Status.BAD_VALUE,
        "y is read-only",
        () -> plan.apply(x, MemorySegment.ofArray(good).asReadOnly()));
    assertRefused(
        Status.BAD_VALUE, "count is 2, must be 0..1", () -> plan.apply(x, x, 1, 2, null, null));
    assertRefused(Status.BAD_VALUE, "first is -1", () -> plan.apply(x, x, -1, 2, null, null));
    assertRefused(
        Status.UNSUPPORTED, "no quantizer", () -> plan.quantize(x, x, x, null, 0, 2, null, null));
    Hadamard halves = Hadamard.of(64).type(DType.F16).build();
    assertRefused(Status.BAD_VALUE, "the plan's is F16", () -> halves.apply(good, good));
    Arena closed = Arena.ofConfined();
    MemorySegment dead = closed.allocate(512);
    closed.close();
    assertThatThrownBy(() -> plan.apply(dead, x)).isInstanceOf(IllegalStateException.class);
  }

  /** Judged by the native function, and where it sees only a part, by the Java code. */
  @ParameterizedTest
  @CsvSource({"64, 2", "128, 3000", "65536, 3"})
  void refusesOverlaps(int n, int rows) {
    Hadamard plan = Hadamard.of(n).rows(rows).build();
    float[] both = gaussian(18, (long) n * rows + 1);
    MemorySegment x = MemorySegment.ofArray(both);
    MemorySegment shifted = x.asSlice(4);
    float[] before = both.clone();
    assertRefused(Status.OVERLAP, "y overlaps x", () -> plan.apply(x, shifted));
    assertRefused(Status.OVERLAP, "overlaps", () -> plan.applyTransposed(x, shifted));
    MemorySegment segment = floats(arena, both);
    assertRefused(Status.OVERLAP, "y overlaps x", () -> plan.apply(segment, segment.asSlice(4)));
    Hadamard spread = Hadamard.of(n).rows(rows).yStrides(n + 1, 0, 0, 1).build();
    float[] longer = gaussian(18, (n + 1L) * rows);
    assertRefused(Status.OVERLAP, "y overlaps x", () -> spread.apply(longer, longer));
    assertThat(both).isEqualTo(before);
    // Parts that do not meet are no overlap.
    plan.apply(x, x.asSlice(4L * n), 0, 1, null, null);
  }
}

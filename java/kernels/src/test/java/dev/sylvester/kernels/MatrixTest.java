package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.EPS;
import static dev.sylvester.kernels.TestData.assertPaddingUntouched;
import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.blank;
import static dev.sylvester.kernels.TestData.floats;
import static dev.sylvester.kernels.TestData.gaussian;
import static dev.sylvester.kernels.TestData.get;
import static dev.sylvester.kernels.TestData.rows;
import static dev.sylvester.kernels.TestData.toArray;
import static dev.sylvester.kernels.TestData.weight;
import static dev.sylvester.kernels.TestData.weights;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import dev.sylvester.kernels.Matrix.Part;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class MatrixTest {
  private static final long N = 37;
  private static final long K = 96;
  private static final long M = 5;

  private final Arena arena = Arena.ofConfined();
  private final Workspace workspace = new Workspace();

  @AfterEach
  void free() {
    workspace.close();
    arena.close();
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "F16", "BF16", "Q8_0", "Q4_0"})
  void productWithBiasAddedToRows(DType type) {
    MemorySegment w = weights(arena, type, 1, N, K);
    Matrix matrix = Matrix.pack(type, N, K, w, arena, null);
    MemorySegment x = rows(arena, 2, M, K, K + 3);
    MemorySegment bias = floats(arena, gaussian(3, N));
    MemorySegment y = rows(arena, 4, M, N, N + 5);
    MemorySegment old = arena.allocate(y.byteSize()).copyFrom(y);
    matrix.multiply(x, K + 3, M, bias, true, y, N + 5, workspace, null);
    for (long r = 0; r < M; r++) {
      double[] row = input(type, x.asSlice(r * (K + 3) * Float.BYTES));
      for (long o = 0; o < N; o++) {
        long at = r * (N + 5) + o;
        double sum = (double) get(bias, o) + get(old, at);
        double size = Math.abs(get(bias, o)) + Math.abs(get(old, at));
        for (int i = 0; i < K; i++) {
          double term = weight(type, w, o * K + i) * row[i];
          sum += term;
          size += Math.abs(term);
        }
        // One rounding a term of the longest chain, and one each for scale, bias and old value.
        assertThat((double) get(y, at))
            .as("%s row %d output %d", type, r, o)
            .isCloseTo(sum, offset((K + 4) * EPS * size));
      }
    }
  }

  /** What the product sees of a row: block types round it to 16 bits in blocks of 32. */
  private static double[] input(DType type, MemorySegment row) {
    double[] x = new double[(int) K];
    for (int i = 0; i < K; i++) {
      x[i] = get(row, i);
    }
    if (type.blockSize() == 1) {
      return x;
    }
    for (int block = 0; block < K; block += 32) {
      float largest = 0;
      for (int i = block; i < block + 32; i++) {
        largest = Math.max(largest, (float) Math.abs(x[i]));
      }
      float d = largest / 32512;
      for (int i = block; i < block + 32; i++) {
        x[i] = Math.rint((float) x[i] / d) * d;
      }
    }
    return x;
  }

  @Test
  void storesWithoutTouchingPadding() {
    Matrix matrix = Matrix.pack(DType.F32, N, K, weights(arena, DType.F32, 1, N, K), arena, null);
    MemorySegment x = rows(arena, 2, M, K, K);
    MemorySegment y = blank(arena, M, N, N + 7);
    matrix.multiply(x, K, M, null, false, y, N + 7, workspace, null);
    assertPaddingUntouched(y, N, N + 7);
    assertThat(get(y, 0)).isNotEqualTo(get(y, N));
  }

  @Test
  void heapRowsGiveTheSameBits() {
    Matrix matrix = Matrix.pack(DType.Q8_0, N, K, weights(arena, DType.Q8_0, 1, N, K), arena, null);
    float[] x = gaussian(2, M * K);
    MemorySegment y = blank(arena, M, N, N);
    matrix.multiply(floats(arena, x), K, M, null, false, y, N, workspace, null);
    assertThat(matrix.multiply(x)).isEqualTo(toArray(y));
    assertRefused(Status.BAD_SHAPE, "x has 97 floats", () -> matrix.multiply(new float[97]));
  }

  @Test
  void threadsDoNotChangeBits() {
    Matrix matrix = Matrix.pack(DType.Q4_0, N, K, weights(arena, DType.Q4_0, 1, N, K), arena, null);
    MemorySegment x = rows(arena, 2, M, K, K);
    float[] alone = matrix.multiply(toArray(x));
    for (int threads = 1; threads <= 4; threads++) {
      try (ThreadPool pool = ThreadPool.of(threads)) {
        MemorySegment y = blank(arena, M, N, N);
        matrix.multiply(x, K, M, null, false, y, N, workspace, pool);
        assertThat(toArray(y)).as("%d threads", threads).isEqualTo(alone);
      }
    }
  }

  @Test
  void packedTogetherGivesOutputsSideBySide() {
    long[] sizes = {32, 16, 5};
    MemorySegment w = weights(arena, DType.Q4_0, 1, 53, K);
    long rowBytes = DType.Q4_0.bytes(K);
    List<Part> parts =
        List.of(
            new Part(sizes[0], w.asSlice(0, 32 * rowBytes)),
            new Part(sizes[1], w.asSlice(32 * rowBytes, 16 * rowBytes)),
            new Part(sizes[2], w.asSlice(48 * rowBytes, 5 * rowBytes)));
    Matrix together = Matrix.packAll(DType.Q4_0, K, parts, arena, null);
    Matrix whole = Matrix.pack(DType.Q4_0, 53, K, w, arena, null);
    assertThat(together.rows()).isEqualTo(53);
    assertThat(together.bytes()).isEqualTo(whole.bytes());
    float[] x = gaussian(2, 2 * K);
    assertThat(together.multiply(x)).isEqualTo(whole.multiply(x));
  }

  @Test
  void describesItself() {
    Matrix matrix = Matrix.pack(DType.F16, N, K, weights(arena, DType.F16, 1, N, K), arena, null);
    assertThat(matrix.type()).isEqualTo(DType.F16);
    assertThat(matrix.rows()).isEqualTo(N);
    assertThat(matrix.cols()).isEqualTo(K);
    assertThat(matrix.bytes()).isGreaterThanOrEqualTo(N * DType.F16.bytes(K));
  }

  @Test
  void badPartsAreRefused() {
    MemorySegment w = weights(arena, DType.F32, 1, N, K);
    Part odd = new Part(5, w);
    assertRefused(
        Status.BAD_SHAPE,
        "part 0 of 2 has 5 rows",
        () -> Matrix.packAll(DType.F32, K, List.of(odd, odd), arena, null));
    assertRefused(
        Status.BAD_SHAPE,
        "parts is empty",
        () -> Matrix.packAll(DType.F32, K, List.of(), arena, null));
    assertRefused(
        Status.BAD_SHAPE, "has 0 rows", () -> Matrix.pack(DType.F32, 0, K, w, arena, null));
    assertRefused(
        Status.BAD_SHAPE,
        "source has 14208 bytes, the shape needs 14592",
        () -> Matrix.pack(DType.F32, N + 1, K, w, arena, null));
    assertRefused(
        Status.BAD_SHAPE, "n is 33", () -> Matrix.pack(DType.Q8_0, 1, 33, w, arena, null));
    assertRefused(
        Status.NULL_ARGUMENT,
        "source is null",
        () -> Matrix.pack(DType.F32, 1, K, null, arena, null));
    assertRefused(
        Status.BAD_SHAPE,
        "impossible shape",
        () -> Matrix.pack(DType.F32, Long.MAX_VALUE, K, w, arena, null));
  }

  @Test
  void badArgumentsOfTheProductAreRefused() {
    Matrix matrix = Matrix.pack(DType.F32, N, K, weights(arena, DType.F32, 1, N, K), arena, null);
    MemorySegment x = rows(arena, 2, M, K, K);
    MemorySegment y = blank(arena, M, N, N);
    assertRefused(Status.BAD_SHAPE, "x has", () -> multiply(matrix, x, K + 1, M, null, y, N));
    assertRefused(Status.BAD_SHAPE, "x has", () -> multiply(matrix, x, K, M + 1, null, y, N));
    assertRefused(Status.BAD_SHAPE, "y has", () -> multiply(matrix, x, K, M, null, y, N + 1));
    assertRefused(
        Status.BAD_SHAPE, "bias has", () -> multiply(matrix, x, K, M, y.asSlice(0, 4), y, N));
    assertRefused(Status.BAD_SHAPE, "stride -1", () -> multiply(matrix, x, -1, M, null, y, N));
    assertRefused(Status.BAD_SHAPE, "x_stride", () -> multiply(matrix, x, K - 1, M, null, y, N));
    assertRefused(Status.BAD_SHAPE, "y_stride", () -> multiply(matrix, x, K, M, null, y, N - 1));
    assertRefused(
        Status.BAD_SHAPE, "impossible", () -> multiply(matrix, x, Long.MAX_VALUE, M, null, y, N));
    assertRefused(Status.OVERLAP, "overlap", () -> multiply(matrix, x, K, 1, null, x, N));
    assertRefused(
        Status.BAD_VALUE,
        "y is read-only",
        () -> multiply(matrix, x, K, M, null, y.asReadOnly(), N));
    assertRefused(
        Status.BAD_VALUE,
        "x is on the Java heap",
        () -> multiply(matrix, MemorySegment.ofArray(new float[500]), K, M, null, y, N));
    // The refusals left the workspace free.
    multiply(matrix, x, K, M, null, y, N);
  }

  private void multiply(
      Matrix matrix,
      MemorySegment x,
      long xStride,
      long m,
      MemorySegment bias,
      MemorySegment y,
      long yStride) {
    matrix.multiply(x, xStride, m, bias, false, y, yStride, workspace, null);
  }

  @Test
  void closedArenasAreRefused() {
    MemorySegment x = rows(arena, 2, M, K, K);
    MemorySegment y = blank(arena, M, N, N);
    Matrix matrix;
    try (Arena shortLived = Arena.ofConfined()) {
      matrix = Matrix.pack(DType.F32, N, K, weights(arena, DType.F32, 1, N, K), shortLived, null);
    }
    assertThatThrownBy(() -> multiply(matrix, x, K, M, null, y, N))
        .isInstanceOf(IllegalStateException.class);
    Matrix open = Matrix.pack(DType.F32, N, K, weights(arena, DType.F32, 1, N, K), arena, null);
    Arena closed = Arena.ofShared();
    MemorySegment gone = closed.allocate(x.byteSize());
    closed.close();
    assertThatThrownBy(() -> multiply(open, gone, K, M, null, y, N))
        .isInstanceOf(IllegalStateException.class);
  }

  @Test
  void segmentOfAnotherThreadIsRefused() throws InterruptedException {
    Matrix matrix =
        Matrix.pack(DType.F32, N, K, weights(arena, DType.F32, 1, N, K), Arena.ofAuto(), null);
    MemorySegment x = rows(arena, 2, M, K, K);
    MemorySegment y = blank(arena, M, N, N);
    Thread other =
        new Thread(
            () ->
                assertThatThrownBy(() -> multiply(matrix, x, K, M, null, y, N))
                    .isInstanceOf(WrongThreadException.class));
    Throwable[] failure = new Throwable[1];
    other.setUncaughtExceptionHandler((_, e) -> failure[0] = e);
    other.start();
    other.join();
    assertThat(failure[0]).isNull();
  }
}

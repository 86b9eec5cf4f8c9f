package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Rotary position embedding (Su et al. 2021): frequencies computed once, a table of cos and sin for
 * the positions of a batch, and the rotation of query and key heads. Its memory belongs to an
 * arena. Immutable and thread-safe.
 */
public final class Rope {
  private final MemorySegment inverseFrequencies;
  private final double magnitude;
  private final long dims;

  private Rope(MemorySegment inverseFrequencies, double magnitude) {
    this.inverseFrequencies = inverseFrequencies;
    this.magnitude = magnitude;
    this.dims = 2 * (inverseFrequencies.byteSize() / Double.BYTES);
  }

  /**
   * Frequencies from a model's parameters.
   *
   * @param scaling base and scaling
   * @param dims rotated dimensions of a head, even, 2..1024
   * @param arena owns the frequencies
   * @return the rotary embedding
   */
  public static Rope of(RopeScaling scaling, long dims, Arena arena) {
    checkDims("Rope.of", dims);
    MemorySegment frequencies = arena.allocate(JAVA_DOUBLE, dims / 2);
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment magnitude = scratch.allocate(JAVA_DOUBLE);
      SylvesterException.check(
          SylvesterFfi.syl_nn_rope_frequencies(
              scaling.toNative(scratch), dims, frequencies, magnitude));
      return new Rope(frequencies, magnitude.get(JAVA_DOUBLE, 0));
    }
  }

  /**
   * Given frequencies, for example those a model file brings along.
   *
   * @param inverseFrequencies radians per position of each rotated pair
   * @param magnitude factor on cos and sin, usually 1
   * @param arena owns the frequencies
   * @return the rotary embedding
   */
  public static Rope of(double[] inverseFrequencies, double magnitude, Arena arena) {
    checkDims("Rope.of", 2L * inverseFrequencies.length);
    return new Rope(arena.allocateFrom(JAVA_DOUBLE, inverseFrequencies), magnitude);
  }

  private static void checkDims(String function, long dims) {
    Args.range(function, "dims", dims, 2, 1024);
    if (dims % 2 != 0) {
      throw new SylvesterException(
          Status.BAD_SHAPE, function + ": dims is " + dims + ", must be even");
    }
  }

  /**
   * Rotated dimensions of a head.
   *
   * @return twice the number of frequencies
   */
  public long dims() {
    return dims;
  }

  /**
   * Factor on cos and sin.
   *
   * @return the factor
   */
  public double magnitude() {
    return magnitude;
  }

  /**
   * Radians per position of each rotated pair.
   *
   * @return a copy
   */
  public double[] inverseFrequencies() {
    return inverseFrequencies.toArray(JAVA_DOUBLE);
  }

  /**
   * Cos and sin of a batch of positions: {@code table[r][0][i] = magnitude cos(p f_i)}, {@code
   * table[r][1][i] = magnitude sin(p f_i)}.
   *
   * @param positions int32 each, not negative
   * @param rows number of positions
   * @param table rows of {@link #dims()} floats, back to back
   */
  public void table(MemorySegment positions, long rows, MemorySegment table) {
    String function = "Rope.table";
    Args.input(
        function, "positions", positions, Args.product(function, "positions", rows, Integer.BYTES));
    Args.output(function, "table", table, Args.floats(function, "table", rows, dims, dims));
    SylvesterException.check(
        SylvesterFfi.syl_nn_rope_table_f32(
            inverseFrequencies, magnitude, dims, positions, rows, table));
  }

  /**
   * Rotates the first {@link #dims()} of each head in place.
   *
   * @param x rows of heads x headDim floats
   * @param xStride from row to row, at least heads x headDim
   * @param rows number of rows
   * @param heads heads in a row
   * @param headDim dimensions of a head, at least {@link #dims()}
   * @param interleaved false: pairs (i, i + dims/2), as transformers; true: pairs (2i, 2i + 1), as
   *     GGUF llama files
   * @param table of the rows' positions, see {@link #table}
   * @param pool threads, or null
   */
  public void rotate(
      MemorySegment x,
      long xStride,
      long rows,
      long heads,
      long headDim,
      boolean interleaved,
      MemorySegment table,
      ThreadPool pool) {
    String function = "Rope.rotate";
    long cols = Args.product(function, "x", heads, headDim);
    Args.output(function, "x", x, Args.floats(function, "x", rows, cols, xStride));
    Args.input(function, "table", table, Args.floats(function, "table", rows, dims, dims));
    SylvesterException.check(
        SylvesterFfi.syl_nn_rope_f32(
            x,
            xStride,
            rows,
            heads,
            headDim,
            dims,
            interleaved ? 1 : 0,
            table,
            ThreadPool.handle(pool)));
  }
}

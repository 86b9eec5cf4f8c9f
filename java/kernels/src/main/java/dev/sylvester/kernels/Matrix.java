package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A weight matrix of {@code rows} outputs x {@code cols} inputs, repacked once for fast products.
 * Its memory belongs to the arena it was packed in. Immutable and thread-safe.
 */
public final class Matrix {
  /** Output rows that the packed form keeps together. */
  public static final int PANEL_ROWS = 16;

  private final DType type;
  private final long rows;
  private final long cols;
  private final MemorySegment packed;

  /**
   * One of the matrices that {@link #packAll} puts on top of each other.
   *
   * @param rows number of rows
   * @param source the rows back to back, in the type's file layout
   */
  public record Part(long rows, MemorySegment source) {}

  private Matrix(DType type, long rows, long cols, MemorySegment packed) {
    this.type = type;
    this.rows = rows;
    this.cols = cols;
    this.packed = packed;
  }

  /**
   * Packs a matrix.
   *
   * @param type element type of the source
   * @param rows outputs, at least 1
   * @param cols inputs, a multiple of the type's block size
   * @param source the rows back to back, in the type's file layout; not needed afterwards
   * @param arena owns the packed form
   * @param pool threads, or null
   * @return the packed matrix
   */
  public static Matrix pack(
      DType type, long rows, long cols, MemorySegment source, Arena arena, ThreadPool pool) {
    return packAll(type, cols, List.of(new Part(rows, source)), arena, pool);
  }

  /**
   * Packs several matrices of one type and width into one whose product gives all their outputs
   * side by side, such as query, key and value, or gate and up.
   *
   * @param type element type of the sources
   * @param cols inputs, a multiple of the type's block size
   * @param parts from first to last output; the rows of all but the last must be multiples of
   *     {@value #PANEL_ROWS}
   * @param arena owns the packed form
   * @param pool threads, or null
   * @return the packed matrix
   */
  public static Matrix packAll(
      DType type, long cols, List<Part> parts, Arena arena, ThreadPool pool) {
    long rows = checkedRows(type, cols, parts);
    MemorySegment packed = Args.allocate("Matrix.pack", packedBytes(type, rows, cols), arena);
    long first = 0;
    for (Part part : parts) {
      long bytes = packedBytes(type, part.rows, cols);
      MemorySegment target = packed.asSlice(packedBytesBefore(type, first, cols), bytes);
      SylvesterException.check(
          SylvesterFfi.syl_nn_weights_pack(
              type.id(),
              part.rows,
              cols,
              part.source,
              part.source.byteSize(),
              target,
              bytes,
              ThreadPool.handle(pool)));
      first += part.rows;
    }
    return new Matrix(type, rows, cols, packed);
  }

  private static long checkedRows(DType type, long cols, List<Part> parts) {
    if (parts.isEmpty()) {
      throw new SylvesterException(Status.BAD_SHAPE, "Matrix.packAll: parts is empty");
    }
    long rowBytes = type.bytes(cols);
    long rows = 0;
    for (int i = 0; i < parts.size(); i++) {
      Part part = parts.get(i);
      if (part.rows < 1 || (i < parts.size() - 1 && part.rows % PANEL_ROWS != 0)) {
        throw new SylvesterException(
            Status.BAD_SHAPE,
            "Matrix.pack: part "
                + i
                + " of "
                + parts.size()
                + " has "
                + part.rows
                + " rows, must be a multiple of "
                + PANEL_ROWS
                + " in all parts but the last, and at least 1");
      }
      Args.input(
          "Matrix.pack",
          "source",
          part.source,
          Args.product("Matrix.pack", "source", part.rows, rowBytes));
      rows += part.rows;
    }
    return rows;
  }

  private static long packedBytesBefore(DType type, long rows, long cols) {
    return rows == 0 ? 0 : packedBytes(type, rows, cols);
  }

  private static long packedBytes(DType type, long rows, long cols) {
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment bytes = scratch.allocate(JAVA_LONG);
      SylvesterException.check(SylvesterFfi.syl_nn_weights_size(type.id(), rows, cols, bytes));
      return bytes.get(JAVA_LONG, 0);
    }
  }

  /**
   * Element type of the source.
   *
   * @return the type
   */
  public DType type() {
    return type;
  }

  /**
   * Outputs of the product.
   *
   * @return the number of rows
   */
  public long rows() {
    return rows;
  }

  /**
   * Inputs of the product.
   *
   * @return the number of columns
   */
  public long cols() {
    return cols;
  }

  /**
   * Size of the packed form.
   *
   * @return the number of bytes
   */
  public long bytes() {
    return packed.byteSize();
  }

  MemorySegment packed() {
    return packed;
  }

  /**
   * {@code y[r][o] = sum_i W[o][i] x[r][i] (+ bias[o]) (+ y[r][o])} for m rows. See {@code
   * sylvester/nn.h} for the exact arithmetic.
   *
   * @param x m rows of {@link #cols()} floats
   * @param xStride from row to row, at least {@link #cols()}
   * @param m number of rows of x and y
   * @param bias {@link #rows()} floats, or null
   * @param accumulate adds the product to y instead of storing it
   * @param y m rows of {@link #rows()} floats; must not overlap x
   * @param yStride from row to row, at least {@link #rows()}
   * @param workspace scratch memory
   * @param pool threads, or null
   */
  public void multiply(
      MemorySegment x,
      long xStride,
      long m,
      MemorySegment bias,
      boolean accumulate,
      MemorySegment y,
      long yStride,
      Workspace workspace,
      ThreadPool pool) {
    String function = "Matrix.multiply";
    Args.input(function, "x", x, Args.floats(function, "x", m, cols, xStride));
    MemorySegment biasOrNull = Args.optional(function, "bias", bias, rows * Float.BYTES);
    Args.output(function, "y", y, Args.floats(function, "y", m, rows, yStride));
    int flags = accumulate ? SylvesterFfi.SYL_MATMUL_ACCUMULATE() : 0;
    workspace.begin();
    try {
      SylvesterException.check(
          SylvesterFfi.syl_nn_matmul_workspace(type.id(), rows, cols, m, workspace.results));
      MemorySegment scratch = workspace.sized();
      SylvesterException.check(
          SylvesterFfi.syl_nn_matmul_f32(
              type.id(),
              packed,
              rows,
              cols,
              x,
              xStride,
              m,
              biasOrNull,
              flags,
              y,
              yStride,
              scratch,
              scratch.byteSize(),
              ThreadPool.handle(pool)));
    } finally {
      workspace.end();
    }
  }

  /**
   * The product with rows on the Java heap. For comfort: it copies and allocates.
   *
   * @param x rows of {@link #cols()} floats, back to back
   * @return as many rows of {@link #rows()} floats
   */
  public float[] multiply(float[] x) {
    if (x.length % cols != 0) {
      throw new SylvesterException(
          Status.BAD_SHAPE, "Matrix.multiply: x has " + x.length + " floats, not rows of " + cols);
    }
    long m = x.length / cols;
    try (Arena arena = Arena.ofConfined();
        Workspace workspace = new Workspace()) {
      MemorySegment y = arena.allocate(JAVA_FLOAT, Args.product("Matrix.multiply", "y", m, rows));
      multiply(arena.allocateFrom(JAVA_FLOAT, x), cols, m, null, false, y, rows, workspace, null);
      return y.toArray(JAVA_FLOAT);
    }
  }
}

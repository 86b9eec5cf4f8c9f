package dev.sylvester.kernels;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.MemorySegment;

/** Row functions of a transformer. Formulas and error bounds: {@code sylvester/nn.h}. */
public final class Nn {
  private Nn() {}

  /**
   * {@code y[r] = table[ids[r]]} as float.
   *
   * @param type element type of the table
   * @param table vocab rows of cols elements in the type's file layout
   * @param vocab number of rows of the table
   * @param cols a multiple of the type's block size
   * @param ids int32 each, 0..vocab-1
   * @param rows number of ids
   * @param y rows of cols floats
   * @param yStride from row to row, at least cols
   */
  public static void embed(
      DType type,
      MemorySegment table,
      long vocab,
      long cols,
      MemorySegment ids,
      long rows,
      MemorySegment y,
      long yStride) {
    String function = "Nn.embed";
    Args.input(function, "table", table, Args.product(function, "table", vocab, type.bytes(cols)));
    Args.input(function, "ids", ids, Args.product(function, "ids", rows, Integer.BYTES));
    Args.output(function, "y", y, Args.floats(function, "y", rows, cols, yStride));
    SylvesterException.check(
        SylvesterFfi.syl_nn_embed_f32(type.id(), table, vocab, cols, ids, rows, y, yStride));
  }

  /**
   * RMSNorm: {@code y[r][i] = x[r][i] / sqrt(mean_i x[r][i]^2 + eps) weight[i]}.
   *
   * @param x rows of cols floats
   * @param xStride from row to row, at least cols
   * @param weight cols floats
   * @param eps added to the mean
   * @param rows number of rows
   * @param cols number of columns
   * @param y rows of cols floats; may be x itself when the strides are equal
   * @param yStride from row to row, at least cols
   * @param pool threads, or null
   */
  public static void rmsNorm(
      MemorySegment x,
      long xStride,
      MemorySegment weight,
      float eps,
      long rows,
      long cols,
      MemorySegment y,
      long yStride,
      ThreadPool pool) {
    String function = "Nn.rmsNorm";
    Args.input(function, "x", x, Args.floats(function, "x", rows, cols, xStride));
    Args.input(function, "weight", weight, Args.product(function, "weight", cols, Float.BYTES));
    Args.output(function, "y", y, Args.floats(function, "y", rows, cols, yStride));
    SylvesterException.check(
        SylvesterFfi.syl_nn_rms_norm_f32(
            x, xStride, weight, eps, rows, cols, y, yStride, ThreadPool.handle(pool)));
  }

  /**
   * SwiGLU: {@code y[r][i] = silu(gate[r][i]) up[r][i]}.
   *
   * @param gate rows of cols floats
   * @param gateStride from row to row, at least cols
   * @param up rows of cols floats
   * @param upStride from row to row, at least cols
   * @param rows number of rows
   * @param cols number of columns
   * @param y rows of cols floats; may be gate or up itself when the strides are equal
   * @param yStride from row to row, at least cols
   * @param pool threads, or null
   */
  public static void swiGlu(
      MemorySegment gate,
      long gateStride,
      MemorySegment up,
      long upStride,
      long rows,
      long cols,
      MemorySegment y,
      long yStride,
      ThreadPool pool) {
    String function = "Nn.swiGlu";
    Args.input(function, "gate", gate, Args.floats(function, "gate", rows, cols, gateStride));
    Args.input(function, "up", up, Args.floats(function, "up", rows, cols, upStride));
    Args.output(function, "y", y, Args.floats(function, "y", rows, cols, yStride));
    SylvesterException.check(
        SylvesterFfi.syl_nn_swiglu_f32(
            gate, gateStride, up, upStride, rows, cols, y, yStride, ThreadPool.handle(pool)));
  }
}

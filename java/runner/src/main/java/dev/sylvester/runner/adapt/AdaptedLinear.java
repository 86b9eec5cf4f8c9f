package dev.sylvester.runner.adapt;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronAdapter;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.Matrix;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.kernels.Workspace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A frozen linear layer in floats, twice: as it is and transposed, for gradients. An adapter beside
 * it may be trained. Rows lie back to back.
 */
final class AdaptedLinear {
  private final Matrix weights;
  private final Matrix transposed;
  private final MemorySegment bias;
  private final Trained trained;
  private KronAdapter packed;

  /**
   * An adapter in training.
   *
   * @param factors as they are now
   * @param du gets the gradient of u added
   * @param dv gets the gradient of v added
   */
  record Trained(KronFactors factors, MemorySegment du, MemorySegment dv) {}

  private AdaptedLinear(Matrix weights, Matrix transposed, MemorySegment bias, Trained trained) {
    this.weights = weights;
    this.transposed = transposed;
    this.bias = bias;
    this.trained = trained;
  }

  /**
   * Packs a layer.
   *
   * @param w out rows of in floats, not needed afterwards
   * @param bias out floats, or null
   * @param trained its adapter, or null
   * @param arena owns the packed forms
   */
  static AdaptedLinear of(
      MemorySegment w,
      long out,
      long in,
      MemorySegment bias,
      Trained trained,
      Arena arena,
      ThreadPool pool) {
    Matrix weights = Matrix.pack(DType.F32, out, in, w, arena, pool);
    try (Arena scratch = Arena.ofShared()) {
      MemorySegment turned = scratch.allocate(w.byteSize(), 64);
      for (long o = 0; o < out; o++) {
        for (long i = 0; i < in; i++) {
          turned.setAtIndex(JAVA_FLOAT, i * out + o, w.getAtIndex(JAVA_FLOAT, o * in + i));
        }
      }
      Matrix transposed = Matrix.pack(DType.F32, in, out, turned, arena, pool);
      return new AdaptedLinear(weights, transposed, bias, trained);
    }
  }

  /** Takes the factors as they are now; the arena lives until the next time. */
  void pack(Arena arena) {
    if (trained != null) {
      packed = KronAdapter.pack(trained.factors, arena);
    }
  }

  /** {@code y = W x + bias + delta x}, or {@code y +=}. */
  void forward(
      MemorySegment x,
      long rows,
      boolean accumulate,
      MemorySegment y,
      Workspace workspace,
      ThreadPool pool) {
    long in = weights.cols();
    long out = weights.rows();
    weights.multiply(x, in, rows, bias, accumulate, y, out, workspace, pool);
    if (trained != null) {
      packed.apply(1, x, in, rows, true, y, out, workspace, pool);
    }
  }

  /** From g, the gradient of y: adds those of the factors, stores or adds that of x. */
  void backward(
      MemorySegment x,
      MemorySegment g,
      long rows,
      boolean accumulate,
      MemorySegment dx,
      Workspace workspace,
      ThreadPool pool) {
    long in = weights.cols();
    transposed.multiply(g, weights.rows(), rows, null, accumulate, dx, in, workspace, pool);
    if (trained != null) {
      trained.factors.addGradient(1, x, g, rows, trained.du, trained.dv, dx, workspace, pool);
    }
  }
}

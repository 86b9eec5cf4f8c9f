package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_kron_decomposition;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The nearest sum of Kronecker products to a matrix, {@code W ~ sum_k sigma_k U_k (x) V_k}, in the
 * Frobenius norm: the SVD of its blocks (Van Loan and Pitsianis 1993). With {@link KronShape#lora}
 * it is the matrix's own SVD. Immutable.
 */
public final class KronDecomposition {
  /** How it is computed. */
  public enum Method {
    /** Exact where the smaller side of the rearranged matrix is at most 1024. */
    AUTO,
    /** By eigenvectors. */
    EXACT,
    /** By random projections and power steps; the same bits for the same seed. */
    RANDOMIZED
  }

  private final KronShape shape;
  private final double[] sigma;
  private final double[] u;
  private final double[] v;
  private final double energy;

  private KronDecomposition(
      KronShape shape, double[] sigma, double[] u, double[] v, double energy) {
    this.shape = shape;
    this.sigma = sigma;
    this.u = u;
    this.v = v;
    this.energy = energy;
  }

  /**
   * Decomposes a matrix.
   *
   * @param shape of the factors
   * @param type of W: F32 or F64
   * @param w out rows of in elements
   * @param stride elements from row to row, at least in
   * @param terms how many, 1..min(m n, p q)
   * @param method how
   * @param seed of the randomised method
   * @param pool threads, or null; they change no bit
   * @return the decomposition
   */
  public static KronDecomposition of(
      KronShape shape,
      DType type,
      MemorySegment w,
      long stride,
      int terms,
      Method method,
      int seed,
      ThreadPool pool) {
    String function = "KronDecomposition.of";
    Args.present(function, "shape", shape);
    Args.present(function, "type", type);
    Args.present(function, "method", method);
    long left = Args.product(function, "shape", shape.m(), shape.n());
    long right = Args.product(function, "shape", shape.p(), shape.q());
    Args.range(function, "terms", terms, 1, Math.min(left, right));
    long element = type == DType.F64 ? Double.BYTES : Float.BYTES;
    long out = Args.product(function, "shape", shape.m(), shape.p());
    long in = Args.product(function, "shape", shape.n(), shape.q());
    Args.input(function, "w", w, Args.extent(function, "w", out, in, stride, element));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment struct = arena.allocate(syl_kron_decomposition.layout());
      syl_kron_decomposition.struct_size(struct, (int) syl_kron_decomposition.sizeof());
      syl_kron_decomposition.type(struct, type.id());
      syl_kron_decomposition.m(struct, shape.m());
      syl_kron_decomposition.n(struct, shape.n());
      syl_kron_decomposition.p(struct, shape.p());
      syl_kron_decomposition.q(struct, shape.q());
      syl_kron_decomposition.terms(struct, terms);
      syl_kron_decomposition.method(struct, method.ordinal());
      syl_kron_decomposition.seed(struct, seed);
      MemorySegment sigma = arena.allocate(JAVA_DOUBLE, terms);
      MemorySegment u =
          Args.allocate(function, Args.product(function, "u", terms * 8L, left), arena);
      MemorySegment v =
          Args.allocate(function, Args.product(function, "v", terms * 8L, right), arena);
      MemorySegment energy = arena.allocate(JAVA_DOUBLE);
      SylvesterException.check(
          SylvesterFfi.syl_kron_decompose(
              struct, w, stride, sigma, u, v, energy, ThreadPool.handle(pool)));
      return new KronDecomposition(
          shape,
          sigma.toArray(JAVA_DOUBLE),
          u.toArray(JAVA_DOUBLE),
          v.toArray(JAVA_DOUBLE),
          energy.get(JAVA_DOUBLE, 0));
    }
  }

  /**
   * Sizes of the factors.
   *
   * @return the shape
   */
  public KronShape shape() {
    return shape;
  }

  /**
   * Singular values, descending.
   *
   * @return a copy
   */
  public double[] sigma() {
    return sigma.clone();
  }

  /**
   * Sum of squares of the matrix. What r terms miss is this less the sum of their sigma^2.
   *
   * @return the energy
   */
  public double energy() {
    return energy;
  }

  /**
   * The first terms as factors, the root of sigma in each, as PiSSA starts training.
   *
   * @param terms how many of them
   * @param arena owns the memory
   * @return factors of floats
   */
  public KronFactors factors(int terms, Arena arena) {
    Args.range("KronDecomposition.factors", "terms", terms, 1, sigma.length);
    return KronFactors.of(
        DType.F32, terms, shape, scaled(u, terms, arena), scaled(v, terms, arena));
  }

  private MemorySegment scaled(double[] values, int terms, Arena arena) {
    int size = values.length / sigma.length;
    MemorySegment floats =
        Args.allocate("KronDecomposition.factors", (long) Float.BYTES * terms * size, arena);
    for (int i = 0; i < terms * size; i++) {
      floats.setAtIndex(JAVA_FLOAT, i, (float) (values[i] * Math.sqrt(sigma[i / size])));
    }
    return floats;
  }
}

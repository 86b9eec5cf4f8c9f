package dev.sylvester.kernels;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_kron;
import dev.sylvester.kernels.ffi.syl_kron_info;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The factors of {@code delta = sum_k U_k (x) V_k}, LoRA's among them ({@link KronShape#lora}). The
 * memory is the caller's: what is written there changes the delta. {@link KronAdapter} applies it
 * to rows. See {@code sylvester/kron.h}.
 */
public final class KronFactors {
  /** Which of the two products of a row comes first: the one that makes both cheaper together. */
  public enum Order {
    /** {@code X V^T}, then U times it. */
    V_FIRST,
    /** {@code U X}, then it times V^T. */
    U_FIRST
  }

  /**
   * What factors come to.
   *
   * @param order of the products
   * @param parameters number of elements
   * @param flop floating-point operations for one row
   * @param packedBytes size of the form that a {@link KronAdapter} holds
   */
  public record Cost(Order order, long parameters, long flop, long packedBytes) {}

  private final DType type;
  private final long terms;
  private final KronShape shape;
  private final MemorySegment u;
  private final MemorySegment v;

  private KronFactors(DType type, long terms, KronShape shape, MemorySegment u, MemorySegment v) {
    this.type = type;
    this.terms = terms;
    this.shape = shape;
    this.u = u;
    this.v = v;
  }

  /**
   * Factors in memory.
   *
   * @param type of the elements: F32, F16 or BF16
   * @param terms number of products, at least 1
   * @param shape of the factors
   * @param u terms matrices of m x n elements, row-major
   * @param v terms matrices of p x q elements, row-major
   * @return the factors
   */
  public static KronFactors of(
      DType type, long terms, KronShape shape, MemorySegment u, MemorySegment v) {
    String function = "KronFactors.of";
    Args.present(function, "type", type);
    Args.present(function, "shape", shape);
    // The shape is judged before sizes are multiplied.
    new KronFactors(type, terms, shape, MemorySegment.NULL, MemorySegment.NULL).cost();
    Args.input(function, "u", u, type.bytes(terms * shape.m() * shape.n()));
    Args.input(function, "v", v, type.bytes(terms * shape.p() * shape.q()));
    return new KronFactors(type, terms, shape, u, v);
  }

  /**
   * Element type.
   *
   * @return the type
   */
  public DType type() {
    return type;
  }

  /**
   * Number of products.
   *
   * @return the number
   */
  public long terms() {
    return terms;
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
   * The left factors.
   *
   * @return terms matrices of m x n elements
   */
  public MemorySegment u() {
    return u;
  }

  /**
   * The right factors.
   *
   * @return terms matrices of p x q elements
   */
  public MemorySegment v() {
    return v;
  }

  /**
   * What the factors come to.
   *
   * @return order, parameters and costs
   */
  public Cost cost() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment info = arena.allocate(syl_kron_info.layout());
      syl_kron_info.struct_size(info, (int) syl_kron_info.sizeof());
      SylvesterException.check(SylvesterFfi.syl_kron_describe(toNative(arena), info));
      return new Cost(
          Order.values()[syl_kron_info.order(info)],
          syl_kron_info.parameters(info),
          syl_kron_info.flop(info),
          syl_kron_info.packed_bytes(info));
    }
  }

  /**
   * {@code W = scale delta (+ W)}, computed in double and rounded to float, then to the type. With
   * accumulate, a scale of the other sign takes a delta away again, but for roundings.
   *
   * @param scale factor on the delta
   * @param accumulate adds to W instead of storing
   * @param wType of W: F32, F16 or BF16
   * @param w out rows of in elements
   * @param stride elements from row to row, at least in
   * @param pool threads, or null
   */
  public void writeDelta(
      double scale,
      boolean accumulate,
      DType wType,
      MemorySegment w,
      long stride,
      ThreadPool pool) {
    Args.output("KronFactors.writeDelta", "w", w, extent("KronFactors.writeDelta", wType, stride));
    try (Arena arena = Arena.ofConfined()) {
      SylvesterException.check(
          SylvesterFfi.syl_kron_delta(
              toNative(arena),
              scale,
              accumulate ? SylvesterFfi.SYL_KRON_ACCUMULATE() : 0,
              wType.id(),
              w,
              stride,
              ThreadPool.handle(pool)));
    }
  }

  private long extent(String function, DType wType, long stride) {
    Args.present(function, "wType", wType);
    return Args.extent(
        function,
        "w",
        shape.out(),
        shape.in(),
        stride,
        wType == DType.F32 ? Float.BYTES : Short.BYTES);
  }

  /**
   * Adds the delta to weights until that is closed: as {@link #writeDelta}, but every byte comes
   * back. What lies between the rows must not change meanwhile.
   *
   * @param scale factor on the delta
   * @param wType of W: F32, F16 or BF16
   * @param w out rows of in elements
   * @param stride elements from row to row, at least in
   * @param pool threads, or null
   * @return what restores the weights
   */
  public Merged mergeInto(
      double scale, DType wType, MemorySegment w, long stride, ThreadPool pool) {
    String function = "KronFactors.mergeInto";
    long bytes = extent(function, wType, stride);
    Args.output(function, "w", w, bytes);
    Merged merged = new Merged(w.asSlice(0, bytes));
    try {
      writeDelta(scale, true, wType, w, stride, pool);
      return merged;
    } catch (RuntimeException | Error e) {
      merged.close();
      throw e;
    }
  }

  /**
   * Adds the gradients of {@code y = scale delta x} from {@code g = dL/dy} of some rows.
   *
   * @param scale factor on the delta
   * @param x rows of in floats, back to back
   * @param g rows of out floats, back to back
   * @param rows number of rows
   * @param du gets the gradient of u added
   * @param dv gets the gradient of v added
   * @param dx gets that of x added, rows of in floats back to back; or null
   * @param workspace scratch memory
   * @param pool threads, or null
   */
  public void addGradient(
      float scale,
      MemorySegment x,
      MemorySegment g,
      long rows,
      MemorySegment du,
      MemorySegment dv,
      MemorySegment dx,
      Workspace workspace,
      ThreadPool pool) {
    String function = "KronFactors.addGradient";
    long in = shape.in();
    long out = shape.out();
    Args.input(function, "x", x, Args.floats(function, "x", rows, in, in));
    Args.input(function, "g", g, Args.floats(function, "g", rows, out, out));
    Args.output(function, "du", du, Float.BYTES * terms * shape.m() * shape.n());
    Args.output(function, "dv", dv, Float.BYTES * terms * shape.p() * shape.q());
    if (dx != null) {
      Args.output(function, "dx", dx, Args.floats(function, "dx", rows, in, in));
    }
    workspace.begin();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment kron = toNative(arena);
      SylvesterException.check(SylvesterFfi.syl_kron_gradient_workspace(kron, workspace.results));
      MemorySegment scratch = workspace.sized();
      SylvesterException.check(
          SylvesterFfi.syl_kron_gradient_f32(
              kron,
              scale,
              x,
              in,
              g,
              out,
              rows,
              du,
              dv,
              dx == null ? MemorySegment.NULL : dx,
              in,
              scratch,
              scratch.byteSize(),
              ThreadPool.handle(pool)));
    } finally {
      workspace.end();
    }
  }

  /**
   * The C structure {@code syl_kron}, for those who call the C functions themselves. It points to
   * the factors.
   *
   * @param arena owns the structure
   * @return the structure
   */
  public MemorySegment toNative(Arena arena) {
    MemorySegment struct = arena.allocate(syl_kron.layout());
    syl_kron.struct_size(struct, (int) syl_kron.sizeof());
    syl_kron.type(struct, type.id());
    syl_kron.terms(struct, terms);
    syl_kron.m(struct, shape.m());
    syl_kron.n(struct, shape.n());
    syl_kron.p(struct, shape.p());
    syl_kron.q(struct, shape.q());
    syl_kron.u(struct, u);
    syl_kron.v(struct, v);
    return struct;
  }
}

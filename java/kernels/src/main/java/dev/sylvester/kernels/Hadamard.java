package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_hadamard_info;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;

/**
 * A plan of fast Walsh-Hadamard transforms and the rotations built on them:
 *
 * <pre>{@code
 * Hadamard rotation = Hadamard.of(1024).signs(42).build(); // y = H D x / sqrt(1024)
 * rotation.apply(vector, rotated);
 * rotation.applyTransposed(rotated, vector); // its inverse
 * }</pre>
 *
 * <p>{@code H_2^k[i][j] = (-1)^popcount(i & j)}, natural order. {@link HadamardOptions} describes
 * everything a plan can do; by default it is orthonormal, and then the transpose is the inverse.
 *
 * <p>Results have the same bits on every processor, for any number of threads, stride, alignment
 * and place in a batch, on the heap or not. Error of one round, u = 2^-24 (2^-53 for F64): {@code
 * |y[i] - exact| <= errorSteps u |scale| sum|x|} ({@link Info#errorSteps}, for n = 2^k k + 2), and
 * one rounding more where y has 16 bits. See {@code sylvester/hadamard.h}.
 *
 * <p>Segments may be native or on the heap; those on the heap are used by the calling thread alone,
 * in pieces of about 20 microseconds, or copied when one transform takes longer.
 *
 * <p>Immutable and thread-safe. Native memory is freed when the plan is no longer reachable.
 */
public final class Hadamard {
  /** For an argument that may be missing, and is. */
  static final MemorySegment NONE = MemorySegment.NULL;

  private final HadamardOptions options;
  private final HadamardLayout layout;
  private final MemorySegment handle;
  private final Info info;
  private final long workspaceBytes;
  private final double nanoseconds;
  private final boolean isOneCriticalCall;

  /**
   * What a plan comes to.
   *
   * @param transforms number of transforms
   * @param groups scales of one transform; 0 without a quantizer
   * @param scale the factor in use
   * @param additions of one transform, all rounds
   * @param xBytes read for one transform
   * @param yBytes written for one transform: elements, or codes, scales and zeros
   * @param errorSteps of the error bound
   */
  public record Info(
      long transforms,
      long groups,
      double scale,
      long additions,
      long xBytes,
      long yBytes,
      double errorSteps) {}

  Hadamard(HadamardOptions options) {
    this.options = options;
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment out = scratch.allocate(ADDRESS);
      SylvesterException.check(SylvesterFfi.syl_hadamard_new(options.toNative(scratch), out));
      handle = own(out.get(ADDRESS, 0));
      info = describe(handle, scratch);
    }
    layout = options.layout();
    workspaceBytes = SylvesterFfi.syl_hadamard_workspace(handle, 1);
    nanoseconds = HadamardCritical.nanoseconds(info.additions, (double) info.xBytes + info.yBytes);
    isOneCriticalCall =
        workspaceBytes == 0 && layout.transforms() * nanoseconds <= HadamardCritical.LIMIT;
  }

  // Freed by the collector: then calls need no check that the plan is still there.
  @SuppressWarnings("restricted")
  private static MemorySegment own(MemorySegment plan) {
    return plan.reinterpret(Arena.ofAuto(), SylvesterFfi::syl_hadamard_free);
  }

  private static Info describe(MemorySegment plan, Arena arena) {
    MemorySegment struct = arena.allocate(syl_hadamard_info.layout());
    syl_hadamard_info.struct_size(struct, (int) syl_hadamard_info.sizeof());
    SylvesterException.check(SylvesterFfi.syl_hadamard_describe(plan, struct));
    return new Info(
        syl_hadamard_info.transforms(struct),
        syl_hadamard_info.groups(struct),
        syl_hadamard_info.scale(struct),
        syl_hadamard_info.additions(struct),
        syl_hadamard_info.x_bytes(struct),
        syl_hadamard_info.y_bytes(struct),
        syl_hadamard_info.error_steps(struct));
  }

  /**
   * Starts the description of a plan: one orthonormal transform of floats.
   *
   * @param n length, 2..2^24 (2^20 for 16-bit types); a power of two unless another family is
   *     chosen
   * @return the description
   */
  public static HadamardOptions of(long n) {
    return new HadamardOptions(n);
  }

  /**
   * Starts the description of transforms across the heads of a token, as QuaRot has them before the
   * output projection: x is [token][heads][headDim], and a transform takes one element of each
   * head. {@link HadamardOptions#rows} says how many tokens there are.
   *
   * @param heads length of a transform
   * @param headDim elements of a head
   * @return the description, of one token
   */
  public static HadamardOptions acrossHeads(long heads, long headDim) {
    long token = Args.product("Hadamard.acrossHeads", "x", heads, headDim);
    return of(heads).transforms(1, 1, headDim).strides(token, 0, 1, headDim);
  }

  /**
   * {@code H_n} as floats +1 and -1.
   *
   * @param n a power of two, at most 4096
   * @return [n][n]
   */
  public static float[] matrix(int n) {
    return of(n).matrix();
  }

  /**
   * Orthonormal transforms in place, without a plan: {@code x[r] = H_n x[r] / sqrt(n)} for every
   * row r.
   *
   * @param x rows of n floats, back to back
   * @param n a power of two, 2..2^24
   */
  public static void transform(float[] x, int n) {
    String function = "Hadamard.transform";
    Args.range(function, "n", n, 2, HadamardOptions.MAX_LENGTH);
    if (Args.present(function, "x", x).length % n != 0) {
      throw new SylvesterException(
          Status.BAD_SHAPE, function + ": x has " + x.length + " floats, not rows of " + n);
    }
    long rows = x.length / n;
    int log2 = Integer.SIZE - 1 - Integer.numberOfLeadingZeros(n);
    double row = HadamardCritical.nanoseconds((double) n * log2, 2.0 * n * Float.BYTES);
    if (rows * row <= HadamardCritical.LIMIT) {
      SylvesterException.check(HadamardCritical.f32(x, rows, n));
    } else if (row <= HadamardCritical.LIMIT) {
      transformPieces(MemorySegment.ofArray(x), rows, n, (long) (HadamardCritical.LIMIT / row));
    } else {
      transformCopies(MemorySegment.ofArray(x), rows, n);
    }
  }

  private static void transformPieces(MemorySegment x, long rows, long n, long step) {
    for (long r = 0; r < rows; r += step) {
      MemorySegment piece = x.asSlice(r * n * Float.BYTES);
      SylvesterException.check(HadamardCritical.f32(piece, Math.min(step, rows - r), n));
    }
  }

  private static void transformCopies(MemorySegment x, long rows, long n) {
    long bytes = n * Float.BYTES;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment row = Args.allocate("Hadamard.transform", bytes, arena);
      for (long r = 0; r < rows; r++) {
        MemorySegment.copy(x, r * bytes, row, 0, bytes);
        transform(DType.F32, row, 1, n, n, 0, null);
        MemorySegment.copy(row, 0, x, r * bytes, bytes);
      }
    }
  }

  /**
   * Transforms in place, without a plan: {@code x[r] = scale H_n x[r]} for every row r.
   *
   * @param type F32, F64, F16 or BF16
   * @param x rows of n elements; a native segment
   * @param rows number of rows
   * @param stride elements from row to row, at least n
   * @param n a power of two, 2..2^24, for 16-bit types 2..2^13
   * @param scale finite; 0: 1 / sqrt(n)
   * @param pool threads, or null
   */
  public static void transform(
      DType type, MemorySegment x, long rows, long stride, long n, double scale, ThreadPool pool) {
    String function = "Hadamard.transform";
    long bytes = Args.extent(function, "x", rows, n, stride, type.blockBytes());
    Args.output(function, "x", x, bytes);
    MemorySegment threads = ThreadPool.handle(pool);
    SylvesterException.check(
        switch (type) {
          case F32 -> SylvesterFfi.syl_hadamard_f32(x, rows, stride, n, scale, threads);
          case F64 -> SylvesterFfi.syl_hadamard_f64(x, rows, stride, n, scale, threads);
          case F16 -> SylvesterFfi.syl_hadamard_f16(x, rows, stride, n, scale, threads);
          case BF16 -> SylvesterFfi.syl_hadamard_bf16(x, rows, stride, n, scale, threads);
          default ->
              throw new SylvesterException(
                  Status.BAD_VALUE,
                  function + ": type is " + type + ", must be F32, F64, F16 or BF16");
        });
  }

  /**
   * What the plan does.
   *
   * @return its description
   */
  public HadamardOptions options() {
    return options;
  }

  /**
   * What the plan comes to.
   *
   * @return work and bytes of a transform, and its error bound
   */
  public Info info() {
    return info;
  }

  /**
   * Where elements lie, and how many bytes calls need.
   *
   * @return the layout of x and y
   */
  public HadamardLayout layout() {
    return layout;
  }

  /**
   * All transforms of rows on the heap.
   *
   * @param x floats laid out as the plan says
   * @param y the same; may be x itself when the strides are equal
   */
  public void apply(float[] x, float[] y) {
    String function = "Hadamard.apply";
    refuseQuantizer(function);
    checkFloats(function, "x", x, options.xType(), layout.xBytes());
    checkFloats(function, "y", y, options.yType(), layout.yBytes());
    if (isOneCriticalCall) {
      int status = HadamardCritical.run(handle.address(), x, y, layout.transforms());
      Reference.reachabilityFence(this);
      SylvesterException.check(status);
    } else {
      apply(MemorySegment.ofArray(x), MemorySegment.ofArray(y));
    }
  }

  /**
   * All transforms.
   *
   * @param x elements laid out as the plan says
   * @param y the same; may be x itself when type and strides are equal
   */
  public void apply(MemorySegment x, MemorySegment y) {
    apply(x, y, 0, layout.transforms(), null, null);
  }

  /**
   * The transforms first .. first + count - 1 of a plan without a quantizer.
   *
   * @param x elements laid out as the plan says, starting with transform 0
   * @param y the same; may be x itself when type and strides are equal, and must not overlap it
   *     otherwise
   * @param first transform
   * @param count number of transforms
   * @param workspace scratch memory; null: a plan that needs some allocates it for the call
   * @param pool threads, or null
   */
  public void apply(
      MemorySegment x,
      MemorySegment y,
      long first,
      long count,
      Workspace workspace,
      ThreadPool pool) {
    String function = "Hadamard.apply";
    refuseQuantizer(function);
    Args.readable(function, "x", x, layout.xBytes(first, count));
    Args.writable(function, "y", y, layout.yBytes(first, count));
    HadamardCall.run(this, false, x, y, NONE, NONE, first, count, workspace, pool);
  }

  /**
   * The transpose of the whole map on rows on the heap.
   *
   * @param y floats laid out as the plan says
   * @param x the same, written; may be y itself when the strides are equal
   */
  public void applyTransposed(float[] y, float[] x) {
    String function = "Hadamard.applyTransposed";
    checkFloats(function, "y", y, options.yType(), layout.yBytes());
    checkFloats(function, "x", x, options.xType(), layout.xBytes());
    if (isOneCriticalCall) {
      int status = HadamardCritical.runTransposed(handle.address(), y, x, layout.transforms());
      Reference.reachabilityFence(this);
      SylvesterException.check(status);
    } else {
      applyTransposed(MemorySegment.ofArray(y), MemorySegment.ofArray(x));
    }
  }

  /**
   * The transpose of the whole map: {@code x = P^T D_0 (scale H^T) D_1 ... (scale H^T) D_rounds y}.
   *
   * @param y elements laid out as the plan says
   * @param x the same, written; may be y itself when type and strides are equal
   */
  public void applyTransposed(MemorySegment y, MemorySegment x) {
    applyTransposed(y, x, 0, layout.transforms(), null, null);
  }

  /**
   * The transpose of the transforms first .. first + count - 1. Elements of x that no index of
   * {@link HadamardOptions#gather} names become 0.
   *
   * @param y elements laid out as the plan says, starting with transform 0
   * @param x the same, written; may be y itself when type and strides are equal, and must not
   *     overlap it otherwise
   * @param first transform
   * @param count number of transforms
   * @param workspace scratch memory; null: a plan that needs some allocates it for the call
   * @param pool threads, or null
   */
  public void applyTransposed(
      MemorySegment y,
      MemorySegment x,
      long first,
      long count,
      Workspace workspace,
      ThreadPool pool) {
    String function = "Hadamard.applyTransposed";
    Args.readable(function, "y", y, layout.yBytes(first, count));
    Args.writable(function, "x", x, layout.xBytes(first, count));
    HadamardCall.run(this, true, y, x, NONE, NONE, first, count, workspace, pool);
  }

  /**
   * All transforms of rows on the heap to codes.
   *
   * @param x floats laid out as the plan says
   * @param codes bytes laid out as the plan says
   * @param scales [transforms][groups]
   * @param zeros the same; null for I8
   */
  public void quantize(float[] x, byte[] codes, float[] scales, float[] zeros) {
    String function = "Hadamard.quantize";
    checkFloats(function, "x", x, options.xType(), layout.xBytes());
    MemorySegment from = MemorySegment.ofArray(x);
    MemorySegment to = MemorySegment.ofArray(Args.present(function, "codes", codes));
    MemorySegment scale = MemorySegment.ofArray(Args.present(function, "scales", scales));
    MemorySegment zero = zeros == null ? null : MemorySegment.ofArray(zeros);
    quantize(from, to, scale, zero, 0, layout.transforms(), null, null);
  }

  /**
   * The transforms first .. first + count - 1 to codes, as {@link HadamardOptions.Quantizer} says.
   * A group with a NaN, an infinity or an infinite range gets the scale NaN, the zero NaN and codes
   * 0.
   *
   * @param x elements laid out as the plan says, starting with transform 0
   * @param codes bytes laid out as the plan says, starting with transform 0
   * @param scales [transforms][groups] floats
   * @param zeros the same; null for I8
   * @param first transform
   * @param count number of transforms
   * @param workspace scratch memory; null: a plan that needs some allocates it for the call
   * @param pool threads, or null
   */
  public void quantize(
      MemorySegment x,
      MemorySegment codes,
      MemorySegment scales,
      MemorySegment zeros,
      long first,
      long count,
      Workspace workspace,
      ThreadPool pool) {
    String function = "Hadamard.quantize";
    if (options.quantizer() == null) {
      throw new SylvesterException(
          Status.UNSUPPORTED, function + ": plan has no quantizer, call apply");
    }
    Args.readable(function, "x", x, layout.xBytes(first, count));
    Args.writable(function, "codes", codes, layout.yBytes(first, count));
    long scaleBytes = layout.scaleBytes(first, count);
    Args.writable(function, "scales", scales, scaleBytes);
    MemorySegment zerosOrNull = NONE;
    if (zeros != null) {
      Args.writable(function, "zeros", zeros, scaleBytes);
      zerosOrNull = zeros;
    }
    HadamardCall.run(this, false, x, codes, scales, zerosOrNull, first, count, workspace, pool);
  }

  private void refuseQuantizer(String function) {
    if (options.quantizer() != null) {
      throw new SylvesterException(
          Status.UNSUPPORTED,
          function + ": plan has the quantizer " + options.quantizer() + ", call quantize");
    }
  }

  private static void checkFloats(
      String function, String name, float[] array, DType type, long bytes) {
    long length = Args.present(function, name, array).length;
    if (type != DType.F32) {
      throw new SylvesterException(
          Status.BAD_VALUE, function + ": " + name + " is a float[], the plan's is " + type);
    }
    if (length * Float.BYTES < bytes) {
      throw new SylvesterException(
          Status.BAD_SHAPE,
          function
              + ": "
              + name
              + " has "
              + length
              + " floats, the plan needs "
              + bytes / Float.BYTES);
    }
  }

  MemorySegment handle() {
    return handle;
  }

  /** Scratch memory of a call. */
  long workspaceBytes(ThreadPool pool) {
    return pool == null
        ? workspaceBytes
        : SylvesterFfi.syl_hadamard_workspace(handle, pool.threads());
  }

  /** Time of one transform, as far as {@link HadamardCritical} is concerned. */
  double nanoseconds() {
    return nanoseconds;
  }
}

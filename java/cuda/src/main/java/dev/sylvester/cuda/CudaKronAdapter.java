package dev.sylvester.cuda;

import dev.sylvester.cuda.ffi.CudaFfi;
import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.KronShape;
import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.MemorySegment;

/**
 * {@code delta = sum_k U_k (x) V_k}, LoRA among them ({@link KronShape#lora}), on a device: the
 * twin of {@link KronFactors} and {@link dev.sylvester.kernels.KronAdapter}, with the same results
 * to the bit. Nothing is packed: the factors are the caller's memory, what is written there changes
 * the delta. {@link CudaKronSegments} applies several adapters in one call. Calls only enqueue
 * work; any number of threads and streams may use an adapter at once.
 *
 * <p>A workspace holds as many bytes as the method says that is named beside it, and serves one
 * stream at a time. What is read, written and scratch must not overlap, which is not checked.
 */
public final class CudaKronAdapter {
  private final KronFactors factors; // of device memory: for its sizes and its structure
  private final DeviceMemory u;
  private final DeviceMemory v;

  private CudaKronAdapter(KronFactors factors, DeviceMemory u, DeviceMemory v) {
    this.factors = factors;
    this.u = u;
    this.v = v;
  }

  /**
   * An adapter.
   *
   * @param type of the factors' elements: F32, F16 or BF16
   * @param terms number of products, at least 1
   * @param shape of the factors
   * @param u terms matrices of m x n elements, row-major
   * @param v terms matrices of p x q elements, row-major, on the same device
   * @return the adapter
   */
  public static CudaKronAdapter of(
      DType type, long terms, KronShape shape, DeviceMemory u, DeviceMemory v) {
    String function = "CudaKronAdapter.of";
    CudaDevice device = Args.present(function, "u", u).device();
    try (CudaCall call = new CudaCall(function, device)) {
      MemorySegment left = call.memory("u", u, 0);
      MemorySegment right = call.memory("v", v, 0);
      return new CudaKronAdapter(KronFactors.of(type, terms, shape, left, right), u, v);
    }
  }

  /**
   * Where it computes.
   *
   * @return the device of the factors
   */
  public CudaDevice device() {
    return u.device();
  }

  /**
   * Sizes of the factors.
   *
   * @return the shape
   */
  public KronShape shape() {
    return factors.shape();
  }

  /**
   * Size of the workspace of {@link #apply} and {@link #applyTransposed}.
   *
   * @param rows number of rows, not negative
   * @return bytes
   */
  public long workspaceBytes(long rows) {
    try (CudaCall call = new CudaCall("CudaKronAdapter.workspaceBytes", device())) {
      MemorySegment kron = kron(call);
      return CudaCall.number(bytes -> CudaFfi.syl_cuda_kron_workspace(kron, rows, bytes));
    }
  }

  /**
   * Size of the workspace of {@link #addGradient}.
   *
   * @param rows number of rows, not negative
   * @return bytes
   */
  public long gradientWorkspaceBytes(long rows) {
    try (CudaCall call = new CudaCall("CudaKronAdapter.gradientWorkspaceBytes", device())) {
      MemorySegment kron = kron(call);
      return CudaCall.number(bytes -> CudaFfi.syl_cuda_kron_gradient_workspace(kron, rows, bytes));
    }
  }

  /**
   * Enqueues {@code y[r] = scale delta x[r] (+ y[r])}. A row has the same bits whatever rows come
   * with it.
   *
   * @param scale factor on the delta
   * @param x rows of in floats
   * @param xStride from row to row, at least in
   * @param rows number of rows
   * @param accumulate adds to y instead of storing
   * @param y rows of out floats
   * @param yStride from row to row, at least out
   * @param workspace of {@link #workspaceBytes}
   * @param stream null for the default stream
   */
  public void apply(
      float scale,
      DeviceMemory x,
      long xStride,
      long rows,
      boolean accumulate,
      DeviceMemory y,
      long yStride,
      DeviceMemory workspace,
      CudaStream stream) {
    try (CudaCall call = new CudaCall("CudaKronAdapter.apply", device())) {
      MemorySegment from = call.rows("x", x, rows, shape().in(), xStride);
      MemorySegment to = call.rows("y", y, rows, shape().out(), yStride);
      apply(call, scale, from, xStride, rows, flags(accumulate), to, yStride, workspace, stream);
    }
  }

  /**
   * Enqueues {@code x[r] = scale delta^T y[r] (+ x[r])}.
   *
   * @param scale factor on the delta
   * @param y rows of out floats
   * @param yStride from row to row, at least out
   * @param rows number of rows
   * @param accumulate adds to x instead of storing
   * @param x rows of in floats
   * @param xStride from row to row, at least in
   * @param workspace of {@link #workspaceBytes}
   * @param stream null for the default stream
   */
  public void applyTransposed(
      float scale,
      DeviceMemory y,
      long yStride,
      long rows,
      boolean accumulate,
      DeviceMemory x,
      long xStride,
      DeviceMemory workspace,
      CudaStream stream) {
    try (CudaCall call = new CudaCall("CudaKronAdapter.applyTransposed", device())) {
      MemorySegment from = call.rows("y", y, rows, shape().out(), yStride);
      MemorySegment to = call.rows("x", x, rows, shape().in(), xStride);
      int flags = flags(accumulate) | SylvesterFfi.SYL_KRON_TRANSPOSED();
      apply(call, scale, from, yStride, rows, flags, to, xStride, workspace, stream);
    }
  }

  private void apply(
      CudaCall call,
      float scale,
      MemorySegment from,
      long fromStride,
      long rows,
      int flags,
      MemorySegment to,
      long toStride,
      DeviceMemory workspace,
      CudaStream stream) {
    MemorySegment scratch = call.workspace(workspace);
    MemorySegment queue = call.stream(stream);
    MemorySegment kron = kron(call);
    call.run(
        () ->
            CudaFfi.syl_cuda_kron_apply_f32(
                kron,
                scale,
                from,
                fromStride,
                rows,
                flags,
                to,
                toStride,
                scratch,
                scratch.byteSize(),
                queue));
  }

  /**
   * Enqueues {@code W = scale delta (+ W)}, computed in double and rounded to float, then to the
   * type. With accumulate, a scale of the other sign takes a delta away again, but for roundings.
   *
   * @param scale factor on the delta
   * @param accumulate adds to W instead of storing
   * @param wType of W: F32, F16 or BF16
   * @param w out rows of in elements
   * @param stride elements from row to row, at least in
   * @param stream null for the default stream
   */
  public void writeDelta(
      double scale,
      boolean accumulate,
      DType wType,
      DeviceMemory w,
      long stride,
      CudaStream stream) {
    String function = "CudaKronAdapter.writeDelta";
    Args.present(function, "wType", wType);
    try (CudaCall call = new CudaCall(function, device())) {
      long element = wType.blockBytes();
      MemorySegment to = call.rows("w", w, shape().out(), shape().in(), stride, element);
      MemorySegment queue = call.stream(stream);
      MemorySegment kron = kron(call);
      call.run(
          () ->
              CudaFfi.syl_cuda_kron_delta(
                  kron, scale, flags(accumulate), wType.id(), to, stride, queue));
    }
  }

  /**
   * Enqueues the gradients of {@code y = scale delta x}, which are added to, from {@code g = dL/dy}
   * of some rows. The factors must be F32.
   *
   * @param scale factor on the delta
   * @param x rows of in floats, back to back
   * @param g rows of out floats, back to back
   * @param rows number of rows
   * @param du gets the gradient of u added, as many floats
   * @param dv gets the gradient of v added, as many floats
   * @param dx gets that of x added, rows of in floats back to back; or null
   * @param workspace of {@link #gradientWorkspaceBytes}
   * @param stream null for the default stream
   */
  public void addGradient(
      float scale,
      DeviceMemory x,
      DeviceMemory g,
      long rows,
      DeviceMemory du,
      DeviceMemory dv,
      DeviceMemory dx,
      DeviceMemory workspace,
      CudaStream stream) {
    try (CudaCall call = new CudaCall("CudaKronAdapter.addGradient", device())) {
      KronShape s = shape();
      long in = s.in();
      long out = s.out();
      MemorySegment rowsOfX = call.rows("x", x, rows, in, in);
      MemorySegment rowsOfG = call.rows("g", g, rows, out, out);
      MemorySegment ofU = call.memory("du", du, Float.BYTES * factors.terms() * s.m() * s.n());
      MemorySegment ofV = call.memory("dv", dv, Float.BYTES * factors.terms() * s.p() * s.q());
      MemorySegment ofX = dx == null ? MemorySegment.NULL : call.rows("dx", dx, rows, in, in);
      MemorySegment scratch = call.workspace(workspace);
      MemorySegment queue = call.stream(stream);
      MemorySegment kron = kron(call);
      call.run(
          () ->
              CudaFfi.syl_cuda_kron_gradient_f32(
                  kron,
                  scale,
                  rowsOfX,
                  in,
                  rowsOfG,
                  out,
                  rows,
                  ofU,
                  ofV,
                  ofX,
                  in,
                  scratch,
                  scratch.byteSize(),
                  queue));
    }
  }

  static int flags(boolean accumulate) {
    return accumulate ? SylvesterFfi.SYL_KRON_ACCUMULATE() : 0;
  }

  /** The structure, whose factors stay open until the call ends. */
  MemorySegment kron(CudaCall call) {
    call.memory("u", u, 0);
    call.memory("v", v, 0);
    return factors.toNative(call.scratch);
  }
}

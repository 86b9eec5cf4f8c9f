package dev.sylvester.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;

import dev.sylvester.cuda.ffi.CudaFfi;
import dev.sylvester.kernels.HadamardLayout;
import dev.sylvester.kernels.HadamardOptions;
import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Hadamard transforms on a device: the twin of {@link dev.sylvester.kernels.Hadamard}, made from
 * the same {@link HadamardOptions}, with the same results to the bit. Without {@link
 * dev.sylvester.kernels.DType#F64}. Calls only enqueue work: they neither wait nor allocate. Any
 * number of threads and streams may use a plan at once.
 *
 * <p>Where a method takes a workspace, it must hold {@link #workspaceBytes} bytes and serve one
 * stream at a time; null will do where that is 0. Data need not be aligned beyond their element
 * type, but are read faster from addresses and with strides of multiples of 16 bytes.
 */
public final class CudaHadamard implements AutoCloseable {
  private final HadamardOptions options;
  private final HadamardLayout layout;
  private final CudaDevice device;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment handle;

  private CudaHadamard(HadamardOptions options, CudaDevice device) {
    this.options = options;
    this.device = device;
    layout = options.layout();
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment out = scratch.allocate(ADDRESS);
      device.use();
      Args.check(CudaFfi.syl_cuda_hadamard_new(options.toNative(scratch), out));
      handle = own(out.get(ADDRESS, 0));
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  @SuppressWarnings("restricted")
  private MemorySegment own(MemorySegment plan) {
    return plan.reinterpret(arena, CudaFfi::syl_cuda_hadamard_free);
  }

  /**
   * A plan.
   *
   * @param options what it does
   * @param device where
   * @return the plan
   * @throws SylvesterException if values do not fit each other, or the element type is F64
   */
  public static CudaHadamard of(HadamardOptions options, CudaDevice device) {
    return new CudaHadamard(
        Args.present("CudaHadamard.of", "options", options),
        Args.present("CudaHadamard.of", "device", device));
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
   * Where elements lie, and how many bytes calls need.
   *
   * @return the layout of x and y
   */
  public HadamardLayout layout() {
    return layout;
  }

  /**
   * Size of the workspace of a call.
   *
   * @param count number of transforms
   * @return bytes; 0 for most plans
   */
  public long workspaceBytes(long count) {
    return CudaFfi.syl_cuda_hadamard_workspace(plan(), count);
  }

  /**
   * Enqueues all transforms of a plan that has no quantizer and needs no workspace.
   *
   * @param x elements laid out as the plan says
   * @param y the same; may be x itself when type and strides are equal
   * @param stream null for the default stream
   */
  public void apply(DeviceMemory x, DeviceMemory y, CudaStream stream) {
    apply(x, y, 0, layout.transforms(), null, stream);
  }

  /**
   * Enqueues the transforms first .. first + count - 1 of a plan without a quantizer.
   *
   * @param x elements laid out as the plan says, starting with transform 0
   * @param y the same; may be x itself when type and strides are equal, and must not overlap it
   *     otherwise
   * @param first transform
   * @param count number of transforms
   * @param workspace scratch memory
   * @param stream null for the default stream
   */
  public void apply(
      DeviceMemory x,
      DeviceMemory y,
      long first,
      long count,
      DeviceMemory workspace,
      CudaStream stream) {
    String function = "CudaHadamard.apply";
    if (options.quantizer() != null) {
      throw new SylvesterException(
          Status.UNSUPPORTED,
          function + ": plan has the quantizer " + options.quantizer() + ", call quantize");
    }
    try (CudaCall call = new CudaCall(function, device)) {
      MemorySegment plan = plan();
      MemorySegment queue = call.stream(stream);
      MemorySegment from = call.memory("x", x, layout.xBytes(first, count));
      MemorySegment to = call.memory("y", y, layout.yBytes(first, count));
      MemorySegment none = MemorySegment.NULL;
      MemorySegment scratch = call.workspace(workspace);
      call.run(
          () ->
              CudaFfi.syl_cuda_hadamard_run(
                  plan, from, to, none, none, first, count, scratch, scratch.byteSize(), queue));
    }
  }

  /**
   * Enqueues the transpose of all transforms of a plan that needs no workspace.
   *
   * @param y elements laid out as the plan says
   * @param x the same, written; may be y itself when type and strides are equal
   * @param stream null for the default stream
   */
  public void applyTransposed(DeviceMemory y, DeviceMemory x, CudaStream stream) {
    applyTransposed(y, x, 0, layout.transforms(), null, stream);
  }

  /**
   * Enqueues the transpose of the transforms first .. first + count - 1. Elements of x that no
   * index of {@link HadamardOptions#gather} names become 0.
   *
   * @param y elements laid out as the plan says, starting with transform 0
   * @param x the same, written; may be y itself when type and strides are equal, and must not
   *     overlap it otherwise
   * @param first transform
   * @param count number of transforms
   * @param workspace scratch memory
   * @param stream null for the default stream
   */
  public void applyTransposed(
      DeviceMemory y,
      DeviceMemory x,
      long first,
      long count,
      DeviceMemory workspace,
      CudaStream stream) {
    try (CudaCall call = new CudaCall("CudaHadamard.applyTransposed", device)) {
      MemorySegment plan = plan();
      MemorySegment queue = call.stream(stream);
      MemorySegment from = call.memory("y", y, layout.yBytes(first, count));
      MemorySegment to = call.memory("x", x, layout.xBytes(first, count));
      MemorySegment scratch = call.workspace(workspace);
      call.run(
          () ->
              CudaFfi.syl_cuda_hadamard_run_transposed(
                  plan, from, to, first, count, scratch, scratch.byteSize(), queue));
    }
  }

  /**
   * Enqueues the transforms first .. first + count - 1 to codes, as {@link
   * HadamardOptions.Quantizer} says.
   *
   * @param x elements laid out as the plan says, starting with transform 0
   * @param codes bytes laid out as the plan says, starting with transform 0
   * @param scales [transforms][groups] floats
   * @param zeros the same; null for I8
   * @param first transform
   * @param count number of transforms
   * @param workspace scratch memory
   * @param stream null for the default stream
   */
  public void quantize(
      DeviceMemory x,
      DeviceMemory codes,
      DeviceMemory scales,
      DeviceMemory zeros,
      long first,
      long count,
      DeviceMemory workspace,
      CudaStream stream) {
    String function = "CudaHadamard.quantize";
    if (options.quantizer() == null) {
      throw new SylvesterException(
          Status.UNSUPPORTED, function + ": plan has no quantizer, call apply");
    }
    try (CudaCall call = new CudaCall(function, device)) {
      MemorySegment plan = plan();
      MemorySegment queue = call.stream(stream);
      long scaleBytes = layout.scaleBytes(first, count);
      MemorySegment from = call.memory("x", x, layout.xBytes(first, count));
      MemorySegment to = call.memory("codes", codes, layout.yBytes(first, count));
      MemorySegment s = call.memory("scales", scales, scaleBytes);
      MemorySegment z = call.optional("zeros", zeros, scaleBytes);
      MemorySegment scratch = call.workspace(workspace);
      call.run(
          () ->
              CudaFfi.syl_cuda_hadamard_run(
                  plan, from, to, s, z, first, count, scratch, scratch.byteSize(), queue));
    }
  }

  private MemorySegment plan() {
    return Args.open("CudaHadamard", handle);
  }

  /**
   * Frees the plan; the device first ends the work that was enqueued. A second call does nothing.
   *
   * @throws IllegalStateException if a call on another thread is using it
   */
  @Override
  public void close() {
    Args.close(arena);
  }
}

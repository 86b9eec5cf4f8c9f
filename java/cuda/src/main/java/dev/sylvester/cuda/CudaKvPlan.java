package dev.sylvester.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import dev.sylvester.cuda.ffi.CudaFfi;
import dev.sylvester.kernels.KvGeometry;
import dev.sylvester.kernels.KvPlan;
import dev.sylvester.kernels.KvSide;
import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A packed key-value cache on a device, whose memory is the caller's: pages and tables in a {@link
 * CudaKvBatch}, what is kept as halves in {@link CudaKvHalves}. The twin of {@link KvPlan}, with
 * the processor's bytes for the same tokens; see {@code sylvester/cuda_kv.h}. Calls only enqueue
 * work; any number of threads and streams may use a plan at once.
 */
public final class CudaKvPlan implements AutoCloseable {
  static final int TILE_TOKENS = 16;

  private final KvGeometry geometry;
  private final KvPlan.Info info;
  private final CudaDevice device;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment handle;

  private CudaKvPlan(KvPlan plan, CudaDevice device) {
    this.device = device;
    geometry = plan.geometry();
    info = plan.info();
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment file = scratch.allocateFrom(JAVA_BYTE, plan.toBytes());
      MemorySegment out = scratch.allocate(ADDRESS);
      MemorySegment struct = geometry.toNative(scratch);
      device.use();
      Args.check(CudaFfi.syl_cuda_kv_plan_new(file, file.byteSize(), struct, out));
      handle = own(out.get(ADDRESS, 0));
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  @SuppressWarnings("restricted")
  private MemorySegment own(MemorySegment plan) {
    return plan.reinterpret(arena, CudaFfi::syl_cuda_kv_plan_free);
  }

  /**
   * A plan of the device.
   *
   * @param plan of the processor, not needed afterwards
   * @param device where
   * @return the plan
   * @throws SylvesterException (UNSUPPORTED) if keys are kept as they are before rotary positions
   */
  public static CudaKvPlan of(KvPlan plan, CudaDevice device) {
    return new CudaKvPlan(
        Args.present("CudaKvPlan.of", "plan", plan),
        Args.present("CudaKvPlan.of", "device", device));
  }

  /**
   * Where it computes.
   *
   * @return the device
   */
  public CudaDevice device() {
    return device;
  }

  /**
   * What the model's attention is.
   *
   * @return the geometry
   */
  public KvGeometry geometry() {
    return geometry;
  }

  /**
   * What the plan comes to.
   *
   * @return bits, bytes and what is kept as halves
   */
  public KvPlan.Info info() {
    return info;
  }

  /**
   * How many tiles of 16 tokens a sequence has in pages; what is behind them is in its ring.
   *
   * @param tokens of the sequence, not negative
   * @return the number
   */
  public long packedTiles(long tokens) {
    return info.window() == 0
        ? Math.ceilDiv(tokens, TILE_TOKENS)
        : Math.max(0, tokens / TILE_TOKENS - info.window() / TILE_TOKENS + 1);
  }

  /**
   * Least tiles of a ring for calls of so many rows a sequence.
   *
   * @param rows most rows of a sequence
   * @return the number; 0 without a window
   */
  public int ringTiles(int rows) {
    return info.window() == 0
        ? 0
        : Math.toIntExact(Math.ceilDiv((long) info.window() + rows - 1, TILE_TOKENS));
  }

  /**
   * Enqueues that rows of keys and values, rotated by their positions, become the newest tokens of
   * a layer.
   *
   * @param layer of the model
   * @param batch whose rows they are
   * @param halves of the layer; null where the plan keeps none
   * @param k rows of keyHeads x headDim floats
   * @param kStride from row to row
   * @param v rows of keyHeads x headDim floats
   * @param vStride from row to row
   * @param stream null for the default stream
   */
  public void append(
      int layer,
      CudaKvBatch batch,
      CudaKvHalves halves,
      DeviceMemory k,
      long kStride,
      DeviceMemory v,
      long vStride,
      CudaStream stream) {
    String function = "CudaKvPlan.append";
    try (CudaCall call = new CudaCall(function, device)) {
      MemorySegment plan = open();
      MemorySegment sequences = batch(function, batch).describe(call);
      MemorySegment kept = halves(call, halves, batch);
      MemorySegment keys = call.rows("k", k, batch.rows(), keyCols(), kStride);
      MemorySegment values = call.rows("v", v, batch.rows(), keyCols(), vStride);
      MemorySegment queue = call.stream(stream);
      call.run(
          () ->
              CudaFfi.syl_cuda_kv_append_f32(
                  plan, layer, sequences, kept, keys, kStride, values, vStride, queue));
    }
  }

  /**
   * Size of the workspace of {@link #attend}.
   *
   * @param batch of the call
   * @return bytes
   */
  public long attendWorkspaceBytes(CudaKvBatch batch) {
    String function = "CudaKvPlan.attendWorkspaceBytes";
    try (CudaCall call = new CudaCall(function, device)) {
      MemorySegment plan = open();
      MemorySegment sequences = batch(function, batch).describe(call);
      return CudaCall.number(bytes -> CudaFfi.syl_cuda_kv_attend_workspace(plan, sequences, bytes));
    }
  }

  /**
   * Enqueues {@code y[r][h] = softmax_j(scale q[r][h] . K[j]) V[j]}, causal, for the rows of a
   * batch, which have been appended.
   *
   * @param layer of the model
   * @param batch whose rows they are
   * @param halves of the layer; null where the plan keeps none
   * @param q rows of queryHeads x headDim floats, rotated by their positions
   * @param qStride from row to row
   * @param y rows of queryHeads x headDim floats; must not overlap q
   * @param yStride from row to row
   * @param workspace of {@link #attendWorkspaceBytes} bytes, 16-byte aligned, for one stream at a
   *     time
   * @param stream null for the default stream
   */
  public void attend(
      int layer,
      CudaKvBatch batch,
      CudaKvHalves halves,
      DeviceMemory q,
      long qStride,
      DeviceMemory y,
      long yStride,
      DeviceMemory workspace,
      CudaStream stream) {
    attend(
        "CudaKvPlan.attend", layer, batch, null, halves, q, qStride, y, yStride, workspace, stream);
  }

  /**
   * The same where each row, of any token, sees all tokens of its sequence, as in masked diffusion
   * models. Not for layers with a sliding window.
   *
   * @param layer of the model
   * @param batch whose rows they are
   * @param unpacked an int for each sequence: the newest tokens that are read as halves, 0 up to
   *     the batch's most rows of a sequence; 0 for plans without a window
   * @param halves of the layer; null where the plan keeps none
   * @param q rows of queryHeads x headDim floats, rotated by their positions
   * @param qStride from row to row
   * @param y rows of queryHeads x headDim floats; must not overlap q
   * @param yStride from row to row
   * @param workspace as of {@link #attend}
   * @param stream null for the default stream
   */
  public void attendBidirectional(
      int layer,
      CudaKvBatch batch,
      DeviceMemory unpacked,
      CudaKvHalves halves,
      DeviceMemory q,
      long qStride,
      DeviceMemory y,
      long yStride,
      DeviceMemory workspace,
      CudaStream stream) {
    String function = "CudaKvPlan.attendBidirectional";
    Args.present(function, "unpacked", unpacked);
    attend(function, layer, batch, unpacked, halves, q, qStride, y, yStride, workspace, stream);
  }

  /** Causal where unpacked is null. */
  private void attend(
      String function,
      int layer,
      CudaKvBatch batch,
      DeviceMemory unpacked,
      CudaKvHalves halves,
      DeviceMemory q,
      long qStride,
      DeviceMemory y,
      long yStride,
      DeviceMemory workspace,
      CudaStream stream) {
    try (CudaCall call = new CudaCall(function, device)) {
      MemorySegment plan = open();
      MemorySegment sequences = batch(function, batch).describe(call);
      MemorySegment kept = halves(call, halves, batch);
      MemorySegment newest =
          call.optional("unpacked", unpacked, (long) Integer.BYTES * batch.sequences());
      long cols = geometry.queryHeads() * geometry.headDim();
      MemorySegment from = call.rows("q", q, batch.rows(), cols, qStride);
      MemorySegment to = call.rows("y", y, batch.rows(), cols, yStride);
      MemorySegment scratch = call.workspace(workspace);
      MemorySegment queue = call.stream(stream);
      int products = CudaFfi.SYL_CUDA_KV_MMA();
      long bytes = scratch.byteSize();
      call.run(
          () ->
              unpacked == null
                  ? CudaFfi.syl_cuda_kv_attend_f32(
                      plan, layer, sequences, kept, from, qStride, to, yStride, products, scratch,
                      bytes, queue)
                  : CudaFfi.syl_cuda_kv_attend_bidirectional_f32(
                      plan, layer, sequences, newest, kept, from, qStride, to, yStride, products,
                      scratch, bytes, queue));
    }
  }

  /**
   * Enqueues keys or values as the newest query reads them: decoded, rotated back, with the mean.
   *
   * @param layer of the model
   * @param batch with the sequence
   * @param halves of the layer; null where the plan keeps none
   * @param sequence which of the batch, as added
   * @param side keys or values
   * @param first token
   * @param count number of tokens; those that the sequence does not have leave their rows as they
   *     were
   * @param y rows of keyHeads x headDim floats
   * @param yStride from row to row
   * @param stream null for the default stream
   */
  public void dequantize(
      int layer,
      CudaKvBatch batch,
      CudaKvHalves halves,
      int sequence,
      KvSide side,
      long first,
      long count,
      DeviceMemory y,
      long yStride,
      CudaStream stream) {
    String function = "CudaKvPlan.dequantize";
    Args.present(function, "side", side);
    int what = side == KvSide.KEYS ? SylvesterFfi.SYL_KV_KEYS() : SylvesterFfi.SYL_KV_VALUES();
    try (CudaCall call = new CudaCall(function, device)) {
      MemorySegment plan = open();
      MemorySegment sequences = batch(function, batch).describe(call);
      MemorySegment kept = halves(call, halves, batch);
      MemorySegment to = call.rows("y", y, count, keyCols(), yStride);
      MemorySegment queue = call.stream(stream);
      call.run(
          () ->
              CudaFfi.syl_cuda_kv_dequantize_f32(
                  plan, layer, sequences, kept, sequence, what, first, count, to, yStride, queue));
    }
  }

  private long keyCols() {
    return geometry.keyHeads() * geometry.headDim();
  }

  /** Sizes in a batch are those of its plan. */
  private CudaKvBatch batch(String function, CudaKvBatch batch) {
    if (Args.present(function, "batch", batch).plan() != this) {
      throw new SylvesterException(Status.BAD_VALUE, function + ": batch is of another plan");
    }
    return batch;
  }

  private MemorySegment halves(CudaCall call, CudaKvHalves halves, CudaKvBatch batch) {
    return halves == null ? MemorySegment.NULL : halves.toNative(call, this, batch.slots());
  }

  private MemorySegment open() {
    return Args.open("CudaKvPlan", handle);
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

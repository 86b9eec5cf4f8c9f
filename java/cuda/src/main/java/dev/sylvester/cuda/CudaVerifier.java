package dev.sylvester.cuda;

import dev.sylvester.cuda.ffi.CudaFfi;
import dev.sylvester.kernels.BatchDraft;
import dev.sylvester.kernels.SpecMode;
import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import dev.sylvester.kernels.VerifierBatch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * Verification of a draft's candidates on a device: the twin of {@link
 * dev.sylvester.kernels.Verifier}, with the same tokens, labels and flags for the same batch. What
 * has the vocabulary's size is device memory, all else is the processor's, as there. {@link
 * #begin}, {@link #add} for each text, {@link #logits}, what else there is, {@link #verify}, which
 * enqueues, and {@link #await}; then the results.
 */
public final class CudaVerifier extends VerifierBatch implements AutoCloseable {
  private final CudaDevice device;
  private final DeviceMemory deviceResults;
  private Verification last; // null: none of this batch

  private record Verification(DeviceMemory workspace, CudaStream stream, int sequences, int rows) {}

  /** Where the library is there. */
  private static final class Native {
    static final MethodHandle VERIFY =
        function(
            CudaFfi.syl_cuda_spec_verify_f32$address(),
            CudaFfi.syl_cuda_spec_verify_f32$descriptor());
  }

  private CudaVerifier(int maxSequences, int maxRows, CudaDevice device) {
    super("CudaVerifier.allocate", maxSequences, maxRows, Arena.ofAuto());
    this.device = device;
    deviceResults = DeviceMemory.allocate(device, results().byteSize());
    writeResultsTo(deviceResults.memory());
  }

  /**
   * A verifier.
   *
   * @param maxSequences most texts of a batch, at least 1
   * @param maxRows most nodes of a batch, candidates and one for each text
   * @param device where
   * @return the verifier
   */
  public static CudaVerifier allocate(int maxSequences, int maxRows, CudaDevice device) {
    Args.present("CudaVerifier.allocate", "device", device);
    return new CudaVerifier(maxSequences, maxRows, device);
  }

  @Override
  public synchronized void begin(SpecMode mode, long cols) {
    super.begin(mode, cols);
    last = null;
  }

  /**
   * What the target predicts.
   *
   * @param logits a row of cols floats for each node; all are read
   * @param rowStride from row to row
   */
  public void logits(DeviceMemory logits, long rowStride) {
    logits(here("CudaVerifier.logits", "logits", logits), rowStride);
  }

  /**
   * Tokens that may come.
   *
   * @param masks a row for each node: token t may come after it when bit t % 32 of its int t / 32
   *     is set
   * @param maskStride ints from row to row
   */
  public void allowed(DeviceMemory masks, long maskStride) {
    allowed(here("CudaVerifier.allowed", "masks", masks), maskStride);
  }

  /**
   * Candidates were drawn by samplers from logits. To be told after the texts were added.
   *
   * @param logits a row for each node, of those that have children the logits that these were drawn
   *     from
   * @param rowStride from row to row
   * @param columns number of tokens of the draft's vocabulary
   */
  public void draftLogits(DeviceMemory logits, long rowStride, long columns) {
    draftLogits(here("CudaVerifier.draftLogits", "logits", logits), rowStride, columns);
  }

  /**
   * Candidates were drawn from probabilities. To be told after the texts were added.
   *
   * @param probabilities a row for each node, of those that have children the probabilities that
   *     these were drawn from
   * @param rowStride from row to row
   * @param columns number of tokens of the draft's vocabulary
   */
  public void draftProbabilities(DeviceMemory probabilities, long rowStride, long columns) {
    String function = "CudaVerifier.draftProbabilities";
    draftProbabilities(here(function, "probabilities", probabilities), rowStride, columns);
  }

  /**
   * How candidates were drawn, but for what has the vocabulary's size; by default they were chosen
   * without chance.
   *
   * @return to be told after the texts were added
   */
  public BatchDraft draft() {
    return batchDraft();
  }

  private MemorySegment here(String function, String name, DeviceMemory memory) {
    try (CudaCall call = new CudaCall(function, device)) {
      return call.memory(name, memory, 0);
    }
  }

  /**
   * Size of the workspace of {@link #verify}, once the batch is described.
   *
   * @return bytes
   */
  public synchronized long workspaceBytes() {
    MemorySegment batch = describe("CudaVerifier.workspaceBytes");
    return CudaCall.number(bytes -> CudaFfi.syl_cuda_spec_verify_workspace(batch, bytes));
  }

  /**
   * Enqueues the verification.
   *
   * @param workspace of {@link #workspaceBytes} bytes; nobody else's until {@link #await}
   * @param stream null for the default stream
   */
  public synchronized void verify(DeviceMemory workspace, CudaStream stream) {
    String function = "CudaVerifier.verify";
    try (CudaCall call = new CudaCall(function, device)) {
      MemorySegment batch = describe(function);
      call.memory("the verifier", deviceResults, 0);
      MemorySegment result = describeResults();
      MemorySegment scratch = call.workspace(workspace);
      MemorySegment queue = call.stream(stream);
      call.run(() -> verify(batch, result, scratch, queue));
      last = new Verification(workspace, stream, sequences(), rows());
    }
  }

  private int verify(
      MemorySegment batch, MemorySegment result, MemorySegment scratch, MemorySegment queue) {
    try {
      return (int)
          Native.VERIFY.invokeExact(batch, result, scratch, scratch.byteSize(), queue, memory());
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /**
   * Waits for the last {@link #verify} and brings its results over.
   *
   * @throws SylvesterException (BAD_VALUE) for what only the device sees: a largest logit that is
   *     not finite, probabilities that do not sum to 1, in a row that decides; there are no results
   *     then; or if nothing of this batch was verified
   */
  public synchronized void await() {
    String function = "CudaVerifier.await";
    if (last == null) {
      throw new SylvesterException(Status.BAD_VALUE, function + ": nothing was verified");
    }
    try (CudaCall call = new CudaCall(function, device)) {
      MemorySegment scratch = call.workspace(last.workspace);
      MemorySegment queue = call.stream(last.stream);
      call.run(() -> CudaFfi.syl_cuda_spec_verify_wait(scratch, queue));
    }
    deviceResults.copyTo(results(), last.stream);
    finish(last.sequences, last.rows);
  }

  /**
   * Frees the verifier's device memory; the device first ends the work that was enqueued. A second
   * call does nothing.
   *
   * @throws IllegalStateException if a call on another thread is using it
   */
  @Override
  public void close() {
    deviceResults.close();
  }
}

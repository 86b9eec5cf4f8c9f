package dev.sylvester.kernels;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * Verification of a draft's candidates on the processor. A reusable batch whose memory belongs to
 * an arena: {@link #begin}, {@link #add} for each text, {@link #logits}, what else there is, {@link
 * #verify}, then the results. Logits, masks and probabilities are native memory.
 */
public final class Verifier extends VerifierBatch {
  private static final MethodHandle VERIFY =
      function(
          SylvesterFfi.syl_spec_verify_f32$address(),
          SylvesterFfi.syl_spec_verify_f32$descriptor());

  private Verifier(int maxSequences, int maxRows, Arena arena) {
    super("Verifier.allocate", maxSequences, maxRows, arena);
  }

  /**
   * A verifier.
   *
   * @param maxSequences most texts of a batch, at least 1
   * @param maxRows most nodes of a batch, candidates and one for each text
   * @param arena owns the memory
   * @return the verifier
   */
  public static Verifier allocate(int maxSequences, int maxRows, Arena arena) {
    return new Verifier(maxSequences, maxRows, arena);
  }

  @Override
  public void logits(MemorySegment logits, long rowStride) {
    super.logits(logits, rowStride);
  }

  @Override
  public void allowed(MemorySegment masks, long maskStride) {
    super.allowed(masks, maskStride);
  }

  /**
   * How candidates were drawn; by default they were chosen without chance.
   *
   * @return to be told after the texts were added
   */
  public VerifierDraft draft() {
    return draft;
  }

  /**
   * Verifies the batch.
   *
   * @param workspace scratch memory
   * @param pool threads, or null
   */
  public synchronized void verify(Workspace workspace, ThreadPool pool) {
    String function = "Verifier.verify";
    MemorySegment batch = describe(function);
    MemorySegment result = describeResults();
    MemorySegment threads = ThreadPool.handle(pool);
    Args.present(function, "workspace", workspace).begin();
    try {
      SylvesterException.check(
          SylvesterFfi.syl_spec_verify_workspace(batch, threads, workspace.results));
      MemorySegment scratch = workspace.sized();
      SylvesterException.check(
          (int) VERIFY.invokeExact(batch, result, scratch, scratch.byteSize(), threads, memory()));
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    } finally {
      workspace.end();
    }
    finish(sequences(), rows());
  }
}

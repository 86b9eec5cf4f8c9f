package dev.sylvester.kernels;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * How the candidates of a {@link Verifier}'s batch were drawn: from {@link #logits}, {@link
 * #probabilities} or {@link #sparse} ones. Told after all texts of the batch were added.
 */
public final class VerifierDraft extends BatchDraft {
  VerifierDraft(
      VerifierBatch verifier, VerifierCall call, int maxSequences, int maxRows, Arena arena) {
    super(verifier, call, maxSequences, maxRows, arena);
  }

  /**
   * Candidates were drawn by samplers from logits.
   *
   * @param rows for each node that has children the logits that these were drawn from
   * @param rowStride from row to row
   * @param columns number of tokens of the draft's vocabulary
   */
  public void logits(MemorySegment rows, long rowStride, long columns) {
    dense(SylvesterFfi.SYL_DRAFT_LOGITS(), rows, rowStride, columns);
  }

  /**
   * Candidates were drawn from probabilities.
   *
   * @param rows for each node that has children the probabilities that these were drawn from
   * @param rowStride from row to row
   * @param columns number of tokens of the draft's vocabulary
   */
  public void probabilities(MemorySegment rows, long rowStride, long columns) {
    dense(SylvesterFfi.SYL_DRAFT_PROBABILITIES(), rows, rowStride, columns);
  }
}

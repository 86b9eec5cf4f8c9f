package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_sampler;
import dev.sylvester.kernels.ffi.syl_spec_draft;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * How the candidates of a {@link VerifierBatch} were drawn: from logits, probabilities or {@link
 * #sparse} ones. Told after all texts of the batch were added.
 */
public abstract sealed class BatchDraft permits VerifierDraft {
  private static final int ONE_HOT = SylvesterFfi.SYL_DRAFT_ONE_HOT();
  private static final int SPARSE = SylvesterFfi.SYL_DRAFT_SPARSE();

  private final VerifierBatch verifier; // the lock
  private final VerifierCall call;
  private final MemorySegment draft;
  private final MemorySegment samplers;
  private final MemorySegment logQ;
  private final MemorySegment sparseBegin;

  private int kind;
  private long cols;
  private long stride;
  private int told; // number of nodes whose logQ or sparse probabilities are known; -1: none

  BatchDraft(
      VerifierBatch verifier, VerifierCall call, int maxSequences, int maxRows, Arena arena) {
    this.verifier = verifier;
    this.call = call;
    samplers = arena.allocate(syl_sampler.layout(), maxSequences);
    logQ = arena.allocate(JAVA_FLOAT, maxRows);
    sparseBegin = arena.allocate(JAVA_LONG, maxRows + 1L);
    draft = arena.allocate(syl_spec_draft.layout());
    syl_spec_draft.struct_size(draft, (int) syl_spec_draft.sizeof());
    syl_spec_draft.samplers(draft, samplers);
    syl_spec_draft.sparse_begin(draft, sparseBegin);
  }

  void clear() {
    kind = ONE_HOT;
  }

  /** A text has been added; its draft samples as its target until something else is said. */
  void add(int sequence, Sampler sampler) {
    long size = syl_sampler.sizeof();
    MemorySegment.copy(sampler.descriptor(), 0, samplers, sequence * size, size);
  }

  final void dense(int newKind, MemorySegment rows, long rowStride, long columns) {
    synchronized (verifier) {
      begin(newKind);
      call.set(VerifierCall.DRAFT_ROWS, rows);
      stride = rowStride;
      cols = columns;
    }
  }

  /**
   * Candidates were drawn from probabilities of some tokens; those of the others are 0.
   *
   * @param ids int32 ids, ascending for each node
   * @param probabilities a float for each of them
   * @param counts for each node its number of ids
   */
  public void sparse(MemorySegment ids, MemorySegment probabilities, long... counts) {
    String function = "VerifierDraft.sparse";
    synchronized (verifier) {
      int rows = verifier.rows();
      VerifierBatch.length(
          function, "counts", Args.present(function, "counts", counts).length, rows);
      begin(SPARSE);
      long total = 0;
      for (int row = 0; row < rows; row++) {
        Args.range(function, "counts", counts[row], 0, Integer.MAX_VALUE);
        total += counts[row];
        sparseBegin.setAtIndex(JAVA_LONG, row + 1L, total);
      }
      told = rows;
      call.set(VerifierCall.DRAFT_ROWS, ids);
      call.set(VerifierCall.SPARSE_Q, probabilities);
    }
  }

  private void begin(int newKind) {
    kind = newKind;
    told = -1;
    call.set(VerifierCall.TARGET_IDS, null);
    syl_spec_draft.log_q(draft, MemorySegment.NULL);
    syl_spec_draft.siblings(draft, SylvesterFfi.SYL_SIBLINGS_INDEPENDENT());
  }

  /**
   * After logits: what the draft drew with, where that is not the target's sampler.
   *
   * @param sequence which text, as added
   * @param sampler the draft's
   */
  public void sampler(int sequence, Sampler sampler) {
    String function = "VerifierDraft.sampler";
    synchronized (verifier) {
      Args.range(function, "sequence", sequence, 0, verifier.sequences() - 1L);
      add(sequence, Args.present(function, "sampler", sampler));
    }
  }

  /**
   * After logits: the probabilities of the candidates, which saves computing them.
   *
   * @param values for each node its {@link Sampler#logProbability()}
   */
  public void logProbabilities(float[] values) {
    String function = "VerifierDraft.logProbabilities";
    synchronized (verifier) {
      int rows = verifier.rows();
      VerifierBatch.length(
          function, "values", Args.present(function, "values", values).length, rows);
      MemorySegment.copy(values, 0, logQ, JAVA_FLOAT, 0, rows);
      told = rows;
      syl_spec_draft.log_q(draft, logQ);
    }
  }

  /** After one of the three: siblings were drawn without replacement, not independently. */
  public void withoutReplacement() {
    synchronized (verifier) {
      syl_spec_draft.siblings(draft, SylvesterFfi.SYL_SIBLINGS_WITHOUT_REPLACEMENT());
    }
  }

  /**
   * After logits or probabilities: the draft knows only some of the target's tokens.
   *
   * @param targetIds for each of the draft's int32 ids the target's, ascending
   */
  public void vocabulary(MemorySegment targetIds) {
    synchronized (verifier) {
      call.set(VerifierCall.TARGET_IDS, targetIds);
    }
  }

  /** The C structure for a batch of so many nodes; NULL: candidates were chosen without chance. */
  MemorySegment describe(String function, int rows) {
    if (kind == ONE_HOT) {
      return MemorySegment.NULL;
    }
    if (told >= 0 && told != rows) {
      throw new SylvesterException(
          Status.BAD_SHAPE,
          function
              + ": the draft's probabilities are of "
              + told
              + " nodes, the batch has "
              + rows);
    }
    syl_spec_draft.kind(draft, kind);
    if (kind == SPARSE) {
      describeSparse(function, sparseBegin.getAtIndex(JAVA_LONG, rows));
    } else {
      describeDense(function, rows);
    }
    return draft;
  }

  private void describeSparse(String function, long count) {
    if (call.has(VerifierCall.TARGET_IDS)) {
      throw new SylvesterException(
          Status.UNSUPPORTED, function + ": ids of a sparse draft are the target's");
    }
    syl_spec_draft.sparse_ids(
        draft, call.counted(function, VerifierCall.DRAFT_ROWS, count, Integer.BYTES));
    syl_spec_draft.sparse_q(
        draft, call.counted(function, VerifierCall.SPARSE_Q, count, Float.BYTES));
    syl_spec_draft.target_ids(draft, MemorySegment.NULL);
  }

  private void describeDense(String function, int rows) {
    Args.range(function, "draft columns", cols, 1, Integer.MAX_VALUE);
    long bytes = Args.floats(function, "draft rows", rows, cols, stride);
    syl_spec_draft.rows(draft, call.required(function, VerifierCall.DRAFT_ROWS, bytes));
    syl_spec_draft.cols(draft, (int) cols);
    syl_spec_draft.stride(draft, stride);
    syl_spec_draft.target_ids(
        draft, call.optional(function, VerifierCall.TARGET_IDS, cols * Integer.BYTES));
  }
}

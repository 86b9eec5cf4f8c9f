package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_sampler;
import dev.sylvester.kernels.ffi.syl_spec_batch;
import dev.sylvester.kernels.ffi.syl_spec_draft;
import dev.sylvester.kernels.ffi.syl_spec_result;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Verification of a draft's candidates, of one or more texts in a call; see {@code
 * sylvester/spec.h}. A reusable batch whose memory belongs to an arena: {@link #begin}, {@link
 * #add} for each text, {@link #logits}, what else there is, {@link #verify}, then the results. One
 * call at a time: a concurrent second one is refused.
 *
 * <p>The candidates of a text are a tree of nodes. Node 0 is the text so far, a candidate comes
 * after its parent. A node has a row in everything that is given by rows: the texts' rows stand one
 * behind the other, row i of a text belongs to its node i.
 */
public final class Verifier {
  private static final int MOST_ROWS = 256; // of a text

  private final int maxSequences;
  private final int maxRows;
  private final AtomicBoolean busy = new AtomicBoolean();
  private final VerifierCall call = new VerifierCall();

  private final MemorySegment batch;
  private final MemorySegment draft;
  private final MemorySegment result;
  private final MemorySegment rowBegin;
  private final MemorySegment tokens;
  private final MemorySegment parents;
  private final MemorySegment samplers;
  private final MemorySegment draftSamplers;
  private final MemorySegment positions;
  private final MemorySegment historyBegin;
  private final MemorySegment biasBegin;
  private final MemorySegment logQ;
  private final MemorySegment sparseBegin;
  private final MemorySegment accepted;
  private final MemorySegment next;
  private final MemorySegment path;
  private final MemorySegment acceptance;
  private final MemorySegment flags;

  private SpecMode mode;
  private int sequences;
  private int rows;
  private long cols;
  private boolean trees;
  private boolean labels;
  private long stride;
  private long allowedStride;
  private long historyCount;
  private long biasCount;
  private long endCount;
  private boolean drafted;
  private int draftKind;
  private long draftCols;
  private long draftStride;
  private long sparseCount;
  private int draftRowCount; // nodes that logQ or sparseBegin were given for

  private Verifier(int maxSequences, int maxRows, Arena arena) {
    this.maxSequences = maxSequences;
    this.maxRows = maxRows;
    rowBegin = arena.allocate(JAVA_LONG, maxSequences + 1L);
    historyBegin = arena.allocate(JAVA_LONG, maxSequences + 1L);
    biasBegin = arena.allocate(JAVA_LONG, maxSequences + 1L);
    positions = arena.allocate(JAVA_LONG, maxSequences);
    samplers = arena.allocate(syl_sampler.layout(), maxSequences);
    draftSamplers = arena.allocate(syl_sampler.layout(), maxSequences);
    tokens = arena.allocate(JAVA_INT, maxRows);
    parents = arena.allocate(JAVA_INT, maxRows);
    logQ = arena.allocate(JAVA_FLOAT, maxRows);
    sparseBegin = arena.allocate(JAVA_LONG, maxRows + 1L);
    accepted = arena.allocate(JAVA_INT, maxSequences);
    next = arena.allocate(JAVA_INT, maxSequences);
    path = arena.allocate(JAVA_INT, maxRows);
    acceptance = arena.allocate(JAVA_FLOAT, maxRows);
    flags = arena.allocate(JAVA_INT, maxRows);
    batch = arena.allocate(syl_spec_batch.layout());
    syl_spec_batch.struct_size(batch, (int) syl_spec_batch.sizeof());
    syl_spec_batch.row_begin(batch, rowBegin);
    syl_spec_batch.tokens(batch, tokens);
    syl_spec_batch.samplers(batch, samplers);
    syl_spec_batch.positions(batch, positions);
    draft = arena.allocate(syl_spec_draft.layout());
    syl_spec_draft.struct_size(draft, (int) syl_spec_draft.sizeof());
    syl_spec_draft.samplers(draft, draftSamplers);
    syl_spec_draft.sparse_begin(draft, sparseBegin);
    result = arena.allocate(syl_spec_result.layout());
    syl_spec_result.struct_size(result, (int) syl_spec_result.sizeof());
    syl_spec_result.accepted(result, accepted);
    syl_spec_result.next_token(result, next);
    syl_spec_result.path(result, path);
    syl_spec_result.flags(result, flags);
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
    String function = "Verifier.allocate";
    Args.range(function, "maxSequences", maxSequences, 1, Integer.MAX_VALUE);
    Args.range(function, "maxRows", maxRows, maxSequences, Integer.MAX_VALUE);
    return new Verifier(maxSequences, maxRows, Args.present(function, "arena", arena));
  }

  // ---- What is verified ----

  /**
   * Begins a batch: forgets everything given before.
   *
   * @param mode what is promised
   * @param cols number of tokens of the vocabulary
   */
  public void begin(SpecMode mode, long cols) {
    Args.present("Verifier.begin", "mode", mode);
    take();
    try {
      this.mode = mode;
      this.cols = cols;
      sequences = 0;
      rows = 0;
      trees = false;
      labels = false;
      drafted = false;
      call.clear();
      historyCount = 0;
      biasCount = 0;
      endCount = 0;
    } finally {
      end();
    }
  }

  /**
   * Adds a text with a chain of candidates.
   *
   * @param sampler how the target's tokens are drawn
   * @param position of the token that the text's row 0 predicts
   * @param candidates one after the other
   * @param count number of candidates, 0..255
   */
  public void add(Sampler sampler, long position, int[] candidates, int count) {
    Args.range("Verifier.add", "count", count, 0, MOST_ROWS - 1);
    if (Args.present("Verifier.add", "candidates", candidates).length < count) {
      throw shortArray("Verifier.add", "candidates", candidates.length, count);
    }
    take();
    try {
      int row = begin("Verifier.add", sampler, position, count + 1);
      tokens.setAtIndex(JAVA_INT, row, 0);
      parents.setAtIndex(JAVA_INT, row, 0);
      for (int i = 0; i < count; i++) {
        tokens.setAtIndex(JAVA_INT, row + 1L + i, candidates[i]);
        parents.setAtIndex(JAVA_INT, row + 1L + i, i);
      }
      add(count + 1);
    } finally {
      end();
    }
  }

  /**
   * Adds a text with a tree of candidates.
   *
   * @param sampler how the target's tokens are drawn
   * @param position of the token that the text's row 0 predicts
   * @param nodes a token for each node; that of node 0 counts for nothing
   * @param nodeParents for each node its parent, which has a smaller number; that of node 0 counts
   *     for nothing
   * @param count number of nodes, 1..256
   */
  public void addTree(Sampler sampler, long position, int[] nodes, int[] nodeParents, int count) {
    String function = "Verifier.addTree";
    Args.range(function, "count", count, 1, MOST_ROWS);
    if (Args.present(function, "nodes", nodes).length < count) {
      throw shortArray(function, "nodes", nodes.length, count);
    }
    if (Args.present(function, "nodeParents", nodeParents).length < count) {
      throw shortArray(function, "nodeParents", nodeParents.length, count);
    }
    take();
    try {
      int row = begin(function, sampler, position, count);
      MemorySegment.copy(nodes, 0, tokens, JAVA_INT, (long) row * Integer.BYTES, count);
      MemorySegment.copy(nodeParents, 0, parents, JAVA_INT, (long) row * Integer.BYTES, count);
      tokens.setAtIndex(JAVA_INT, row, 0);
      parents.setAtIndex(JAVA_INT, row, 0);
      trees = true;
      add(count);
    } finally {
      end();
    }
  }

  private int begin(String function, Sampler sampler, long position, int count) {
    Args.present(function, "sampler", sampler);
    if (sequences == maxSequences || count > maxRows - rows) {
      throw new SylvesterException(
          Status.BAD_SHAPE,
          function
              + ": text "
              + sequences
              + " with "
              + count
              + " nodes after "
              + rows
              + ", the verifier holds "
              + maxSequences
              + " texts and "
              + maxRows
              + " nodes");
    }
    long size = syl_sampler.sizeof();
    MemorySegment.copy(sampler.descriptor(), 0, samplers, sequences * size, size);
    MemorySegment.copy(sampler.descriptor(), 0, draftSamplers, sequences * size, size);
    positions.setAtIndex(JAVA_LONG, sequences, position);
    return rows;
  }

  private void add(int count) {
    rows += count;
    sequences++;
    rowBegin.setAtIndex(JAVA_LONG, sequences, rows);
  }

  /**
   * What the target predicts.
   *
   * @param logits a row of cols floats for each node
   * @param rowStride from row to row
   */
  public void logits(MemorySegment logits, long rowStride) {
    take();
    try {
      call.set(VerifierCall.LOGITS, logits);
      stride = rowStride;
    } finally {
      end();
    }
  }

  /**
   * Tokens that penalties count, candidates aside.
   *
   * @param ids int32 ids of all texts, one text behind the other
   * @param counts for each text its number of ids; may be fewer texts than are added, when the
   *     others have none
   */
  public void history(MemorySegment ids, long... counts) {
    take();
    try {
      historyCount = begins("Verifier.history", counts, historyBegin);
      call.set(VerifierCall.HISTORY, ids);
    } finally {
      end();
    }
  }

  /**
   * Logit biases.
   *
   * @param ids int32 ids of all texts, one text behind the other
   * @param values a float for each of them
   * @param counts for each text its number of ids
   */
  public void bias(MemorySegment ids, MemorySegment values, long... counts) {
    take();
    try {
      biasCount = begins("Verifier.bias", counts, biasBegin);
      call.set(VerifierCall.BIAS_IDS, ids);
      call.set(VerifierCall.BIAS_VALUES, values);
    } finally {
      end();
    }
  }

  private long begins(String function, long[] counts, MemorySegment begin) {
    Args.range(function, "counts", Args.present(function, "counts", counts).length, 0, sequences);
    long total = 0;
    for (int s = 0; s < maxSequences; s++) {
      long count = s < counts.length ? counts[s] : 0;
      Args.range(function, "counts", count, 0, Long.MAX_VALUE / Long.BYTES - total);
      total += count;
      begin.setAtIndex(JAVA_LONG, s + 1L, total);
    }
    return total;
  }

  /**
   * Tokens that may come.
   *
   * @param masks a row for each node: token t may come after it when bit t % 32 of its int t / 32
   *     is set
   * @param maskStride ints from row to row
   */
  public void allowed(MemorySegment masks, long maskStride) {
    take();
    try {
      call.set(VerifierCall.ALLOWED, masks);
      allowedStride = maskStride;
    } finally {
      end();
    }
  }

  /**
   * Tokens that end a text: no candidate after one is accepted.
   *
   * @param ids int32 ids
   * @param count number of ids
   */
  public void endTokens(MemorySegment ids, long count) {
    take();
    try {
      call.set(VerifierCall.END_IDS, ids);
      endCount = count;
    } finally {
      end();
    }
  }

  /** Asks for {@link #acceptance}, which in GREEDY and EXACT takes time. */
  public void withAcceptance() {
    take();
    labels = true;
    end();
  }

  // ---- How candidates were drawn; without any of these: chosen without chance ----

  /**
   * Candidates were drawn by samplers from logits.
   *
   * @param draftRows for each node that has children the logits that these were drawn from
   * @param rowStride from row to row
   * @param columns number of tokens of the draft's vocabulary
   */
  public void draftLogits(MemorySegment draftRows, long rowStride, long columns) {
    draft(SylvesterFfi.SYL_DRAFT_LOGITS(), draftRows, rowStride, columns);
  }

  /**
   * Candidates were drawn from probabilities.
   *
   * @param draftRows for each node that has children the probabilities that these were drawn from
   * @param rowStride from row to row
   * @param columns number of tokens of the draft's vocabulary
   */
  public void draftProbabilities(MemorySegment draftRows, long rowStride, long columns) {
    draft(SylvesterFfi.SYL_DRAFT_PROBABILITIES(), draftRows, rowStride, columns);
  }

  private void draft(int kind, MemorySegment draftRows, long rowStride, long columns) {
    take();
    try {
      drafted = true;
      draftKind = kind;
      call.set(VerifierCall.DRAFT_ROWS, draftRows);
      draftStride = rowStride;
      draftCols = columns;
      draftRowCount = -1;
      syl_spec_draft.log_q(draft, MemorySegment.NULL);
      syl_spec_draft.siblings(draft, SylvesterFfi.SYL_SIBLINGS_INDEPENDENT());
    } finally {
      end();
    }
  }

  /**
   * Candidates were drawn from probabilities of some tokens; those of the others are 0.
   *
   * @param ids int32 ids, ascending for each node
   * @param probabilities a float for each of them
   * @param counts for each node its number of ids
   */
  public void draftSparse(MemorySegment ids, MemorySegment probabilities, long... counts) {
    String function = "Verifier.draftSparse";
    take();
    try {
      if (Args.present(function, "counts", counts).length != rows) {
        throw shortArray(function, "counts", counts.length, rows);
      }
      sparseCount = 0;
      for (int row = 0; row < rows; row++) {
        Args.range(function, "counts", counts[row], 0, Long.MAX_VALUE / Long.BYTES - sparseCount);
        sparseCount += counts[row];
        sparseBegin.setAtIndex(JAVA_LONG, row + 1L, sparseCount);
      }
      drafted = true;
      draftRowCount = rows;
      draftKind = SylvesterFfi.SYL_DRAFT_SPARSE();
      call.set(VerifierCall.DRAFT_ROWS, ids);
      call.set(VerifierCall.SPARSE_Q, probabilities);
      syl_spec_draft.siblings(draft, SylvesterFfi.SYL_SIBLINGS_INDEPENDENT());
    } finally {
      end();
    }
  }

  /**
   * After {@link #draftLogits}: what the draft drew with, where that is not the target's sampler.
   *
   * @param sequence which text, as added
   * @param sampler the draft's
   */
  public void draftSampler(int sequence, Sampler sampler) {
    Args.present("Verifier.draftSampler", "sampler", sampler);
    take();
    try {
      Args.range("Verifier.draftSampler", "sequence", sequence, 0, sequences - 1L);
      long size = syl_sampler.sizeof();
      MemorySegment.copy(sampler.descriptor(), 0, draftSamplers, sequence * size, size);
    } finally {
      end();
    }
  }

  /**
   * After {@link #draftLogits}: the probabilities of the candidates, which saves computing them.
   *
   * @param values for each node its {@link Sampler#logProbability()}
   */
  public void draftLogProbabilities(float[] values) {
    String function = "Verifier.draftLogProbabilities";
    take();
    try {
      if (Args.present(function, "values", values).length < rows) {
        throw shortArray(function, "values", values.length, rows);
      }
      MemorySegment.copy(values, 0, logQ, JAVA_FLOAT, 0, rows);
      draftRowCount = rows;
      syl_spec_draft.log_q(draft, logQ);
    } finally {
      end();
    }
  }

  /** After one of the three: siblings were drawn without replacement, not independently. */
  public void withoutReplacement() {
    take();
    syl_spec_draft.siblings(draft, SylvesterFfi.SYL_SIBLINGS_WITHOUT_REPLACEMENT());
    end();
  }

  /**
   * After one of the three: the draft knows some of the target's tokens only.
   *
   * @param targetIds for each of the draft's int32 ids the target's, ascending
   */
  public void draftVocabulary(MemorySegment targetIds) {
    take();
    try {
      call.set(VerifierCall.TARGET_IDS, targetIds);
    } finally {
      end();
    }
  }

  /** For tests: two uniform numbers for each node. */
  void uniforms(MemorySegment numbers) {
    take();
    try {
      call.set(VerifierCall.UNIFORMS, numbers);
    } finally {
      end();
    }
  }

  // ---- Verification and its results ----

  /**
   * Verifies the batch.
   *
   * @param workspace scratch memory
   * @param pool threads, or null
   */
  public void verify(Workspace workspace, ThreadPool pool) {
    String function = "Verifier.verify";
    take();
    try {
      if (sequences == 0) {
        throw new SylvesterException(Status.BAD_SHAPE, function + ": no text was added");
      }
      describe(function);
      Args.present(function, "workspace", workspace).begin();
      try {
        call.verify(batch, result, workspace, ThreadPool.handle(pool));
      } finally {
        workspace.end();
      }
    } finally {
      end();
    }
  }

  private void describe(String function) {
    syl_spec_batch.mode(batch, mode.ordinal());
    syl_spec_batch.sequences(batch, sequences);
    syl_spec_batch.cols(batch, cols);
    long bytes = Args.floats(function, "logits", rows, cols, stride);
    syl_spec_batch.logits(batch, call.required(function, VerifierCall.LOGITS, bytes));
    syl_spec_batch.stride(batch, stride);
    syl_spec_batch.parents(batch, trees ? parents : MemorySegment.NULL);
    syl_spec_batch.history(
        batch, call.counted(function, VerifierCall.HISTORY, historyCount, Integer.BYTES));
    syl_spec_batch.history_begin(batch, historyCount == 0 ? MemorySegment.NULL : historyBegin);
    syl_spec_batch.bias_ids(
        batch, call.counted(function, VerifierCall.BIAS_IDS, biasCount, Integer.BYTES));
    syl_spec_batch.bias_values(
        batch, call.counted(function, VerifierCall.BIAS_VALUES, biasCount, Float.BYTES));
    syl_spec_batch.bias_begin(batch, biasCount == 0 ? MemorySegment.NULL : biasBegin);
    long words = cols / Integer.SIZE + (cols % Integer.SIZE == 0 ? 0 : 1);
    bytes =
        call.has(VerifierCall.ALLOWED)
            ? Args.extent(function, "allowed", rows, words, allowedStride, Integer.BYTES)
            : 0;
    syl_spec_batch.allowed(batch, call.optional(function, VerifierCall.ALLOWED, bytes));
    syl_spec_batch.allowed_stride(batch, allowedStride);
    syl_spec_batch.end_ids(
        batch, call.counted(function, VerifierCall.END_IDS, endCount, Integer.BYTES));
    syl_spec_batch.end_count(batch, endCount);
    syl_spec_batch.uniforms(
        batch, call.optional(function, VerifierCall.UNIFORMS, 2L * rows * Double.BYTES));
    syl_spec_batch.draft(batch, drafted ? describeDraft(function) : MemorySegment.NULL);
    syl_spec_result.acceptance(result, labels ? acceptance : MemorySegment.NULL);
  }

  private MemorySegment describeDraft(String function) {
    boolean sparse = draftKind == SylvesterFfi.SYL_DRAFT_SPARSE();
    if (draftRowCount >= 0 && draftRowCount != rows) {
      throw shortArray(function, "the draft's probabilities", draftRowCount, rows);
    }
    if (sparse && call.has(VerifierCall.TARGET_IDS)) {
      throw new SylvesterException(
          Status.UNSUPPORTED, function + ": ids of a sparse draft are the target's");
    }
    syl_spec_draft.kind(draft, draftKind);
    MemorySegment ids = MemorySegment.NULL;
    MemorySegment q = MemorySegment.NULL;
    MemorySegment matrix = MemorySegment.NULL;
    if (sparse) {
      ids = call.counted(function, VerifierCall.DRAFT_ROWS, sparseCount, Integer.BYTES);
      q = call.counted(function, VerifierCall.SPARSE_Q, sparseCount, Float.BYTES);
    } else {
      Args.range(function, "draft columns", draftCols, 1, Integer.MAX_VALUE);
      long bytes = Args.floats(function, "draft rows", rows, draftCols, draftStride);
      matrix = call.required(function, VerifierCall.DRAFT_ROWS, bytes);
    }
    syl_spec_draft.cols(draft, sparse ? 0 : (int) draftCols);
    syl_spec_draft.rows(draft, matrix);
    syl_spec_draft.stride(draft, sparse ? 0 : draftStride);
    syl_spec_draft.sparse_ids(draft, ids);
    syl_spec_draft.sparse_q(draft, q);
    syl_spec_draft.target_ids(
        draft, call.optional(function, VerifierCall.TARGET_IDS, draftCols * Integer.BYTES));
    return draft;
  }

  /**
   * Number of accepted candidates; none after an end token.
   *
   * @param sequence which text, as added
   * @return the number
   */
  public int accepted(int sequence) {
    return accepted.getAtIndex(JAVA_INT, sequence);
  }

  /**
   * The token after the accepted candidates.
   *
   * @param sequence which text, as added
   * @return its id; -1 where an end token was accepted
   */
  public int next(int sequence) {
    return next.getAtIndex(JAVA_INT, sequence);
  }

  /**
   * Accepted nodes: from the first row of a text on.
   *
   * @param row of the batch
   * @return the node's number in its text; -1 after the last
   */
  public int path(int row) {
    return path.getAtIndex(JAVA_INT, row);
  }

  /**
   * Probability with which a candidate was accepted, after {@link #withAcceptance}.
   *
   * @param row of the batch
   * @return min(1, p / q); NaN where it was not looked at
   */
  public float acceptance(int row) {
    return acceptance.getAtIndex(JAVA_FLOAT, row);
  }

  /**
   * Whether the draft cannot have drawn this candidate, which was therefore rejected.
   *
   * @param row of the batch
   * @return whether its probability was 0
   */
  public boolean impossible(int row) {
    return (flags.getAtIndex(JAVA_INT, row) & SylvesterFfi.SYL_SPEC_Q_IS_ZERO()) != 0;
  }

  /**
   * Whether the token after this node was drawn from the target's distribution since nothing but
   * roundings was left of it.
   *
   * @param row of the batch
   * @return whether target and draft were equal
   */
  public boolean residualEmpty(int row) {
    return (flags.getAtIndex(JAVA_INT, row) & SylvesterFfi.SYL_SPEC_RESIDUAL_IS_EMPTY()) != 0;
  }

  private void take() {
    if (!busy.compareAndSet(false, true)) {
      throw new IllegalStateException("Verifier is in use by another call");
    }
  }

  private void end() {
    busy.set(false);
  }

  private static SylvesterException shortArray(
      String function, String name, int length, int count) {
    return new SylvesterException(
        Status.BAD_SHAPE, function + ": " + name + " has " + length + " numbers for " + count);
  }
}

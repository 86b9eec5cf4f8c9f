package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_sampler;
import dev.sylvester.kernels.ffi.syl_spec_batch;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.Objects;

/**
 * What is verified, and the results: of one or more texts in a call; see {@code sylvester/spec.h}.
 * {@link Verifier} computes on the processor. Calls of several threads wait for each other.
 *
 * <p>The candidates of a text are a tree of nodes. Node 0 is the text so far, a candidate comes
 * after its parent. A node has a row in everything that is given by rows: the texts' rows stand one
 * behind the other, row i of a text belongs to its node i.
 */
public abstract class VerifierBatch {
  private static final int MOST_ROWS = 256; // of a text

  private final int maxSequences;
  private final int maxRows;
  final VerifierCall call = new VerifierCall();
  final VerifierDraft draft;

  private final MemorySegment batch;
  private final MemorySegment rowBegin;
  private final MemorySegment tokens;
  private final MemorySegment parents;
  private final MemorySegment samplers;
  private final MemorySegment positions;
  private final MemorySegment historyBegin;
  private final MemorySegment biasBegin;
  private final VerifierResults results;

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
  private int done; // texts that have results
  private int doneRows;

  /**
   * A batch.
   *
   * @param function that the messages name
   * @param maxSequences most texts of a batch, at least 1
   * @param maxRows most nodes of a batch, candidates and one for each text
   * @param arena owns the memory
   */
  @SuppressWarnings("this-escape") // the draft keeps it, and calls nothing before it is made
  protected VerifierBatch(String function, int maxSequences, int maxRows, Arena arena) {
    Args.range(function, "maxSequences", maxSequences, 1, Integer.MAX_VALUE);
    Args.range(function, "maxRows", maxRows, maxSequences, Integer.MAX_VALUE);
    Args.present(function, "arena", arena);
    this.maxSequences = maxSequences;
    this.maxRows = maxRows;
    rowBegin = arena.allocate(JAVA_LONG, maxSequences + 1L);
    historyBegin = arena.allocate(JAVA_LONG, maxSequences + 1L);
    biasBegin = arena.allocate(JAVA_LONG, maxSequences + 1L);
    positions = arena.allocate(JAVA_LONG, maxSequences);
    samplers = arena.allocate(syl_sampler.layout(), maxSequences);
    tokens = arena.allocate(JAVA_INT, maxRows);
    parents = arena.allocate(JAVA_INT, maxRows);
    batch = arena.allocate(syl_spec_batch.layout());
    syl_spec_batch.struct_size(batch, (int) syl_spec_batch.sizeof());
    syl_spec_batch.row_begin(batch, rowBegin);
    syl_spec_batch.tokens(batch, tokens);
    syl_spec_batch.samplers(batch, samplers);
    syl_spec_batch.positions(batch, positions);
    draft = new VerifierDraft(this, call, maxSequences, maxRows, arena);
    results = new VerifierResults(maxSequences, maxRows, arena);
  }

  // ---- What is verified ----

  /**
   * Begins a batch: forgets everything given before.
   *
   * @param mode what is promised
   * @param cols number of tokens of the vocabulary
   */
  public synchronized void begin(SpecMode mode, long cols) {
    Args.present("Verifier.begin", "mode", mode);
    this.mode = mode;
    this.cols = cols;
    sequences = 0;
    rows = 0;
    trees = false;
    labels = false;
    done = 0;
    doneRows = 0;
    call.clear();
    draft.clear();
    historyCount = 0;
    biasCount = 0;
    endCount = 0;
    allowedStride = 0;
  }

  /**
   * Adds a text with a chain of candidates.
   *
   * @param sampler how the target's tokens are drawn
   * @param position of the token that the text's row 0 predicts
   * @param candidates one after the other
   * @param count number of candidates, 0..255
   */
  public synchronized void add(Sampler sampler, long position, int[] candidates, int count) {
    Args.range("Verifier.add", "count", count, 0, MOST_ROWS - 1);
    length(
        "Verifier.add",
        "candidates",
        Args.present("Verifier.add", "candidates", candidates).length,
        count);
    int row = begin("Verifier.add", sampler, position, count + 1);
    tokens.setAtIndex(JAVA_INT, row, 0);
    parents.setAtIndex(JAVA_INT, row, 0);
    for (int i = 0; i < count; i++) {
      tokens.setAtIndex(JAVA_INT, row + 1L + i, candidates[i]);
      parents.setAtIndex(JAVA_INT, row + 1L + i, i);
    }
    add(count + 1);
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
  public synchronized void addTree(
      Sampler sampler, long position, int[] nodes, int[] nodeParents, int count) {
    String function = "Verifier.addTree";
    Args.range(function, "count", count, 1, MOST_ROWS);
    length(function, "nodes", Args.present(function, "nodes", nodes).length, count);
    length(
        function, "nodeParents", Args.present(function, "nodeParents", nodeParents).length, count);
    int row = begin(function, sampler, position, count);
    MemorySegment.copy(nodes, 0, tokens, JAVA_INT, (long) row * Integer.BYTES, count);
    MemorySegment.copy(nodeParents, 0, parents, JAVA_INT, (long) row * Integer.BYTES, count);
    tokens.setAtIndex(JAVA_INT, row, 0);
    parents.setAtIndex(JAVA_INT, row, 0);
    trees = true;
    add(count);
  }

  private int begin(String function, Sampler sampler, long position, int count) {
    Args.present(function, "sampler", sampler);
    Args.present(function, "mode, which begin takes,", mode);
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
    draft.add(sequences, sampler);
    positions.setAtIndex(JAVA_LONG, sequences, position);
    return rows;
  }

  private void add(int count) {
    rows += count;
    sequences++;
    rowBegin.setAtIndex(JAVA_LONG, sequences, rows);
  }

  /**
   * How candidates were drawn.
   *
   * @return to be told after the texts were added
   */
  protected final BatchDraft batchDraft() {
    return draft;
  }

  /**
   * Candidates were drawn by samplers from logits.
   *
   * @param logits for each node that has children the logits that these were drawn from
   * @param rowStride from row to row
   * @param columns number of tokens of the draft's vocabulary
   */
  protected final void draftLogits(MemorySegment logits, long rowStride, long columns) {
    draft.logits(logits, rowStride, columns);
  }

  /**
   * Candidates were drawn from probabilities.
   *
   * @param probabilities for each node that has children those that these were drawn from
   * @param rowStride from row to row
   * @param columns number of tokens of the draft's vocabulary
   */
  protected final void draftProbabilities(
      MemorySegment probabilities, long rowStride, long columns) {
    draft.probabilities(probabilities, rowStride, columns);
  }

  /**
   * What the target predicts.
   *
   * @param logits a row of cols floats for each node
   * @param rowStride from row to row
   */
  protected synchronized void logits(MemorySegment logits, long rowStride) {
    call.set(VerifierCall.LOGITS, logits);
    stride = rowStride;
  }

  /**
   * Tokens that penalties count, candidates aside.
   *
   * @param ids int32 ids of all texts, one text behind the other
   * @param counts for each text its number of ids; may be fewer texts than are added, when the
   *     others have none
   */
  public synchronized void history(MemorySegment ids, long... counts) {
    historyCount = begins("Verifier.history", counts, historyBegin);
    call.set(VerifierCall.HISTORY, ids);
  }

  /**
   * Logit biases.
   *
   * @param ids int32 ids of all texts, one text behind the other
   * @param values a float for each of them
   * @param counts for each text its number of ids
   */
  public synchronized void bias(MemorySegment ids, MemorySegment values, long... counts) {
    biasCount = begins("Verifier.bias", counts, biasBegin);
    call.set(VerifierCall.BIAS_IDS, ids);
    call.set(VerifierCall.BIAS_VALUES, values);
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
  protected synchronized void allowed(MemorySegment masks, long maskStride) {
    call.set(VerifierCall.ALLOWED, masks);
    allowedStride = maskStride;
  }

  /**
   * Tokens that end a text: no candidate after one is accepted.
   *
   * @param ids int32 ids
   * @param count number of ids
   */
  public synchronized void endTokens(MemorySegment ids, long count) {
    call.set(VerifierCall.END_IDS, ids);
    endCount = count;
  }

  /** Asks for {@link #acceptance}, which in GREEDY and EXACT takes time. */
  public synchronized void withAcceptance() {
    labels = true;
  }

  /** For tests: two uniform numbers for each node. */
  synchronized void uniforms(MemorySegment numbers) {
    call.set(VerifierCall.UNIFORMS, numbers);
  }

  // ---- Verification and its results ----

  /**
   * Describes the batch, with the lock held.
   *
   * @param function that the messages name
   * @return the C structure {@code syl_spec_batch}
   */
  protected final MemorySegment describe(String function) {
    if (sequences == 0) {
      throw new SylvesterException(Status.BAD_SHAPE, function + ": no text was added");
    }
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
    bytes = Args.extent(function, "allowed", rows, words, allowedStride, Integer.BYTES);
    syl_spec_batch.allowed(batch, call.optional(function, VerifierCall.ALLOWED, bytes));
    syl_spec_batch.allowed_stride(batch, allowedStride);
    syl_spec_batch.end_ids(
        batch, call.counted(function, VerifierCall.END_IDS, endCount, Integer.BYTES));
    syl_spec_batch.end_count(batch, endCount);
    syl_spec_batch.uniforms(
        batch, call.optional(function, VerifierCall.UNIFORMS, 2L * rows * Double.BYTES));
    syl_spec_batch.draft(batch, draft.describe(function, rows));
    return batch;
  }

  /**
   * Results do not go to {@link #results()}, but to memory that is divided like that.
   *
   * @param memory as large
   */
  protected final void writeResultsTo(MemorySegment memory) {
    results.writeTo(memory);
  }

  /**
   * Describes where results go, with the lock held.
   *
   * @return the C structure {@code syl_spec_result}
   */
  protected final MemorySegment describeResults() {
    return results.describe(labels);
  }

  /**
   * The memory that results are read from, after {@link #finish}.
   *
   * @return memory of the processor
   */
  protected final MemorySegment results() {
    return results.memory();
  }

  /**
   * There are results.
   *
   * @param ofSequences of so many texts
   * @param ofRows of so many nodes
   */
  protected final synchronized void finish(int ofSequences, int ofRows) {
    done = ofSequences;
    doneRows = ofRows;
  }

  /**
   * What the batch points to and does not own. Java keeps open what is an argument of a native
   * call, not what a structure points to; so these are arguments as well.
   *
   * @return the last argument of {@link #function}
   */
  protected final MemorySegment[] memory() {
    return call.memory();
  }

  /**
   * A C function with the arguments of {@code syl_spec_verify_f32}.
   *
   * @param address where it is
   * @param descriptor its arguments
   * @return a handle that takes these arguments and {@link #memory()}
   */
  protected static MethodHandle function(MemorySegment address, FunctionDescriptor descriptor) {
    return VerifierCall.function(address, descriptor);
  }

  /**
   * Number of accepted candidates; none after an end token.
   *
   * @param sequence which text, as added
   * @return the number
   */
  public int accepted(int sequence) {
    return results.accepted(Objects.checkIndex(sequence, done));
  }

  /**
   * The token after the accepted candidates.
   *
   * @param sequence which text, as added
   * @return its id; -1 where an end token was accepted
   */
  public int next(int sequence) {
    return results.next(Objects.checkIndex(sequence, done));
  }

  /**
   * Accepted nodes: from the first row of a text on.
   *
   * @param row of the batch
   * @return the node's number in its text; -1 after the last
   */
  public int path(int row) {
    return results.path(Objects.checkIndex(row, doneRows));
  }

  /**
   * Probability with which a candidate was accepted, after {@link #withAcceptance}.
   *
   * @param row of the batch
   * @return min(1, p / q); NaN where it was not looked at
   */
  public float acceptance(int row) {
    return results.acceptance(Objects.checkIndex(row, doneRows));
  }

  /**
   * Whether the draft cannot have drawn this candidate, which was therefore rejected.
   *
   * @param row of the batch
   * @return whether its probability was 0
   */
  public boolean impossible(int row) {
    return (results.flags(Objects.checkIndex(row, doneRows)) & SylvesterFfi.SYL_SPEC_Q_IS_ZERO())
        != 0;
  }

  /**
   * Whether the token after this node was drawn from the target's distribution since nothing but
   * roundings was left of it.
   *
   * @param row of the batch
   * @return whether target and draft were equal
   */
  public boolean residualEmpty(int row) {
    return (results.flags(Objects.checkIndex(row, doneRows))
            & SylvesterFfi.SYL_SPEC_RESIDUAL_IS_EMPTY())
        != 0;
  }

  /**
   * Number of nodes that were added.
   *
   * @return the number
   */
  protected final synchronized int rows() {
    return rows;
  }

  /**
   * Number of texts that were added.
   *
   * @return the number
   */
  protected final synchronized int sequences() {
    return sequences;
  }

  /** An array has at least so many elements. */
  static void length(String function, String name, int length, int count) {
    if (length < count) {
      throw new SylvesterException(
          Status.BAD_SHAPE,
          function + ": " + name + " has " + length + " elements, needs " + count);
    }
  }
}

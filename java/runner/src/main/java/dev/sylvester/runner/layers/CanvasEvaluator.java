package dev.sylvester.runner.layers;

import dev.sylvester.kernels.LogitsOptions;
import dev.sylvester.kernels.LogitsStats;
import dev.sylvester.kernels.Matrix;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.diffusion.Pass;
import dev.sylvester.runner.format.ModelConfig;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Texts of a bidirectional model. A pass computes spans of several of them; a token attends to all
 * tokens of its text, and those outside the spans have the keys and values of earlier passes. Not
 * thread-safe.
 */
public final class CanvasEvaluator implements AutoCloseable {
  private static final int HEAD_ROWS = 64;

  private final Weights weights;
  private final ModelConfig config;
  private final ThreadPool pool;
  private final CanvasCaches caches;
  private final Transformer transformer;
  private final Attention attention = new PassAttention();
  private final Branches chain = new Branches(1);
  private final Pass pass = new Pass();
  private Arena headArena = Arena.ofShared();
  private MemorySegment hidden = MemorySegment.NULL;
  private RowSlices hiddenRows;
  private MemorySegment logits;
  private Projection.Outputs[] logitsParts;
  private int headRows;
  private Scratch scratch;

  /**
   * Without texts.
   *
   * @param caches keys and values; closed with this
   */
  public CanvasEvaluator(Weights weights, ThreadPool pool, CanvasCaches caches) {
    this.weights = weights;
    this.config = weights.config();
    this.pool = pool;
    this.caches = caches;
    this.transformer = new Transformer(weights, pool);
  }

  /** Number of columns of a row of logits. */
  public int vocabSize() {
    return config.vocabSize();
  }

  /** Whether a span can only be the end of its text. */
  public boolean suffixesOnly() {
    return caches.suffixesOnly();
  }

  /**
   * Makes room; keys and values of before may be forgotten.
   *
   * @param texts how many there are at once
   * @param mostTokens of one
   * @param tail most tokens of a span that is not its whole text, from its first one to the text's
   *     end
   */
  public void reserve(int texts, int mostTokens, int tail) {
    caches.reserve(texts, mostTokens, tail);
  }

  /** Keys and values of a text become those of another one, too. */
  public void copy(int from, int to) {
    caches.copy(from, to);
  }

  /**
   * One pass.
   *
   * @throws IllegalArgumentException for a span that the caches cannot take
   */
  public void read(Pass of) {
    caches.begin(of);
    pass.set(of);
    int rows = pass.rows();
    prepare(rows);
    int row = 0;
    for (int span = 0; span < pass.count(); span++) {
      for (int i = pass.from(span); i < pass.to(span); i++) {
        scratch.ids.setAtIndex(ValueLayout.JAVA_INT, row, pass.tokens(span)[i]);
        scratch.positions.setAtIndex(ValueLayout.JAVA_INT, row++, i);
      }
    }
    transformer.embed(scratch, rows);
    transformer.rotaryTable(scratch, rows);
    chain.chain(0, rows);
    transformer.layers(attention, scratch, chain, null, 0, config.layers(), rows);
  }

  private void prepare(int rows) {
    if (scratch != null && scratch.rows >= rows) {
      return;
    }
    if (scratch != null) {
      scratch.close();
      scratch = null;
    }
    scratch = new Scratch(weights, Math.max(rows, HEAD_ROWS));
  }

  /**
   * Logits of rows of the last pass.
   *
   * @param texts text of each row
   * @param positions its position
   * @param count how many
   * @return count rows, and others behind them; overwritten by the next call
   */
  public MemorySegment logits(int[] texts, int[] positions, int count) {
    gather(texts, positions, count);
    prepareLogits();
    for (int first = 0; first < count; first += HEAD_ROWS) {
      transformer.head(
          scratch,
          hiddenRows.from(first),
          Math.min(HEAD_ROWS, count - first),
          logitsParts[first / HEAD_ROWS]);
    }
    return logits;
  }

  /**
   * Statistics of such rows without storing logits: the same bits.
   *
   * @param guided whether there are as many unconditional rows behind the others
   * @param count of results
   * @return false where the head is not one matrix, nothing is done then
   */
  public boolean statistics(
      int[] texts,
      int[] positions,
      int count,
      boolean guided,
      LogitsOptions options,
      MemorySegment streams,
      LogitsStats stats) {
    Matrix head = weights.head().onlyMatrix();
    if (head == null || scratch.adapters.changes(weights.head())) {
      return false;
    }
    int rows = guided ? 2 * count : count;
    gather(texts, positions, rows);
    transformer.norm(hidden, rows, hidden);
    stats.compute(
        options,
        head,
        hidden,
        guided ? hiddenRows.from(count) : null,
        config.hiddenSize(),
        count,
        streams,
        scratch.workspace,
        pool);
    return true;
  }

  /** Rows that the head reads. */
  private void gather(int[] texts, int[] positions, int count) {
    long hiddenBytes = (long) config.hiddenSize() * Float.BYTES;
    prepareHead(count);
    for (int i = 0; i < count; i++) {
      MemorySegment.copy(
          scratch.hidden,
          row(texts[i], positions[i]) * hiddenBytes,
          hidden,
          i * hiddenBytes,
          hiddenBytes);
    }
  }

  private long row(int text, int position) {
    long row = 0;
    for (int span = 0; span < pass.count(); span++) {
      int from = pass.from(span);
      if (pass.canvas(span) == text && from <= position && position < pass.to(span)) {
        return row + position - from;
      }
      row += pass.rows(span);
    }
    throw new IllegalArgumentException(
        "position %d of text %d is not in the last pass".formatted(position, text));
  }

  private void prepareHead(int rows) {
    if (rows <= headRows) {
      return;
    }
    headRows = Math.ceilDiv(rows, HEAD_ROWS) * HEAD_ROWS;
    headArena.close();
    headArena = Arena.ofShared();
    hidden = headArena.allocate((long) headRows * config.hiddenSize() * Float.BYTES, 64);
    hiddenRows = new RowSlices(hidden, config.hiddenSize(), headRows);
    logits = null;
  }

  private void prepareLogits() {
    if (logits != null) {
      return;
    }
    logits = headArena.allocate((long) headRows * config.vocabSize() * Float.BYTES, 64);
    logitsParts = new Projection.Outputs[headRows / HEAD_ROWS];
    for (int i = 0; i < logitsParts.length; i++) {
      long first = (long) i * HEAD_ROWS * Float.BYTES;
      logitsParts[i] = weights.head().outputs(logits.asSlice(first * config.vocabSize()));
    }
  }

  /** All spans at once. */
  private final class PassAttention implements Attention {
    @Override
    public boolean preRope() {
      return caches.preRope();
    }

    @Override
    public void attend(int layer, Scratch s, int row, int first, int rows) {
      caches.attend(layer, s, pass);
    }
  }

  @Override
  public void close() {
    if (scratch != null) {
      scratch.close();
      scratch = null;
    }
    if (headArena.scope().isAlive()) {
      headArena.close();
    }
    caches.close();
  }
}

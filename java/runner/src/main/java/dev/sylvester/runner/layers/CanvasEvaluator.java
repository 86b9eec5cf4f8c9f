package dev.sylvester.runner.layers;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.FloatCache;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.ModelConfig;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * Texts of a bidirectional model. A pass computes spans of several of them; a token attends to all
 * tokens of its text, and those outside the spans have the keys and values of earlier passes. Not
 * thread-safe.
 */
public final class CanvasEvaluator implements AutoCloseable {
  /**
   * What a pass computes.
   *
   * @param text which text
   * @param tokens all its tokens
   * @param from first position of the span
   * @param to end of the span
   */
  public record Span(int text, int[] tokens, int from, int to) {
    int rows() {
      return to - from;
    }
  }

  private static final int LENGTH_UNIT = 64;
  private static final int HEAD_ROWS = 64;

  private final Weights weights;
  private final ModelConfig config;
  private final ThreadPool pool;
  private final DType type;
  private final Transformer transformer;
  private final Attention attention = this::attend;
  private final Branches chain = new Branches(1);
  private final List<Span> spans = new ArrayList<>();
  private Arena cacheArena = Arena.ofShared();
  private FloatCache[][] caches = new FloatCache[0][];
  private int length;
  private Arena headArena = Arena.ofShared();
  private MemorySegment hidden = MemorySegment.NULL;
  private MemorySegment logits = MemorySegment.NULL;
  private int headRows;
  private Scratch scratch;

  /**
   * Without texts.
   *
   * @param type of the floats of keys and values, 16 or 32 bits
   */
  public CanvasEvaluator(Weights weights, ThreadPool pool, DType type) {
    this.weights = weights;
    this.config = weights.config();
    this.pool = pool;
    this.type = type;
    this.transformer = new Transformer(weights, pool);
  }

  /** Number of columns of a row of logits. */
  public int vocabSize() {
    return config.vocabSize();
  }

  /** Makes room; keys and values of before may be forgotten. */
  public void reserve(int texts, int mostTokens) {
    if (texts <= caches.length && mostTokens <= length) {
      return;
    }
    cacheArena.close();
    cacheArena = Arena.ofShared();
    length = Math.ceilDiv(Math.max(length, mostTokens), LENGTH_UNIT) * LENGTH_UNIT;
    caches = new FloatCache[Math.max(texts, caches.length)][];
  }

  private FloatCache cache(int text, int layer) {
    if (caches[text] == null) {
      caches[text] = FloatTextCache.layers(config, length, type, cacheArena);
    }
    return caches[text][layer];
  }

  /** One pass. */
  public void read(List<Span> of) {
    spans.clear();
    spans.addAll(of);
    int rows = spans.stream().mapToInt(Span::rows).sum();
    prepare(rows);
    int row = 0;
    for (Span span : spans) {
      for (int i = span.from(); i < span.to(); i++) {
        scratch.ids.setAtIndex(ValueLayout.JAVA_INT, row, span.tokens()[i]);
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

  /** All spans at once: each needs the keys and values of the others of its text. */
  private void attend(int layer, Scratch s, int firstRow, int first, int rows) {
    long stride = s.queryKeyValueStride;
    long row = 0;
    for (Span span : spans) {
      long offset = row * stride * Float.BYTES;
      cache(span.text(), layer)
          .append(
              s.keys.asSlice(offset),
              stride,
              s.values.asSlice(offset),
              stride,
              span.from(),
              span.rows(),
              pool);
      row += span.rows();
    }
    row = 0;
    for (Span span : spans) {
      cache(span.text(), layer)
          .attend(
              s.queries.asSlice(row * stride * Float.BYTES),
              stride,
              span.from(),
              span.rows(),
              span.tokens().length,
              s.attention.asSlice(row * s.attentionStride * Float.BYTES),
              s.attentionStride,
              s.workspace,
              pool);
      row += span.rows();
    }
  }

  /**
   * Logits of rows of the last pass.
   *
   * @param texts text of each row
   * @param positions its position
   * @param count how many
   * @return count rows; overwritten by the next call
   */
  public MemorySegment logits(int[] texts, int[] positions, int count) {
    long hiddenBytes = (long) config.hiddenSize() * Float.BYTES;
    long logitsBytes = (long) config.vocabSize() * Float.BYTES;
    prepareHead(count);
    for (int i = 0; i < count; i++) {
      MemorySegment.copy(
          scratch.hidden,
          row(texts[i], positions[i]) * hiddenBytes,
          hidden,
          i * hiddenBytes,
          hiddenBytes);
    }
    for (int first = 0; first < count; first += HEAD_ROWS) {
      transformer.head(
          scratch,
          hidden.asSlice(first * hiddenBytes),
          Math.min(HEAD_ROWS, count - first),
          weights.head().outputs(logits.asSlice(first * logitsBytes)));
    }
    return logits.asSlice(0, count * logitsBytes);
  }

  private long row(int text, int position) {
    long row = 0;
    for (Span span : spans) {
      if (span.text() == text && span.from() <= position && position < span.to()) {
        return row + position - span.from();
      }
      row += span.rows();
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
    logits = headArena.allocate((long) headRows * config.vocabSize() * Float.BYTES, 64);
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
    if (cacheArena.scope().isAlive()) {
      cacheArena.close();
    }
  }
}

package dev.sylvester.runner.layers;

import dev.sylvester.kernels.AttentionShape;
import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.FloatCache;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.ModelConfig;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.IntConsumer;

/**
 * A text under evaluation: its tokens, their keys and values, and the logits of the last one. Going
 * back to a shorter text costs nothing. Not thread-safe.
 */
public final class Evaluator implements AutoCloseable {
  /**
   * Rows of a forward pass: enough to read each weight for many tokens, few enough for the cache.
   */
  private static final int CHUNK = 512;

  /** Rows of logits at a time when all are wanted: a vocabulary is wide. */
  private static final int HEAD_ROWS = 32;

  private static final int CAPACITY_UNIT = 16;

  /** Takes logits of consecutive positions: the first position, the number of rows, the rows. */
  @FunctionalInterface
  public interface RowsConsumer {
    void accept(int first, int rows, MemorySegment logits);
  }

  private final Weights weights;
  private final ModelConfig config;
  private final Transformer transformer;
  private final int context;
  private final int chunk;
  private final Arena arena = Arena.ofShared();
  private final FloatCache[] caches;
  private final MemorySegment tokens;
  private final Logits last;
  private Logits block;
  private Scratch scratch;
  private int position;

  private record Logits(MemorySegment values, MemorySegment[] outputs) {}

  /**
   * An empty text.
   *
   * @param context most tokens it may have
   * @param cacheType element type of keys and values
   */
  public Evaluator(Weights weights, ThreadPool pool, int context, DType cacheType) {
    this.weights = weights;
    this.config = weights.config();
    this.transformer = new Transformer(weights, pool);
    this.context = context;
    this.chunk = config.bidirectional() ? context : Math.min(CHUNK, context);
    try {
      this.caches = new FloatCache[config.layers()];
      for (int i = 0; i < caches.length; i++) {
        caches[i] = FloatCache.allocate(shape(config, i, context, cacheType), arena);
      }
      this.tokens = arena.allocate(ValueLayout.JAVA_INT, context);
      this.last = logits(1);
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  private static AttentionShape shape(ModelConfig c, int layer, int context, DType cacheType) {
    int capacity = Math.ceilDiv(context, CAPACITY_UNIT) * CAPACITY_UNIT;
    int window = c.slidingWindows().get(layer);
    return AttentionShape.causal(c.heads(), c.kvHeads(), c.headDim(), capacity)
        .withCacheType(cacheType)
        .withCausal(!c.bidirectional())
        .withWindow(window >= capacity ? 0 : window);
  }

  /** Bytes of keys and values that one token adds. */
  public static long cacheBytesPerToken(ModelConfig config, DType cacheType) {
    return 2L * config.layers() * config.kvHeads() * config.headDim() * cacheType.blockBytes();
  }

  private Logits logits(int rows) {
    MemorySegment values =
        arena.allocate((long) rows * config.vocabSize() * Float.BYTES, Long.BYTES * 8);
    return new Logits(values, weights.head().outputs(values));
  }

  /** Number of tokens so far. */
  public int position() {
    return position;
  }

  /** Most tokens. */
  public int context() {
    return context;
  }

  /** The token at a position. */
  public int token(int index) {
    return tokens.getAtIndex(ValueLayout.JAVA_INT, index);
  }

  /** The tokens so far, as int32. */
  public MemorySegment tokens() {
    return tokens;
  }

  /** Logits of the last appended token; overwritten by the next append. */
  public MemorySegment logits() {
    return last.values();
  }

  /** Forgets all tokens but the first {@code length}. */
  public void truncate(int length) {
    if (length < 0 || length > position) {
      throw new IllegalArgumentException("length is %d, must be 0..%d".formatted(length, position));
    }
    position = length;
  }

  /** Appends one token and computes its logits. */
  public void append(int token) {
    require(1);
    prepare(1);
    put(0, token);
    run(1);
    transformer.head(scratch, scratch.hidden, 1, last.outputs());
  }

  /** Appends tokens {@code from <= i < to} of an array and computes the logits of the last. */
  public void append(int[] ids, int from, int to) {
    int end = position + to - from;
    appendChunks(
        ids,
        from,
        to,
        rows -> {
          if (position == end) {
            transformer.head(scratch, hiddenRow(rows - 1), 1, last.outputs());
          }
        });
  }

  /** Appends tokens and hands out the logits of every one. */
  public void append(int[] ids, RowsConsumer consumer) {
    if (block == null) {
      block = logits(HEAD_ROWS);
    }
    appendChunks(
        ids,
        0,
        ids.length,
        rows -> {
          for (int row = 0; row < rows; row += HEAD_ROWS) {
            int count = Math.min(HEAD_ROWS, rows - row);
            transformer.head(scratch, hiddenRow(row), count, block.outputs());
            consumer.accept(position - rows + row, count, block.values());
          }
        });
  }

  /** All tokens or none: a refused one leaves the text as it was. */
  private void appendChunks(int[] ids, int from, int to, IntConsumer afterChunk) {
    require(to - from);
    int before = position;
    try {
      for (int begin = from; begin < to; begin += chunk) {
        int rows = Math.min(chunk, to - begin);
        prepare(rows);
        for (int i = 0; i < rows; i++) {
          put(i, ids[begin + i]);
        }
        run(rows);
        afterChunk.accept(rows);
      }
    } catch (RuntimeException e) {
      position = before;
      throw e;
    }
  }

  private MemorySegment hiddenRow(int row) {
    return scratch.hidden.asSlice((long) row * config.hiddenSize() * Float.BYTES);
  }

  private void require(int rows) {
    if (!arena.scope().isAlive()) {
      throw new IllegalStateException("the session is closed");
    }
    if (rows < 1) {
      throw new IllegalArgumentException("there are no tokens to append");
    }
    if (rows > context - position) {
      throw new IllegalArgumentException(
          "%,d tokens do not fit the context of %,d, which holds %,d already"
              .formatted(rows, context, position));
    }
    if (config.bidirectional() && position > 0) {
      throw new IllegalStateException("a bidirectional model reads its whole text at once");
    }
  }

  private void prepare(int rows) {
    if (scratch != null && scratch.rows >= rows) {
      return;
    }
    if (scratch != null) {
      scratch.close();
      scratch = null;
    }
    scratch = new Scratch(weights, Math.min(chunk, Math.max(rows, HEAD_ROWS)));
  }

  private void put(int row, int token) {
    scratch.ids.setAtIndex(ValueLayout.JAVA_INT, row, token);
    tokens.setAtIndex(ValueLayout.JAVA_INT, position + row, token);
  }

  private void run(int rows) {
    transformer.forward(caches, scratch, position, rows);
    position += rows;
  }

  @Override
  public void close() {
    if (scratch != null) {
      scratch.close();
      scratch = null;
    }
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}

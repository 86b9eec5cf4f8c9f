package dev.sylvester.runner.layers;

import dev.sylvester.kernels.KvMemory;
import dev.sylvester.runner.format.ModelConfig;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A text under evaluation: its tokens, their keys and values, and the logits of the last one. Going
 * back to a shorter text costs nothing, or to read it again where the cache cannot. Not
 * thread-safe.
 */
public final class Evaluator implements AutoCloseable {
  /**
   * Rows of a forward pass: enough to read each weight for many tokens, few enough for the cache.
   */
  private static final int CHUNK = 512;

  /** The same for a pass that chooses sinks. */
  private static final int SINK_CHUNK = 4096;

  /** Rows of logits at a time when all are wanted: a vocabulary is wide. */
  private static final int HEAD_ROWS = 32;

  /** Most tokens that are read on trial: candidates of a draft, with the token before them. */
  static final int MAX_TRIAL_ROWS = 256;

  /** Takes logits of consecutive positions: the first position, the number of rows, the rows. */
  @FunctionalInterface
  public interface RowsConsumer {
    void accept(int first, int rows, MemorySegment logits);
  }

  /** Called when a pass has left hidden states of these rows; {@code end} is the text's. */
  @FunctionalInterface
  private interface Pass {
    void done(int first, int rows, int end);
  }

  private final TextCaches caches;
  private final Weights weights;
  private final ModelConfig config;
  private final Transformer transformer;
  private final int context;
  private final int chunk;
  private final TextCache cache;
  private final Pass headOfLast = this::headOfLast;
  private final Pass nothing = (first, rows, end) -> {};
  private final Branches chain = new Branches(1);
  private final Arena arena = Arena.ofShared();
  private final MemorySegment tokens;
  private final Logits last;
  private Logits block;
  private Scratch scratch;
  private TokenTree tree;
  private int[] treeTokens;
  private ReadAhead ahead;
  private int position;
  private int sinkRows;
  private AdapterSet adapters;

  record Logits(MemorySegment values, Projection.Outputs outputs) {}

  /** An empty text; the cache is closed with it. */
  Evaluator(TextCaches caches, TextCache cache) {
    this.caches = caches;
    this.weights = caches.weights;
    this.config = weights.config();
    this.transformer = new Transformer(weights, caches.pool);
    this.context = caches.context;
    this.chunk = config.bidirectional() ? context : Math.min(CHUNK, context);
    this.cache = cache;
    this.adapters = weights.adapters();
    try {
      this.tokens = arena.allocate(ValueLayout.JAVA_INT, context);
      this.last = logits(1);
    } catch (RuntimeException | Error e) {
      close();
      throw e;
    }
  }

  /** A text of which the cache holds the first tokens; its logits are not known. */
  Evaluator(TextCaches caches, int[] tokens, int sinkRows, TextCache cache) {
    this(caches, cache);
    this.sinkRows = sinkRows;
    if (tokens.length > context || cache.length() > tokens.length) {
      close();
      throw new IllegalArgumentException(
          "the text has %,d tokens, its cache %,d, the context holds %,d"
              .formatted(tokens.length, cache.length(), context));
    }
    MemorySegment.copy(tokens, 0, this.tokens, ValueLayout.JAVA_INT, 0, tokens.length);
    position = tokens.length;
  }

  /** Another text that begins as this one does, and shares memory where the cache can. */
  public Evaluator fork() {
    requireOpen();
    Evaluator fork = new Evaluator(caches, cache.fork());
    MemorySegment.copy(tokens, 0, fork.tokens, 0, (long) position * Integer.BYTES);
    fork.last.values().copyFrom(last.values());
    fork.position = position;
    fork.sinkRows = sinkRows;
    fork.adapters = adapters;
    return fork;
  }

  /** Forgets all tokens and has the next ones read with other adapters. */
  public void adapt(AdapterSet set) {
    requireOpen();
    truncate(0);
    adapters = set;
    if (scratch != null) {
      scratch.adapters = set;
    }
  }

  AdapterSet adapters() {
    return adapters;
  }

  Transformer transformer() {
    return transformer;
  }

  TextCache cache() {
    return cache;
  }

  /** Has the cache hold all tokens, and room for one more. */
  void settle() {
    require(1);
    dropAhead();
    if (cache.length() < position) {
      read(position, nothing);
    }
    prepare(1);
  }

  /** Activations of so many rows. */
  Scratch scratch(int rows) {
    prepare(rows);
    return scratch;
  }

  /** Logits of so many rows. */
  Logits block(int rows) {
    prepareBlock(rows);
    return block;
  }

  /** Takes over what a pass of several texts made of a token of this one. */
  void accept(int token, MemorySegment logits, MemorySegment hidden) {
    tokens.setAtIndex(ValueLayout.JAVA_INT, position++, token);
    last.values().copyFrom(logits);
    scratch.normed.asSlice(0, hidden.byteSize()).copyFrom(hidden);
  }

  /** Tokens of the pass that chose those to keep exactly; 0: none did. */
  public int sinkRows() {
    return sinkRows;
  }

  /** What keys and values take up. */
  public KvMemory memory() {
    requireOpen();
    return cache.memory();
  }

  /**
   * Keys and values, for {@link TextCaches#loadText}.
   *
   * @throws UnsupportedOperationException when they are floats
   */
  public MemorySegment saveCache(Arena target) {
    requireOpen();
    return cache.save(target);
  }

  private Logits logits(int rows) {
    MemorySegment values = arena.allocate(logitsBytes(rows), Long.BYTES * 8);
    return new Logits(values, weights.head().outputs(values));
  }

  private long logitsBytes(int rows) {
    return (long) rows * config.vocabSize() * Float.BYTES;
  }

  private void prepareBlock(int rows) {
    if (block == null || block.values().byteSize() < logitsBytes(rows)) {
      int before = block == null ? 0 : (int) (block.values().byteSize() / logitsBytes(1));
      block = logits(Math.max(rows, 2 * before));
    }
  }

  /** Bytes from one row of logits to the next. */
  public long rowBytes() {
    return logitsBytes(1);
  }

  /** Number of tokens so far. */
  public int position() {
    return position;
  }

  /** Whether the first append decides which tokens are kept exactly. */
  public boolean choosesSinks() {
    return cache.choosesSinks();
  }

  /** Number of tokens that need not be read again. */
  public int cached() {
    return cache.length();
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
    dropAhead();
    position = length;
    if (length < sinkRows) {
      sinkRows = 0;
      cache.truncate(0);
    } else if (length < cache.length()) {
      cache.truncate(length);
    }
  }

  /** Appends one token and computes its logits. */
  public void append(int token) {
    require(1);
    tokens.setAtIndex(ValueLayout.JAVA_INT, position, token);
    read(position + 1, headOfLast);
  }

  /** Appends tokens {@code from <= i < to} of an array and computes the logits of the last. */
  public void append(int[] ids, int from, int to) {
    put(ids, from, to);
    read(position + to - from, headOfLast);
  }

  /** Appends tokens and hands out the logits of every one. */
  public void append(int[] ids, RowsConsumer consumer) {
    put(ids, 0, ids.length);
    prepareBlock(HEAD_ROWS);
    int before = position;
    read(
        before + ids.length,
        (first, rows, end) -> {
          for (int row = Math.max(0, before - first); row < rows; row += HEAD_ROWS) {
            int count = Math.min(HEAD_ROWS, rows - row);
            transformer.head(scratch, hiddenRow(row), count, block.outputs());
            consumer.accept(first + row, count, block.values());
          }
        });
  }

  /**
   * Appends the first {@code count} tokens of an array.
   *
   * @return logits of every one, row after row; overwritten by the next call
   */
  public MemorySegment append(int[] ids, int count) {
    if (count == 1) {
      append(ids[0]);
      return last.values();
    }
    put(ids, 0, count);
    prepareBlock(count);
    if (ahead != null && ahead.count() > 0 && cache.length() == position) {
      readOn(ids, count);
      return block.values();
    }
    int before = position;
    read(
        before + count,
        (first, rows, end) -> {
          int skipped = Math.max(0, before - first);
          Projection.Outputs outputs =
              first + skipped == before
                  ? block.outputs()
                  : outputs(block, first + skipped - before);
          transformer.head(scratch, hiddenRow(skipped), rows - skipped, outputs);
        });
    return block.values();
  }

  private Projection.Outputs outputs(Logits of, int row) {
    return weights.head().outputs(of.values().asSlice(logitsBytes(row)));
  }

  /** Most tokens that {@link #append(int[], int)} should take if they may have to go again. */
  public int trialRows() {
    // The first pass that a cache sees must be of tokens that stay.
    return position == 0 && cache.choosesSinks() ? 1 : Math.min(MAX_TRIAL_ROWS, cache.reach());
  }

  /**
   * Reads a tree of tokens behind the text, which stays as it is.
   *
   * @param parents of all nodes but the first, each before its children
   * @return logits of every node, row after row; overwritten by the next call
   * @throws IllegalArgumentException when a path of the tree does not fit the context
   * @throws UnsupportedOperationException when the cache only calibrates or measures
   */
  public MemorySegment readTree(int[] ids, int[] parents, int count) {
    require(1);
    if (cache.length() < position) {
      read(position, nothing);
    }
    dropAhead();
    if (tree == null) {
      int cols = 2 * config.kvHeads() * config.headDim();
      tree = new TokenTree(config.layers(), MAX_TRIAL_ROWS, cols, arena);
      treeTokens = new int[MAX_TRIAL_ROWS];
    }
    tree.set(parents, count, position);
    require(tree.height());
    System.arraycopy(ids, 0, treeTokens, 0, count);
    prepare(count);
    prepareBlock(count);
    for (int row = 0; row < count; row++) {
      scratch.ids.setAtIndex(ValueLayout.JAVA_INT, row, ids[tree.nodeOfRow(row)]);
    }
    try {
      transformer.embed(scratch, count);
      transformer.place(scratch, tree, position);
      transformer.layers(cache, scratch, tree.branches(), tree, 0, config.layers(), count);
    } finally {
      cache.truncate(position);
    }
    transformer.head(scratch, tree, block.outputs());
    return block.values();
  }

  /**
   * Appends a path of the tree that was read last; {@link #logits()} are not those of its end.
   *
   * @param path nodes, each the parent of the next, from node 0 on
   */
  public void keep(int[] path, int length) {
    require(length);
    for (int i = 0; i < length; i++) {
      tokens.setAtIndex(ValueLayout.JAVA_INT, position + i, treeTokens[path[i]]);
    }
    for (int layer = 0; layer < config.layers(); layer++) {
      tree.load(layer, path, length, scratch);
      cache.append(layer, scratch.keys, scratch.values, scratch, position, length);
    }
    position += length;
  }

  /**
   * Has the first layers alone read a token behind the text and those read so before; the text
   * stays as it is. {@link #append(int[], int)} of the same tokens goes on from here, {@link
   * #truncate} forgets them.
   *
   * @param layers at least 1, fewer than the model's, the same until then
   * @return logits that these layers predict
   */
  public MemorySegment readAhead(int token, int layers) {
    if (layers < 1 || layers >= config.layers()) {
      throw new IllegalArgumentException(
          "layers is %d, must be 1..%d".formatted(layers, config.layers() - 1));
    }
    if (ahead == null) {
      ahead = new ReadAhead(config, MAX_TRIAL_ROWS, arena);
    }
    int first = position + ahead.count();
    require(ahead.count() + 1);
    if (ahead.count() == Math.min(ahead.most(), trialRows())) {
      throw new IllegalArgumentException("%d tokens are read ahead".formatted(ahead.count()));
    }
    if (ahead.count() > 0 && ahead.layers() != layers) {
      throw new IllegalArgumentException(
          "layers is %d, was %d before".formatted(layers, ahead.layers()));
    }
    if (cache.length() < position) {
      read(position, nothing);
    }
    prepare(1);
    scratch.ids.setAtIndex(ValueLayout.JAVA_INT, 0, token);
    transformer.embed(scratch, 1);
    transformer.place(scratch, first, 1);
    transformer.layers(cache, scratch, chain.chain(first, 1), null, 0, layers, 1);
    ahead.add(token, layers, scratch);
    transformer.head(scratch, scratch.hidden, 1, last.outputs());
    return last.values();
  }

  /** Reads tokens of which the first layers may have read some. */
  private void readOn(int[] ids, int count) {
    int known = ahead.common(ids, count);
    int split = ahead.layers();
    int rows = count - known;
    try {
      if (known < ahead.count()) {
        for (int layer = 0; layer < split; layer++) {
          cache.cut(layer, position + known);
        }
      }
      prepare(count);
      if (rows > 0) {
        MemorySegment.copy(ids, known, scratch.ids, ValueLayout.JAVA_INT, 0, rows);
        transformer.embed(scratch, rows);
        transformer.place(scratch, position + known, rows);
        chain.chain(position + known, rows);
        transformer.layers(cache, scratch, chain, null, 0, split, rows);
      }
      ahead.prepend(known, rows, scratch);
      transformer.place(scratch, position, count);
      chain.chain(position, count);
      transformer.layers(cache, scratch, chain, null, split, config.layers(), count);
    } catch (RuntimeException e) {
      cache.truncate(position);
      throw e;
    } finally {
      ahead.clear();
    }
    position += count;
    transformer.head(scratch, scratch.hidden, count, block.outputs());
  }

  private void dropAhead() {
    if (ahead != null && ahead.count() > 0) {
      for (int layer = 0; layer < ahead.layers(); layer++) {
        cache.cut(layer, position);
      }
      ahead.clear();
    }
  }

  /**
   * What the last logits were made of: the hidden states behind the final norm, row after row;
   * overwritten by the next call.
   */
  public MemorySegment hidden() {
    return scratch.normed;
  }

  private void headOfLast(int first, int rows, int end) {
    if (first + rows == end) {
      transformer.head(scratch, hiddenRow(rows - 1), 1, last.outputs());
    }
  }

  private MemorySegment hiddenRow(int row) {
    if (row == 0) {
      return scratch.hidden; // a slice would be an object
    }
    return scratch.hidden.asSlice((long) row * config.hiddenSize() * Float.BYTES);
  }

  private void put(int[] ids, int from, int to) {
    require(to - from);
    MemorySegment.copy(ids, from, tokens, ValueLayout.JAVA_INT, 4L * position, to - from);
  }

  private void require(int rows) {
    requireOpen();
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

  private void requireOpen() {
    if (!arena.scope().isAlive()) {
      throw new IllegalStateException("the session is closed");
    }
  }

  /**
   * Reads the tokens up to {@code end} that the cache does not hold. All or none: a refused one
   * leaves the text as it was.
   */
  private void read(int end, Pass pass) {
    int sinkRowsBefore = sinkRows;
    dropAhead();
    try {
      for (int first = cache.length(); first < end; first = cache.length()) {
        int rows = passRows(first, end);
        prepare(rows);
        MemorySegment.copy(
            tokens, (long) first * Integer.BYTES, scratch.ids, 0, (long) rows * Integer.BYTES);
        transformer.embed(scratch, rows);
        transformer.place(scratch, first, rows);
        chain.chain(first, rows);
        transformer.layers(cache, scratch, chain, null, 0, config.layers(), rows);
        pass.done(first, rows, end);
      }
      position = end;
    } catch (RuntimeException e) {
      cache.truncate(sinkRowsBefore == sinkRows ? position : 0);
      sinkRows = sinkRowsBefore;
      throw e;
    }
  }

  private int passRows(int first, int end) {
    if (first > 0 || !cache.choosesSinks()) {
      return Math.min(chunk, end - first);
    }
    // The same tokens as before, when they are read again.
    if (sinkRows == 0) {
      sinkRows = Math.min(SINK_CHUNK, end);
    }
    return sinkRows;
  }

  private void prepare(int rows) {
    if (scratch != null && scratch.rows >= rows) {
      return;
    }
    if (scratch != null) {
      scratch.close();
      scratch = null;
    }
    scratch = new Scratch(weights, Math.max(rows, Math.min(chunk, HEAD_ROWS)));
    scratch.adapters = adapters;
  }

  @Override
  public void close() {
    if (scratch != null) {
      scratch.close();
      scratch = null;
    }
    cache.close();
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}

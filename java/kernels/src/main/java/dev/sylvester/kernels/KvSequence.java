package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_kv_memory;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;

/**
 * Keys and values of one text, all layers, in a {@link KvCache}, and attention that reads the
 * packed bytes. One call at a time: a concurrent second one is refused.
 */
public final class KvSequence implements AutoCloseable {
  private static final String APPEND = "KvSequence.append";
  private static final String ATTEND = "KvSequence.attend";
  private static final String BIDIRECTIONAL = "KvSequence.attendBidirectional";

  private final KvCache cache;
  private final long keyCols;
  private final long queryCols;
  private final NativeObject sequence;
  private final KvBatch self;

  KvSequence(KvCache cache, MemorySegment handle) {
    this.cache = cache;
    this.keyCols = cache.geometry().keyCols();
    this.queryCols = cache.geometry().queryCols();
    this.sequence = new NativeObject("KvSequence", handle);
    this.self = KvBatch.of(List.of(this));
  }

  /**
   * Whose pages hold the tokens.
   *
   * @return the cache
   */
  public KvCache cache() {
    return cache;
  }

  // ---- Attention ----

  /**
   * Appends tokens to a layer.
   *
   * @param layer of the model
   * @param k rows of keyHeads x headDim floats; rotated by their positions, unless the plan keeps
   *     them as they are before that
   * @param kStride from row to row
   * @param v rows of keyHeads x headDim floats
   * @param vStride from row to row
   * @param rows number of tokens
   * @param sinks a byte for each row, not 0: keep this token as halves; or null
   * @param workspace scratch memory
   * @param pool threads, or null
   * @throws SylvesterException naming the element, if one is not finite; then, as for every error,
   *     the sequence is as it was
   */
  public void append(
      int layer,
      MemorySegment k,
      long kStride,
      MemorySegment v,
      long vStride,
      long rows,
      MemorySegment sinks,
      Workspace workspace,
      ThreadPool pool) {
    self.begin();
    try {
      self.rows(APPEND, 0, rows, Long.MAX_VALUE);
      self.append(APPEND, layer, rows, k, kStride, v, vStride, sinks, workspace, pool);
    } finally {
      self.end();
    }
  }

  /**
   * {@code y[r][h] = softmax_j(scale q[r][h] . K[j]) V[j]}, causal, for the last tokens.
   *
   * @param layer of the model
   * @param q rows of queryHeads x headDim floats, rotated by their positions; the last is that of
   *     the last token
   * @param qStride from row to row
   * @param rows number of queries
   * @param y rows of queryHeads x headDim floats; must not overlap q
   * @param yStride from row to row
   * @param workspace scratch memory
   * @param pool threads, or null
   */
  public void attend(
      int layer,
      MemorySegment q,
      long qStride,
      long rows,
      MemorySegment y,
      long yStride,
      Workspace workspace,
      ThreadPool pool) {
    self.begin();
    try {
      self.rows(ATTEND, 0, rows, Long.MAX_VALUE);
      self.attend(ATTEND, layer, null, rows, q, qStride, y, yStride, workspace, pool);
    } finally {
      self.end();
    }
  }

  /**
   * The same where tokens see those behind them too, as in masked diffusion models: each of the
   * rows, which may be any tokens' and any number, sees all tokens. So a text of which some tokens
   * at the end change again and again is appended up to them for good, and they are appended,
   * attended with, and truncated off in each pass.
   *
   * @param layer of the model, without a sliding window
   * @param q rows of queryHeads x headDim floats, rotated by their positions
   * @param qStride from row to row
   * @param rows number of queries
   * @param unpacked number of the newest tokens that are read as halves; those before them are read
   *     as the newest query did before these came. At most length - {@link #truncatable()}, or all
   *     while that is 1; 0 for plans without a window, whose tokens are all packed
   * @param y rows of queryHeads x headDim floats; must not overlap q
   * @param yStride from row to row
   * @param workspace scratch memory
   * @param pool threads, or null
   */
  public void attendBidirectional(
      int layer,
      MemorySegment q,
      long qStride,
      long rows,
      long unpacked,
      MemorySegment y,
      long yStride,
      Workspace workspace,
      ThreadPool pool) {
    self.begin();
    try {
      self.rows(BIDIRECTIONAL, 0, rows, Long.MAX_VALUE);
      MemorySegment halves = self.unpacked(unpacked);
      self.attend(BIDIRECTIONAL, layer, halves, rows, q, qStride, y, yStride, workspace, pool);
    } finally {
      self.end();
    }
  }

  /**
   * Appends tokens on the Java heap. For comfort: it copies and allocates.
   *
   * @param layer of the model
   * @param k rows of keyHeads x headDim floats, back to back
   * @param v as many rows
   */
  public void append(int layer, float[] k, float[] v) {
    long rows = Args.rows(APPEND, "k", k, keyCols);
    Args.sameLength(APPEND, "k", k, "v", v);
    try (Arena arena = Arena.ofConfined();
        Workspace workspace = new Workspace()) {
      MemorySegment keys = arena.allocateFrom(JAVA_FLOAT, k);
      MemorySegment values = arena.allocateFrom(JAVA_FLOAT, v);
      append(layer, keys, keyCols, values, keyCols, rows, null, workspace, null);
    }
  }

  /**
   * Attention of queries on the Java heap. For comfort: it copies and allocates.
   *
   * @param layer of the model
   * @param q rows of queryHeads x headDim floats, back to back; the last is that of the last token
   * @return as many rows
   */
  public float[] attend(int layer, float[] q) {
    long rows = Args.rows(ATTEND, "q", q, queryCols);
    try (Arena arena = Arena.ofConfined();
        Workspace workspace = new Workspace()) {
      MemorySegment queries = arena.allocateFrom(JAVA_FLOAT, q);
      MemorySegment y = arena.allocate(JAVA_FLOAT, q.length);
      attend(layer, queries, queryCols, rows, y, queryCols, workspace, null);
      return y.toArray(JAVA_FLOAT);
    }
  }

  /**
   * Bidirectional attention of queries on the Java heap. For comfort: it copies and allocates.
   *
   * @param layer of the model
   * @param q rows of queryHeads x headDim floats, back to back
   * @param unpacked number of the newest tokens that are read as halves
   * @return as many rows
   */
  public float[] attendBidirectional(int layer, float[] q, long unpacked) {
    long rows = Args.rows(BIDIRECTIONAL, "q", q, queryCols);
    try (Arena arena = Arena.ofConfined();
        Workspace workspace = new Workspace()) {
      MemorySegment queries = arena.allocateFrom(JAVA_FLOAT, q);
      MemorySegment y = arena.allocate(JAVA_FLOAT, q.length);
      attendBidirectional(layer, queries, queryCols, rows, unpacked, y, queryCols, workspace, null);
      return y.toArray(JAVA_FLOAT);
    }
  }

  /**
   * The tokens of largest magnitude, RotateKV's sinks: of the largest {@code |hidden[r][c]|} the
   * first {@code count}, ties by lower r, then c. Their rows get {@code sinks[r] = 1}, others 0.
   *
   * @param hidden rows of cols floats
   * @param stride from row to row
   * @param rows number of tokens
   * @param cols number of columns
   * @param count how many elements
   * @param sinks a byte for each row
   */
  public static void findSinks(
      MemorySegment hidden, long stride, long rows, long cols, long count, MemorySegment sinks) {
    String function = "KvSequence.findSinks";
    Args.input(function, "hidden", hidden, Args.floats(function, "hidden", rows, cols, stride));
    Args.output(function, "sinks", sinks, rows);
    SylvesterException.check(
        SylvesterFfi.syl_kv_find_sinks_f32(hidden, stride, rows, cols, count, sinks));
  }

  // ---- Tokens ----

  /**
   * Tokens appended to a layer.
   *
   * @param layer of the model
   * @return the number of tokens
   */
  public long length(int layer) {
    return number((handle, out) -> SylvesterFfi.syl_kv_length(handle, layer, out));
  }

  /**
   * A new sequence of the first tokens, which shares their full tiles. Neither sequence ever sees
   * what the other one does later. All layers have the same length.
   *
   * @param tokens at least {@link #truncatable()}, at most the length; or 0
   * @return the new sequence
   */
  public KvSequence fork(long tokens) {
    MemorySegment handle = begin();
    try {
      return cache.adopt((unused, out) -> SylvesterFfi.syl_kv_fork(handle, tokens, out));
    } finally {
      end();
    }
  }

  /**
   * Forgets all but the first tokens: then the sequence is, byte for byte, as if the others had
   * never been. All layers have the same length.
   *
   * @param tokens at least {@link #truncatable()}, at most the length; or 0
   */
  public void truncate(long tokens) {
    run(handle -> SylvesterFfi.syl_kv_truncate(handle, tokens));
  }

  /**
   * Forgets all but the first tokens of one layer, so that a tree of tokens can be tried branch by
   * branch in a layer before the next one sees it. {@link #truncate(long)} of all layers gives
   * pages back.
   *
   * @param layer of the model
   * @param tokens at most the layer's length; no fork may have a tile of those behind them
   */
  public void truncate(int layer, long tokens) {
    run(handle -> SylvesterFfi.syl_kv_truncate_layer(handle, layer, tokens));
  }

  /**
   * The least number of tokens, besides 0, to which the sequence can be truncated: those of a
   * window must still be there as halves.
   *
   * @return the number of tokens
   */
  public long truncatable() {
    return number(SylvesterFfi::syl_kv_truncatable);
  }

  /**
   * Removes tokens of a plan with keys before rotary positions; those behind them move up, which
   * changes none of their bytes. No sink may be among them.
   *
   * @param first a multiple of 16
   * @param count a multiple of 16; first + count is at most the number of packed tokens
   */
  public void remove(long first, long count) {
    run(handle -> SylvesterFfi.syl_kv_remove(handle, first, count));
  }

  // ---- Looking inside ----

  /**
   * Keys or values as the newest query reads them: decoded, rotated back, with the mean; keys as
   * they were appended.
   *
   * @param layer of the model
   * @param side keys or values
   * @param first token
   * @param count number of tokens
   * @param y rows of keyHeads x headDim floats
   * @param yStride from row to row
   */
  public void dequantize(
      int layer, KvSide side, long first, long count, MemorySegment y, long yStride) {
    String function = "KvSequence.dequantize";
    int what = Args.present(function, "side", side).code();
    Args.output(function, "y", y, Args.floats(function, "y", count, keyCols, yStride));
    run(
        handle ->
            SylvesterFfi.syl_kv_dequantize_f32(handle, layer, what, first, count, y, yStride));
  }

  /**
   * Keys or values on the Java heap. For comfort: it copies and allocates.
   *
   * @param layer of the model
   * @param side keys or values
   * @return all tokens of the layer, rows of keyHeads x headDim floats
   */
  public float[] dequantize(int layer, KvSide side) {
    long count = length(layer);
    try (Arena arena = Arena.ofConfined()) {
      long floats = Args.product("KvSequence.dequantize", "y", count, keyCols);
      MemorySegment y = arena.allocate(JAVA_FLOAT, floats);
      dequantize(layer, side, 0, count, y, keyCols);
      return y.toArray(JAVA_FLOAT);
    }
  }

  /**
   * Codes of packed tokens, a byte each, and the stored bytes of their scales and zeros; those of
   * sinks are 0.
   *
   * @param layer of the model
   * @param side keys or values
   * @param first token
   * @param count number of tokens
   * @param codes [count][keyHeads][headDim], or null
   * @param scales [count][{@link #groups}], or null
   * @param zeros [count][{@link #groups}], signed, or null
   */
  public void codes(
      int layer,
      KvSide side,
      long first,
      long count,
      MemorySegment codes,
      MemorySegment scales,
      MemorySegment zeros) {
    String function = "KvSequence.codes";
    long groups = groups(side);
    MemorySegment c = bytes(function, "codes", codes, count, keyCols);
    MemorySegment s = bytes(function, "scales", scales, count, groups);
    MemorySegment z = bytes(function, "zeros", zeros, count, groups);
    run(handle -> SylvesterFfi.syl_kv_codes(handle, layer, side.code(), first, count, c, s, z));
  }

  /**
   * Groups of a token, all heads.
   *
   * @param side keys or values
   * @return the number of scales
   */
  public long groups(KvSide side) {
    boolean isKeys = Args.present("KvSequence.groups", "side", side) == KvSide.KEYS;
    KvOptions options = cache.options();
    long group = (isKeys ? options.keys() : options.values()).group();
    KvGeometry geometry = cache.geometry();
    return isKeys && options.sort()
        ? Math.ceilDiv(keyCols, group)
        : geometry.keyHeads() * Math.ceilDiv(geometry.headDim(), group);
  }

  private static MemorySegment bytes(
      String function, String name, MemorySegment segment, long rows, long cols) {
    if (segment == null) {
      return MemorySegment.NULL;
    }
    Args.output(function, name, segment, Args.product(function, name, rows, cols));
    return segment;
  }

  /**
   * What the sequence takes up.
   *
   * @return numbers of bytes
   */
  public KvMemory memory() {
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment struct = scratch.allocate(syl_kv_memory.layout());
      syl_kv_memory.struct_size(struct, (int) syl_kv_memory.sizeof());
      run(handle -> SylvesterFfi.syl_kv_sequence_memory(handle, struct));
      return KvMemory.of(struct);
    }
  }

  // ---- Saving and closing ----

  /**
   * Writes the packed sequence, as a whole or not at all; {@link KvCache#load(Path)} reads it. All
   * layers have the same length.
   *
   * @param file is replaced if it exists
   * @throws IOException if it cannot be written
   */
  public void save(Path file) throws IOException {
    try (Arena scratch = Arena.ofConfined()) {
      WholeFile.write("KvSequence.save", file, save(scratch));
    }
  }

  /**
   * The file of the packed sequence.
   *
   * @param arena owns the memory
   * @return its bytes
   */
  public MemorySegment save(Arena arena) {
    Args.present("KvSequence.save", "arena", arena);
    MemorySegment handle = begin();
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment size = scratch.allocate(JAVA_LONG);
      SylvesterException.check(SylvesterFfi.syl_kv_save_size(handle, size));
      MemorySegment file = Args.allocate("KvSequence.save", size.get(JAVA_LONG, 0), arena);
      SylvesterException.check(SylvesterFfi.syl_kv_save(handle, file, file.byteSize()));
      return file;
    } finally {
      end();
    }
  }

  /**
   * Gives the pages back. A second call does nothing.
   *
   * @throws IllegalStateException if a call on another thread is using the sequence
   */
  @Override
  public void close() {
    sequence.close(SylvesterFfi::syl_kv_sequence_free);
    cache.forget(this);
  }

  /** Takes the sequence for one call; {@link #end()} gives it back. */
  MemorySegment begin() {
    return sequence.begin();
  }

  void end() {
    sequence.end();
  }

  /** Between begin and end. */
  void free() {
    sequence.closeTaken(SylvesterFfi::syl_kv_sequence_free);
  }

  /** A native function on the sequence. */
  private interface Call {
    int run(MemorySegment handle);
  }

  /** And one that stores a number. */
  private interface Query {
    int run(MemorySegment handle, MemorySegment out);
  }

  private void run(Call call) {
    MemorySegment handle = begin();
    try {
      SylvesterException.check(call.run(handle));
    } finally {
      end();
    }
  }

  private long number(Query query) {
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment out = scratch.allocate(JAVA_LONG);
      run(handle -> query.run(handle, out));
      return out.get(JAVA_LONG, 0);
    }
  }
}

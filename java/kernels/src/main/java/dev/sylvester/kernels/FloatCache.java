package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Keys and values of one attention layer as 16- or 32-bit floats, and attention over them. It keeps
 * no length: the caller says where tokens go and how many are valid, so that going back costs
 * nothing. Its memory belongs to an arena. Thread-safe as long as no call reads tokens that another
 * writes at the same time.
 */
public final class FloatCache {
  private final AttentionShape shape;
  private final long queryCols;
  private final long keyCols;
  private final MemorySegment descriptor;
  private final MemorySegment keys;
  private final MemorySegment values;

  private FloatCache(
      AttentionShape shape, MemorySegment descriptor, MemorySegment keys, MemorySegment values) {
    this.shape = shape;
    this.queryCols = shape.queryHeads() * shape.headDim();
    this.keyCols = shape.keyHeads() * shape.headDim();
    this.descriptor = descriptor;
    this.keys = keys;
    this.values = values;
  }

  /**
   * An empty cache.
   *
   * @param shape of the layer
   * @param arena owns the memory
   * @return the cache
   */
  public static FloatCache allocate(AttentionShape shape, Arena arena) {
    Args.product("FloatCache.allocate", "q", shape.queryHeads(), shape.headDim());
    MemorySegment descriptor = shape.toNative(arena);
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment keyBytes = scratch.allocate(JAVA_LONG);
      MemorySegment valueBytes = scratch.allocate(JAVA_LONG);
      SylvesterException.check(SylvesterFfi.syl_nn_cache_size(descriptor, keyBytes, valueBytes));
      return new FloatCache(
          shape,
          descriptor,
          Args.allocate("FloatCache.allocate", keyBytes.get(JAVA_LONG, 0), arena),
          Args.allocate("FloatCache.allocate", valueBytes.get(JAVA_LONG, 0), arena));
    }
  }

  /**
   * A cache with the same tokens, which go their own ways from here on.
   *
   * @param arena owns the memory
   * @return the copy
   */
  public FloatCache copy(Arena arena) {
    FloatCache copy = allocate(shape, arena);
    copy.copyFrom(this);
    return copy;
  }

  /**
   * Takes the tokens of another cache in place of its own.
   *
   * @param other of the same shape
   */
  public void copyFrom(FloatCache other) {
    if (!other.shape.equals(shape)) {
      throw new IllegalArgumentException(
          "FloatCache.copyFrom: other is of %s, must be of %s".formatted(other.shape, shape));
    }
    keys.copyFrom(other.keys);
    values.copyFrom(other.values);
  }

  /**
   * Shape of the layer.
   *
   * @return the shape
   */
  public AttentionShape shape() {
    return shape;
  }

  /**
   * Size of keys and values.
   *
   * @return the number of bytes
   */
  public long bytes() {
    return keys.byteSize() + values.byteSize();
  }

  /**
   * Writes tokens at positions first..first+rows-1.
   *
   * @param k rows of keyHeads x headDim floats
   * @param kStride from row to row
   * @param v rows of keyHeads x headDim floats
   * @param vStride from row to row
   * @param first position of the first row
   * @param rows number of rows
   * @param pool threads, or null
   */
  public void append(
      MemorySegment k,
      long kStride,
      MemorySegment v,
      long vStride,
      long first,
      long rows,
      ThreadPool pool) {
    String function = "FloatCache.append";
    Args.range(function, "first", first, 0, shape.capacity());
    Args.range(function, "rows", rows, 0, shape.capacity() - first);
    Args.input(function, "k", k, Args.floats(function, "k", rows, keyCols, kStride));
    Args.input(function, "v", v, Args.floats(function, "v", rows, keyCols, vStride));
    SylvesterException.check(
        SylvesterFfi.syl_nn_cache_append_f32(
            descriptor,
            k,
            kStride,
            v,
            vStride,
            first,
            rows,
            keys,
            values,
            ThreadPool.handle(pool)));
  }

  /**
   * {@code y[r][h] = softmax_j(scale q[r][h] . K[j]) V[j]} over the keys that row r, at position
   * first + r, may see.
   *
   * @param q rows of queryHeads x headDim floats
   * @param qStride from row to row
   * @param first position of the first row
   * @param rows number of rows
   * @param tokens valid tokens in the cache; at least first + rows when causal
   * @param y rows of queryHeads x headDim floats
   * @param yStride from row to row
   * @param workspace scratch memory
   * @param pool threads, or null
   */
  public void attend(
      MemorySegment q,
      long qStride,
      long first,
      long rows,
      long tokens,
      MemorySegment y,
      long yStride,
      Workspace workspace,
      ThreadPool pool) {
    String function = "FloatCache.attend";
    Args.range(function, "tokens", tokens, 0, shape.capacity());
    Args.input(function, "q", q, Args.floats(function, "q", rows, queryCols, qStride));
    Args.output(function, "y", y, Args.floats(function, "y", rows, queryCols, yStride));
    workspace.begin();
    try {
      SylvesterException.check(
          SylvesterFfi.syl_nn_attention_workspace(descriptor, rows, tokens, workspace.results));
      MemorySegment scratch = workspace.sized();
      SylvesterException.check(
          SylvesterFfi.syl_nn_attention_f32(
              descriptor,
              q,
              qStride,
              first,
              rows,
              keys,
              values,
              tokens,
              y,
              yStride,
              scratch,
              scratch.byteSize(),
              ThreadPool.handle(pool)));
    } finally {
      workspace.end();
    }
  }
}

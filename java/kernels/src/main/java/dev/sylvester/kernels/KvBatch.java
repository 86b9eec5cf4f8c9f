package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_kv_batch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashSet;
import java.util.List;

/**
 * Some sequences of one cache whose tokens are appended and attended to by one call: in keys,
 * values and queries the rows of a sequence stand behind those of the sequence before it. Each of
 * them gets the bits that it would get alone. One call at a time; nothing to close.
 */
public final class KvBatch {
  private final KvSequence[] sequences;
  private final long keyCols;
  private final long queryCols;
  private final MemorySegment descriptor;
  private final MemorySegment rowCounts;
  private final MemorySegment unpacked;

  private KvBatch(List<KvSequence> list) {
    KvGeometry geometry = list.getFirst().cache().geometry();
    sequences = list.toArray(KvSequence[]::new);
    keyCols = geometry.keyCols();
    queryCols = geometry.queryCols();
    Arena arena = Arena.ofAuto();
    MemorySegment handles = arena.allocate(ADDRESS, sequences.length);
    for (int i = 0; i < sequences.length; i++) {
      handles.setAtIndex(ADDRESS, i, sequences[i].begin());
      sequences[i].end();
    }
    rowCounts = arena.allocate(JAVA_LONG, sequences.length);
    unpacked = arena.allocate(JAVA_LONG, sequences.length);
    descriptor = arena.allocate(syl_kv_batch.layout());
    syl_kv_batch.struct_size(descriptor, (int) syl_kv_batch.sizeof());
    syl_kv_batch.sequences(descriptor, sequences.length);
    syl_kv_batch.sequence(descriptor, handles);
    syl_kv_batch.rows(descriptor, rowCounts);
  }

  /**
   * A batch.
   *
   * @param sequences one or more, none twice, all of one cache
   * @return the batch
   */
  public static KvBatch of(List<KvSequence> sequences) {
    String function = "KvBatch.of";
    List<KvSequence> list = List.copyOf(Args.present(function, "sequences", sequences));
    Args.range(function, "sequences", list.size(), 1, Integer.MAX_VALUE);
    if (new HashSet<>(list).size() < list.size()) {
      throw new SylvesterException(Status.BAD_VALUE, function + ": a sequence is there twice");
    }
    KvCache cache = list.getFirst().cache();
    if (list.stream().anyMatch(sequence -> sequence.cache() != cache)) {
      throw new SylvesterException(Status.BAD_VALUE, function + ": sequences of several caches");
    }
    return new KvBatch(list);
  }

  /**
   * Appends tokens to a layer of each sequence.
   *
   * @param layer of the model
   * @param rows for each sequence its number of tokens
   * @param k rows of keyHeads x headDim floats
   * @param kStride from row to row
   * @param v rows of keyHeads x headDim floats
   * @param vStride from row to row
   * @param sinks a byte for each row, not 0: keep this token as halves; or null
   * @param workspace scratch memory
   * @param pool threads, or null
   */
  public void append(
      int layer,
      long[] rows,
      MemorySegment k,
      long kStride,
      MemorySegment v,
      long vStride,
      MemorySegment sinks,
      Workspace workspace,
      ThreadPool pool) {
    String function = "KvBatch.append";
    begin();
    try {
      append(
          function, layer, total(function, rows), k, kStride, v, vStride, sinks, workspace, pool);
    } finally {
      end();
    }
  }

  /**
   * {@code y[r][h] = softmax_j(scale q[r][h] . K[j]) V[j]}, causal, for the last tokens of each
   * sequence.
   *
   * @param layer of the model
   * @param rows for each sequence its number of queries: those of its last tokens
   * @param q rows of queryHeads x headDim floats, rotated by their positions
   * @param qStride from row to row
   * @param y rows of queryHeads x headDim floats; must not overlap q
   * @param yStride from row to row
   * @param workspace scratch memory
   * @param pool threads, or null
   */
  public void attend(
      int layer,
      long[] rows,
      MemorySegment q,
      long qStride,
      MemorySegment y,
      long yStride,
      Workspace workspace,
      ThreadPool pool) {
    String function = "KvBatch.attend";
    begin();
    try {
      attend(function, layer, null, total(function, rows), q, qStride, y, yStride, workspace, pool);
    } finally {
      end();
    }
  }

  /**
   * The same where tokens see those behind them too: each of the rows, which may be any tokens' and
   * any number, sees all tokens of its sequence.
   *
   * @param layer of the model, without a sliding window
   * @param rows for each sequence its number of queries
   * @param unpacked for each sequence the number of its newest tokens that are read as halves;
   *     those before them are read as the newest query did before these came. At most length -
   *     {@link KvSequence#truncatable()}, or all while that is 1; 0 for plans without a window
   * @param q rows of queryHeads x headDim floats, rotated by their positions
   * @param qStride from row to row
   * @param y rows of queryHeads x headDim floats; must not overlap q
   * @param yStride from row to row
   * @param workspace scratch memory
   * @param pool threads, or null
   */
  public void attendBidirectional(
      int layer,
      long[] rows,
      long[] unpacked,
      MemorySegment q,
      long qStride,
      MemorySegment y,
      long yStride,
      Workspace workspace,
      ThreadPool pool) {
    String function = "KvBatch.attendBidirectional";
    begin();
    try {
      requireEach(function, "unpacked", unpacked);
      MemorySegment halves = this.unpacked;
      MemorySegment.copy(unpacked, 0, halves, JAVA_LONG, 0, unpacked.length);
      long all = total(function, rows);
      attend(function, layer, halves, all, q, qStride, y, yStride, workspace, pool);
    } finally {
      end();
    }
  }

  /** Takes all sequences for one call, and with them the descriptor. */
  void begin() {
    int taken = 0;
    try {
      for (; taken < sequences.length; taken++) {
        sequences[taken].begin();
      }
    } catch (RuntimeException e) {
      end(taken);
      throw e;
    }
  }

  void end() {
    end(sequences.length);
  }

  private void end(int taken) {
    for (int i = 0; i < taken; i++) {
      sequences[i].end();
    }
  }

  // The array may change under us: what is checked is what native code reads.
  private long total(String function, long[] rows) {
    requireEach(function, "rows", rows);
    long total = 0;
    for (int i = 0; i < sequences.length; i++) {
      total += rows(function, i, rows[i], Long.MAX_VALUE - total);
    }
    return total;
  }

  private void requireEach(String function, String name, long[] numbers) {
    if (Args.present(function, name, numbers).length != sequences.length) {
      throw new SylvesterException(
          Status.BAD_SHAPE,
          "%s: %s has %d numbers for %d sequences"
              .formatted(function, name, numbers.length, sequences.length));
    }
  }

  /** Between begin and end: what {@link #attend} takes, for a batch of one. */
  MemorySegment unpacked(long tokens) {
    unpacked.set(JAVA_LONG, 0, tokens);
    return unpacked;
  }

  /** Between begin and end: the number of rows of a sequence. */
  long rows(String function, int sequence, long rows, long limit) {
    Args.range(function, "rows", rows, 0, limit);
    rowCounts.setAtIndex(JAVA_LONG, sequence, rows);
    return rows;
  }

  /** Between begin and end, with the rows of all sequences set. */
  void append(
      String function,
      int layer,
      long rows,
      MemorySegment k,
      long kStride,
      MemorySegment v,
      long vStride,
      MemorySegment sinks,
      Workspace workspace,
      ThreadPool pool) {
    Args.input(function, "k", k, Args.floats(function, "k", rows, keyCols, kStride));
    Args.input(function, "v", v, Args.floats(function, "v", rows, keyCols, vStride));
    MemorySegment sinksOrNull = Args.optional(function, "sinks", sinks, rows);
    MemorySegment threads = ThreadPool.handle(pool);
    Args.present(function, "workspace", workspace).begin();
    try {
      SylvesterException.check(
          SylvesterFfi.syl_kv_append_workspace(descriptor, count(pool), workspace.results));
      MemorySegment scratch = workspace.sized();
      SylvesterException.check(
          SylvesterFfi.syl_kv_append_f32(
              descriptor,
              layer,
              k,
              kStride,
              v,
              vStride,
              sinksOrNull,
              scratch,
              scratch.byteSize(),
              threads));
    } finally {
      workspace.end();
    }
  }

  /**
   * Between begin and end, with the rows of all sequences set, and what is unpacked of them.
   *
   * @param unpacked {@link #unpacked}, or null for causal attention
   */
  void attend(
      String function,
      int layer,
      MemorySegment unpacked,
      long rows,
      MemorySegment q,
      long qStride,
      MemorySegment y,
      long yStride,
      Workspace workspace,
      ThreadPool pool) {
    Args.input(function, "q", q, Args.floats(function, "q", rows, queryCols, qStride));
    Args.output(function, "y", y, Args.floats(function, "y", rows, queryCols, yStride));
    MemorySegment threads = ThreadPool.handle(pool);
    Args.present(function, "workspace", workspace).begin();
    try {
      MemorySegment size = workspace.results;
      SylvesterException.check(
          unpacked == null
              ? SylvesterFfi.syl_kv_attend_workspace(descriptor, layer, count(pool), size)
              : SylvesterFfi.syl_kv_attend_bidirectional_workspace(
                  descriptor, layer, unpacked, count(pool), size));
      MemorySegment scratch = workspace.sized();
      long bytes = scratch.byteSize();
      SylvesterException.check(
          unpacked == null
              ? SylvesterFfi.syl_kv_attend_f32(
                  descriptor, layer, q, qStride, y, yStride, scratch, bytes, threads)
              : SylvesterFfi.syl_kv_attend_bidirectional_f32(
                  descriptor, layer, unpacked, q, qStride, y, yStride, scratch, bytes, threads));
    } finally {
      workspace.end();
    }
  }

  private static int count(ThreadPool pool) {
    return pool == null ? 1 : pool.threads();
  }
}

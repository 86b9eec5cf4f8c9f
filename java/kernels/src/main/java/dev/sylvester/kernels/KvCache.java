package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Pages of packed keys and values, and the sequences that share them:
 *
 * <pre>{@code
 * try (KvPlan plan = KvPlan.of(geometry, KvOptions.preset("quarot", 4));
 *     KvCache cache = KvCache.of(plan, KvCacheOptions.ofTokens(32768));
 *     KvSequence sequence = cache.newSequence()) {
 *   sequence.append(layer, k, kStride, v, vStride, rows, null, workspace, pool);
 *   sequence.attend(layer, q, qStride, rows, y, yStride, workspace, pool);
 * }
 * }</pre>
 *
 * <p>Thread-safe; closing it closes its sequences.
 */
public final class KvCache implements AutoCloseable {
  private final KvGeometry geometry;
  private final KvOptions options;
  private final long bytes;
  private final Set<KvSequence> sequences = new HashSet<>();
  private MemorySegment handle; // null once closed

  private KvCache(KvGeometry geometry, KvOptions options, long bytes, MemorySegment handle) {
    this.geometry = geometry;
    this.options = options;
    this.bytes = bytes;
    this.handle = handle;
  }

  /**
   * A cache without sequences.
   *
   * @param plan how it is quantised
   * @param size of the cache
   * @return the cache
   */
  public static KvCache of(KvPlan plan, KvCacheOptions size) {
    long bytes = bytes(plan, size);
    KvOptions options = plan.options();
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment out = scratch.allocate(ADDRESS);
      MemorySegment struct = size.toNative(scratch);
      SylvesterException.check(SylvesterFfi.syl_kv_cache_new(plan.open(), struct, out));
      return new KvCache(plan.geometry(), options, bytes, out.get(ADDRESS, 0));
    }
  }

  /**
   * Memory that a cache's pages would take.
   *
   * @param plan how it is quantised
   * @param size of the cache
   * @return the number of bytes
   */
  public static long bytes(KvPlan plan, KvCacheOptions size) {
    String function = "KvCache.bytes";
    Args.present(function, "plan", plan);
    Args.present(function, "size", size);
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment out = scratch.allocate(JAVA_LONG);
      MemorySegment struct = size.toNative(scratch);
      SylvesterException.check(SylvesterFfi.syl_kv_arena_size(plan.open(), struct, out));
      return out.get(JAVA_LONG, 0);
    }
  }

  /**
   * What the model's attention is.
   *
   * @return the geometry
   */
  public KvGeometry geometry() {
    return geometry;
  }

  /**
   * How the cache is quantised.
   *
   * @return the options of its plan
   */
  public KvOptions options() {
    return options;
  }

  /**
   * Memory of the pages.
   *
   * @return the number of bytes
   */
  public long bytes() {
    return bytes;
  }

  /**
   * Number of pages.
   *
   * @return the number, in use or not
   */
  public long pages() {
    return pages(false);
  }

  /**
   * Number of pages that sequences take up.
   *
   * @return the number; a shared one counts once
   */
  public long usedPages() {
    return pages(true);
  }

  private synchronized long pages(boolean isUsed) {
    MemorySegment cache = open();
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment used = scratch.allocate(JAVA_LONG);
      MemorySegment all = scratch.allocate(JAVA_LONG);
      SylvesterException.check(SylvesterFfi.syl_kv_cache_pages(cache, used, all));
      return (isUsed ? used : all).get(JAVA_LONG, 0);
    }
  }

  /**
   * A sequence without tokens.
   *
   * @return the sequence
   */
  public KvSequence newSequence() {
    return adopt((cache, out) -> SylvesterFfi.syl_kv_sequence_new(cache, out));
  }

  /**
   * A saved sequence. The file is mapped while it is read and must not be shortened meanwhile.
   *
   * @param file that {@link KvSequence#save(Path)} wrote, of a cache of the same plan
   * @return the sequence
   * @throws IOException if the file cannot be read
   * @throws SylvesterException with the offset of what is wrong in it
   */
  public KvSequence load(Path file) throws IOException {
    return WholeFile.map("KvCache.load", file, this::load);
  }

  /**
   * A saved sequence in memory.
   *
   * @param bytes the file, a native segment; not needed afterwards
   * @return the sequence
   * @throws SylvesterException with the offset of what is wrong in it
   */
  public KvSequence load(MemorySegment bytes) {
    Args.input("KvCache.load", "bytes", bytes, 0);
    return adopt((cache, out) -> SylvesterFfi.syl_kv_load(cache, bytes, bytes.byteSize(), out));
  }

  /** A native function that stores a new sequence of the cache. */
  interface Maker {
    int make(MemorySegment cache, MemorySegment out);
  }

  /** Makes a sequence, which is closed with the cache. */
  synchronized KvSequence adopt(Maker maker) {
    MemorySegment cache = open();
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment out = scratch.allocate(ADDRESS);
      SylvesterException.check(maker.make(cache, out));
      KvSequence sequence = new KvSequence(this, out.get(ADDRESS, 0));
      sequences.add(sequence);
      return sequence;
    }
  }

  /** The sequence is closed. */
  synchronized void forget(KvSequence sequence) {
    sequences.remove(sequence);
  }

  private MemorySegment open() {
    if (handle == null) {
      throw new IllegalStateException("KvCache is closed");
    }
    return handle;
  }

  /**
   * Closes the sequences and frees the pages. A second call does nothing.
   *
   * @throws IllegalStateException if a call on another thread is using a sequence; then nothing is
   *     closed
   */
  @Override
  public synchronized void close() {
    if (handle == null) {
      return;
    }
    List<KvSequence> taken = new ArrayList<>(sequences.size());
    try {
      for (KvSequence sequence : sequences) {
        sequence.begin();
        taken.add(sequence);
      }
      taken.forEach(KvSequence::free);
      sequences.clear();
      SylvesterException.check(SylvesterFfi.syl_kv_cache_free(handle));
      handle = null;
    } finally {
      taken.forEach(KvSequence::end);
    }
  }
}

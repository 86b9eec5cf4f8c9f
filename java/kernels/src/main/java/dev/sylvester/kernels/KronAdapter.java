package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_kron_segments;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * {@code delta = sum_k U_k (x) V_k} in the form that it is applied in; the delta itself is never
 * made. Its memory belongs to the arena it was packed in. Immutable and thread-safe. See {@code
 * sylvester/kron.h} for the exact arithmetic.
 */
public final class KronAdapter {
  private final long out;
  private final long in;
  private final MemorySegment packed;
  private final long workspaceBytes;

  /**
   * Consecutive rows that share an adapter.
   *
   * @param rows number of rows
   * @param adapter for these rows, or null for none
   * @param scale factor on its delta
   */
  public record Segment(long rows, KronAdapter adapter, float scale) {}

  private KronAdapter(long out, long in, MemorySegment packed) {
    this.out = out;
    this.in = in;
    this.packed = packed.asReadOnly();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(JAVA_LONG);
      SylvesterException.check(SylvesterFfi.syl_kron_workspace(packed, bytes));
      this.workspaceBytes = bytes.get(JAVA_LONG, 0);
    }
  }

  /**
   * Packs factors, which are not needed afterwards.
   *
   * @param factors what to apply
   * @param arena owns the packed form
   * @return the adapter
   */
  public static KronAdapter pack(KronFactors factors, Arena arena) {
    return pack(factors, false, arena);
  }

  /**
   * Packs the factors of the transposed delta, for gradients.
   *
   * @param factors what to apply
   * @param arena owns the packed form
   * @return an adapter whose inputs are the outputs of the other
   */
  public static KronAdapter packTransposed(KronFactors factors, Arena arena) {
    return pack(factors, true, arena);
  }

  private static KronAdapter pack(KronFactors factors, boolean transposed, Arena arena) {
    String function = "KronAdapter.pack";
    Args.present(function, "factors", factors);
    MemorySegment packed = Args.allocate(function, factors.cost().packedBytes(), arena);
    try (Arena scratch = Arena.ofConfined()) {
      SylvesterException.check(
          SylvesterFfi.syl_kron_pack(
              factors.toNative(scratch),
              transposed ? SylvesterFfi.SYL_KRON_TRANSPOSED() : 0,
              packed,
              packed.byteSize()));
    }
    KronShape shape = factors.shape();
    return transposed
        ? new KronAdapter(shape.in(), shape.out(), packed)
        : new KronAdapter(shape.out(), shape.in(), packed);
  }

  /**
   * Floats of a row of y.
   *
   * @return the number
   */
  public long out() {
    return out;
  }

  /**
   * Floats of a row of x.
   *
   * @return the number
   */
  public long in() {
    return in;
  }

  /**
   * Size of the packed form.
   *
   * @return the number of bytes
   */
  public long bytes() {
    return packed.byteSize();
  }

  /**
   * {@code y[r] = scale delta x[r] (+ y[r])}. A row has the same bits whatever rows come with it.
   *
   * @param scale factor on the delta
   * @param x rows of in floats
   * @param xStride from row to row, at least in
   * @param rows number of rows
   * @param accumulate adds to y instead of storing
   * @param y rows of out floats; must not overlap x
   * @param yStride from row to row, at least out
   * @param workspace scratch memory
   * @param pool threads, or null
   */
  public void apply(
      float scale,
      MemorySegment x,
      long xStride,
      long rows,
      boolean accumulate,
      MemorySegment y,
      long yStride,
      Workspace workspace,
      ThreadPool pool) {
    String function = "KronAdapter.apply";
    Args.input(function, "x", x, Args.floats(function, "x", rows, in, xStride));
    Args.output(function, "y", y, Args.floats(function, "y", rows, out, yStride));
    workspace.begin();
    try {
      MemorySegment scratch = workspace.sized(workspaceBytes);
      SylvesterException.check(
          SylvesterFfi.syl_kron_apply_f32(
              packed,
              scale,
              x,
              xStride,
              rows,
              accumulate ? SylvesterFfi.SYL_KRON_ACCUMULATE() : 0,
              y,
              yStride,
              scratch,
              scratch.byteSize(),
              ThreadPool.handle(pool)));
    } finally {
      workspace.end();
    }
  }

  /**
   * Rows with different adapters in one call, with the bits of one call for each segment. Ranks,
   * shapes and types may differ. Rows without an adapter stay as they are when accumulating, and
   * become 0 otherwise.
   *
   * @param segments one after the other; adapters must have the same in and out
   * @param out floats of a row of y
   * @param in floats of a row of x
   * @param x rows of in floats
   * @param xStride from row to row, at least in
   * @param accumulate adds to y instead of storing
   * @param y rows of out floats; must not overlap x
   * @param yStride from row to row, at least out
   * @param workspace scratch memory
   * @param pool threads, or null
   */
  public static void applySegments(
      List<Segment> segments,
      long out,
      long in,
      MemorySegment x,
      long xStride,
      boolean accumulate,
      MemorySegment y,
      long yStride,
      Workspace workspace,
      ThreadPool pool) {
    String function = "KronAdapter.applySegments";
    int count = Args.present(function, "segments", segments).size();
    List<KronAdapter> adapters =
        segments.stream().map(Segment::adapter).filter(a -> a != null).distinct().toList();
    long needed = adapters.stream().mapToLong(a -> a.workspaceBytes).max().orElse(0);
    workspace.begin();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment packed = arena.allocate(ADDRESS, Math.max(1, adapters.size()));
      for (int i = 0; i < adapters.size(); i++) {
        packed.setAtIndex(ADDRESS, i, adapters.get(i).packed);
      }
      MemorySegment begin = arena.allocate(JAVA_LONG, count + 1);
      MemorySegment adapter = arena.allocate(JAVA_INT, count + 1);
      MemorySegment scale = arena.allocate(JAVA_FLOAT, count + 1);
      long rows = 0;
      for (int s = 0; s < count; s++) {
        Segment segment = segments.get(s);
        Args.range(function, "rows of segment " + s, segment.rows, 0, Integer.MAX_VALUE);
        rows += segment.rows;
        begin.setAtIndex(JAVA_LONG, s + 1, rows);
        adapter.setAtIndex(JAVA_INT, s, adapters.indexOf(segment.adapter));
        scale.setAtIndex(JAVA_FLOAT, s, segment.scale);
      }
      Args.input(function, "x", x, Args.floats(function, "x", rows, in, xStride));
      Args.output(function, "y", y, Args.floats(function, "y", rows, out, yStride));
      MemorySegment struct = arena.allocate(syl_kron_segments.layout());
      syl_kron_segments.struct_size(struct, (int) syl_kron_segments.sizeof());
      syl_kron_segments.adapters(struct, adapters.size());
      syl_kron_segments.segments(struct, count);
      syl_kron_segments.packed(struct, packed);
      syl_kron_segments.row_begin(struct, begin);
      syl_kron_segments.adapter(struct, adapter);
      syl_kron_segments.scale(struct, scale);
      MemorySegment scratch = workspace.sized(needed);
      SylvesterException.check(
          SylvesterFfi.syl_kron_apply_segments_f32(
              struct,
              out,
              in,
              x,
              xStride,
              accumulate ? SylvesterFfi.SYL_KRON_ACCUMULATE() : 0,
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

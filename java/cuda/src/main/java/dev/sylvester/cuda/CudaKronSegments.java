package dev.sylvester.cuda;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.cuda.ffi.CudaFfi;
import dev.sylvester.cuda.ffi.syl_cuda_kron_segments;
import dev.sylvester.kernels.ffi.syl_kron;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;

/**
 * Rows with different adapters, on a device: the twin of {@link
 * dev.sylvester.kernels.KronAdapter#applySegments}, with the bits of one call of {@link
 * CudaKronAdapter#apply} for each segment. Ranks, shapes and types may differ. Immutable.
 */
public final class CudaKronSegments {
  private final List<Segment> segments;
  private final List<CudaKronAdapter> adapters;
  private final long out;
  private final long in;
  private final long rows;

  /**
   * Consecutive rows that share an adapter.
   *
   * @param rows number of rows
   * @param adapter for these rows, or null for none
   * @param scale factor on its delta
   */
  public record Segment(long rows, CudaKronAdapter adapter, float scale) {}

  private CudaKronSegments(List<Segment> segments, long out, long in, long rows) {
    this.segments = segments;
    this.out = out;
    this.in = in;
    this.rows = rows;
    adapters = segments.stream().map(Segment::adapter).filter(Objects::nonNull).distinct().toList();
  }

  /**
   * Segments.
   *
   * @param segments one after the other
   * @param out floats of a row of y, the same for all adapters
   * @param in floats of a row of x, the same for all adapters
   * @return what can be applied
   */
  public static CudaKronSegments of(List<Segment> segments, long out, long in) {
    String function = "CudaKronSegments.of";
    List<Segment> copy =
        Collections.unmodifiableList(new ArrayList<>(Args.present(function, "segments", segments)));
    long rows = 0;
    for (int s = 0; s < copy.size(); s++) {
      Segment segment = Args.present(function, "segment " + s, copy.get(s));
      Args.range(function, "rows of segment " + s, segment.rows, 0, Integer.MAX_VALUE);
      rows += segment.rows;
    }
    return new CudaKronSegments(copy, out, in, rows);
  }

  /**
   * Number of rows.
   *
   * @return the sum of all segments
   */
  public long rows() {
    return rows;
  }

  /**
   * Size of the workspace.
   *
   * @return bytes; 0 without adapters
   */
  public long workspaceBytes() {
    return adapters.stream().mapToLong(adapter -> adapter.workspaceBytes(rows)).max().orElse(0);
  }

  /**
   * Enqueues {@code y[r] = scale delta x[r] (+ y[r])}, each row with its segment's adapter. Rows
   * without one stay as they are when accumulating, and become 0 otherwise.
   *
   * @param x rows of in floats
   * @param xStride from row to row, at least in
   * @param accumulate adds to y instead of storing
   * @param y rows of out floats; must not overlap x
   * @param yStride from row to row, at least out
   * @param workspace of {@link #workspaceBytes} bytes, for one stream at a time; null where that is
   *     0
   * @param stream null for the default stream
   */
  public void apply(
      DeviceMemory x,
      long xStride,
      boolean accumulate,
      DeviceMemory y,
      long yStride,
      DeviceMemory workspace,
      CudaStream stream) {
    String function = "CudaKronSegments.apply";
    try (CudaCall call = new CudaCall(function, Args.present(function, "x", x).device())) {
      MemorySegment from = call.rows("x", x, rows, in, xStride);
      MemorySegment to = call.rows("y", y, rows, out, yStride);
      MemorySegment scratch = call.workspace(workspace);
      MemorySegment queue = call.stream(stream);
      MemorySegment struct = toNative(call);
      call.run(
          () ->
              CudaFfi.syl_cuda_kron_apply_segments_f32(
                  struct,
                  out,
                  in,
                  from,
                  xStride,
                  CudaKronAdapter.flags(accumulate),
                  to,
                  yStride,
                  scratch,
                  scratch.byteSize(),
                  queue));
    }
  }

  private MemorySegment toNative(CudaCall call) {
    MemorySegment krons = call.scratch.allocate(syl_kron.layout(), adapters.size());
    for (int i = 0; i < adapters.size(); i++) {
      syl_kron.asSlice(krons, i).copyFrom(adapters.get(i).kron(call));
    }
    int count = segments.size();
    long[] begin = new long[count + 1];
    int[] adapter = new int[count];
    float[] scale = new float[count];
    for (int s = 0; s < count; s++) {
      begin[s + 1] = begin[s] + segments.get(s).rows;
      adapter[s] = adapters.indexOf(segments.get(s).adapter);
      scale[s] = segments.get(s).scale;
    }
    MemorySegment struct = call.scratch.allocate(syl_cuda_kron_segments.layout());
    syl_cuda_kron_segments.struct_size(struct, (int) syl_cuda_kron_segments.sizeof());
    syl_cuda_kron_segments.adapters(struct, adapters.size());
    syl_cuda_kron_segments.segments(struct, count);
    syl_cuda_kron_segments.kron(struct, krons);
    syl_cuda_kron_segments.row_begin(struct, call.scratch.allocateFrom(JAVA_LONG, begin));
    syl_cuda_kron_segments.adapter(struct, call.scratch.allocateFrom(JAVA_INT, adapter));
    syl_cuda_kron_segments.scale(struct, call.scratch.allocateFrom(JAVA_FLOAT, scale));
    return struct;
  }
}

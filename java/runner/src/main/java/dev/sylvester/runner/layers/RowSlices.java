package dev.sylvester.runner.layers;

import java.lang.foreign.MemorySegment;

/** Rows of floats from any of them on; a slice is made when it is first asked for, and kept. */
final class RowSlices {
  private final MemorySegment rows;
  private final long rowBytes;
  private final MemorySegment[] slices;

  RowSlices(MemorySegment rows, long stride, int count) {
    this.rows = rows;
    this.rowBytes = stride * Float.BYTES;
    this.slices = new MemorySegment[count];
  }

  MemorySegment from(int row) {
    if (slices[row] == null) {
      slices[row] = rows.asSlice(row * rowBytes);
    }
    return slices[row];
  }
}

package dev.sylvester.runner.spec;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Hidden states with the probability that their candidate is accepted. Grows. */
final class HeadSamples implements AutoCloseable {
  private final int width;
  private Arena arena = Arena.ofShared();
  private MemorySegment hidden;
  private MemorySegment labels;
  private long capacity = 1024;
  private long rows;

  HeadSamples(int width) {
    this.width = width;
    hidden = arena.allocate(capacity * width * Float.BYTES, 64);
    labels = arena.allocate(capacity * Float.BYTES, 64);
  }

  int width() {
    return width;
  }

  long rows() {
    return rows;
  }

  /** All hidden states, back to back. */
  MemorySegment hidden() {
    return hidden;
  }

  float label(long row) {
    return labels.getAtIndex(JAVA_FLOAT, row);
  }

  void add(MemorySegment hiddenRow, float label) {
    if (rows == capacity) {
      grow();
    }
    MemorySegment.copy(hiddenRow, 0, hidden, rows * width * Float.BYTES, rowBytes());
    labels.setAtIndex(JAVA_FLOAT, rows, label);
    rows++;
  }

  /** Puts a row into a batch. */
  void copy(long row, MemorySegment toHidden, MemorySegment toLabels, long at) {
    MemorySegment.copy(hidden, row * rowBytes(), toHidden, at * rowBytes(), rowBytes());
    toLabels.setAtIndex(JAVA_FLOAT, at, label(row));
  }

  private long rowBytes() {
    return (long) width * Float.BYTES;
  }

  private void grow() {
    capacity *= 2;
    Arena larger = Arena.ofShared();
    MemorySegment moreHidden = larger.allocate(capacity * rowBytes(), 64);
    MemorySegment moreLabels = larger.allocate(capacity * Float.BYTES, 64);
    moreHidden.asSlice(0, hidden.byteSize()).copyFrom(hidden);
    moreLabels.asSlice(0, labels.byteSize()).copyFrom(labels);
    arena.close();
    arena = larger;
    hidden = moreHidden;
    labels = moreLabels;
  }

  @Override
  public void close() {
    arena.close();
  }
}

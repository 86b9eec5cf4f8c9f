package dev.sylvester.runner.format;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Matrices of floats, row-major. */
final class Matrices {
  private Matrices() {}

  static MemorySegment transposed(MemorySegment from, long rows, long columns, Arena arena) {
    MemorySegment to = arena.allocate(rows * columns * Float.BYTES, 64);
    for (long i = 0; i < rows; i++) {
      for (long j = 0; j < columns; j++) {
        to.setAtIndex(JAVA_FLOAT, j * rows + i, from.getAtIndex(JAVA_FLOAT, i * columns + j));
      }
    }
    return to;
  }

  /** One behind the other. */
  static MemorySegment joined(MemorySegment first, MemorySegment second, Arena arena) {
    MemorySegment both = arena.allocate(first.byteSize() + second.byteSize(), 64);
    both.copyFrom(first);
    both.asSlice(first.byteSize()).copyFrom(second);
    return both;
  }
}

package dev.sylvester.kernels;

import dev.sylvester.kernels.internal.Extents;
import dev.sylvester.kernels.internal.NativeMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Checks that no native call reads or writes outside its segments. Meaning of values and shapes is
 * checked by the native function; here only what it cannot know: where a segment ends and whether
 * it may be written.
 */
final class Args {
  private Args() {}

  /** The segment is native and holds at least {@code bytes} bytes. */
  static void input(String function, String name, MemorySegment segment, long bytes) {
    if (!present(function, name, segment).isNative()) {
      throw new SylvesterException(
          Status.BAD_VALUE,
          function + ": " + name + " is on the Java heap; allocate it in an Arena");
    }
    readable(function, name, segment, bytes);
  }

  /** The segment, native or on the heap, holds at least {@code bytes} bytes. */
  static void readable(String function, String name, MemorySegment segment, long bytes) {
    if (present(function, name, segment).byteSize() < bytes) {
      throw new SylvesterException(
          Status.BAD_SHAPE,
          function
              + ": "
              + name
              + " has "
              + segment.byteSize()
              + " bytes, the shape needs "
              + bytes);
    }
  }

  /** As {@link #input}, and may be written. */
  static void output(String function, String name, MemorySegment segment, long bytes) {
    input(function, name, segment, bytes);
    writable(function, name, segment, bytes);
  }

  /** As {@link #readable}, and may be written. */
  static void writable(String function, String name, MemorySegment segment, long bytes) {
    readable(function, name, segment, bytes);
    if (segment.isReadOnly()) {
      throw new SylvesterException(Status.BAD_VALUE, function + ": " + name + " is read-only");
    }
  }

  /** Bytes of rows of cols floats, from the first to one past the last. */
  static long floats(String function, String name, long rows, long cols, long stride) {
    return extent(function, name, rows, cols, stride, Float.BYTES);
  }

  /** Bytes of rows of cols elements, from the first to one past the last. */
  static long extent(
      String function, String name, long rows, long cols, long stride, long elementBytes) {
    return Extents.bytes(function, name, rows, cols, stride, elementBytes);
  }

  /** a * b of sizes that are not negative. */
  static long product(String function, String name, long a, long b) {
    if (a < 0 || b < 0 || Math.multiplyHigh(a, b) != 0 || a * b < 0) {
      throw new SylvesterException(
          Status.BAD_SHAPE, function + ": " + name + " has impossible shape: " + a + " x " + b);
    }
    return a * b;
  }

  /** The segment, or NULL for an argument that may be missing. */
  static MemorySegment optional(String function, String name, MemorySegment segment, long bytes) {
    if (segment == null) {
      return MemorySegment.NULL;
    }
    input(function, name, segment, bytes);
    return segment;
  }

  /** A segment of count elements, or NULL for none. */
  static MemorySegment counted(
      String function, String name, MemorySegment segment, long count, long elementBytes) {
    if (segment == null && count == 0) {
      return MemorySegment.NULL;
    }
    input(function, name, segment, product(function, name, count, elementBytes));
    return segment;
  }

  /** The value, which is not null. */
  static <T> T present(String function, String name, T value) {
    if (value == null) {
      throw new SylvesterException(Status.NULL_ARGUMENT, function + ": " + name + " is null");
    }
    return value;
  }

  /** Number of rows of cols floats in an array. */
  static long rows(String function, String name, float[] array, long cols) {
    if (present(function, name, array).length % cols != 0) {
      throw new SylvesterException(
          Status.BAD_SHAPE,
          function + ": " + name + " has " + array.length + " floats, not rows of " + cols);
    }
    return array.length / cols;
  }

  /** The arrays are equally long. */
  static void sameLength(String function, String aName, float[] a, String bName, float[] b) {
    if (present(function, bName, b).length != a.length) {
      throw new SylvesterException(
          Status.BAD_SHAPE,
          function + ": " + bName + " has " + b.length + " floats, " + aName + " " + a.length);
    }
  }

  /** The segment's bytes in native memory. */
  static MemorySegment copy(String function, MemorySegment segment, Arena arena) {
    return allocate(function, segment.byteSize(), arena).copyFrom(segment);
  }

  /** Zeroed, 64-byte aligned memory. */
  static MemorySegment allocate(String function, long bytes, Arena arena) {
    MemorySegment memory = NativeMemory.allocate(bytes, arena);
    if (memory == null) {
      throw new SylvesterException(
          Status.OUT_OF_MEMORY, function + ": the system has no " + bytes + " bytes");
    }
    return memory;
  }

  /** The value is in low..high. */
  static void range(String function, String name, long value, long low, long high) {
    if (value < low || value > high) {
      throw new SylvesterException(
          Status.BAD_VALUE,
          function + ": " + name + " is " + value + ", must be " + low + ".." + high);
    }
  }
}

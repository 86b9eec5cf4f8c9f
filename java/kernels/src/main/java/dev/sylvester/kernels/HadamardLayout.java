package dev.sylvester.kernels;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * Where the elements of Hadamard transforms lie in memory, and so how many bytes a call touches.
 * What a plan on any device checks its segments against.
 */
public final class HadamardLayout {
  private final long[] count;
  private final Side x;
  private final Side y;
  private final long transforms;
  private final long groups;
  private final long allX;
  private final long allY;

  /** One of x and y: strides of outer, middle, inner and element, in elements. */
  record Side(String name, long[] stride, long length, int elementBytes) {
    /** Where a transform starts. */
    long offset(long[] count, long transform) {
      long middle = transform / count[2];
      return (middle / count[1] * stride[0]
              + middle % count[1] * stride[1]
              + transform % count[2] * stride[2])
          * elementBytes;
    }

    long transformBytes() {
      return ((length - 1) * stride[3] + 1) * elementBytes;
    }

    /** The end of the last element of transforms first..last. */
    long end(long[] count, long first, long last) {
      // Offsets grow along each axis, so the farthest transform is the last one, or the end of a
      // whole round of the inner or the middle index.
      long farthest = offset(count, last);
      for (long period = count[2], i = 0; i < 2; period *= count[1], i++) {
        long ended = last / period * period - 1;
        if (ended >= first) {
          farthest = Math.max(farthest, offset(count, ended));
        }
      }
      return farthest + transformBytes();
    }

    /** The start of the first element of transforms first..last. */
    long start(long[] count, long first, long last) {
      long nearest = offset(count, first);
      for (long period = count[2], i = 0; i < 2; period *= count[1], i++) {
        long started = (first / period + 1) * period;
        if (started <= last) {
          nearest = Math.min(nearest, offset(count, started));
        }
      }
      return nearest;
    }

    /** Copies one transform between memory of this layout, and touches nothing else. */
    void copy(MemorySegment from, long fromOffset, MemorySegment to, long toOffset) {
      if (stride[3] == 1) {
        MemorySegment.copy(from, fromOffset, to, toOffset, length * elementBytes);
        return;
      }
      long step = stride[3] * elementBytes;
      for (long e = 0; e < length; e++) {
        MemorySegment.copy(from, fromOffset + e * step, to, toOffset + e * step, elementBytes);
      }
    }

    private void check(long[] count) {
      try {
        long last = Math.multiplyExact(length - 1, stride[3]);
        for (int i = 0; i < count.length; i++) {
          last = Math.addExact(last, Math.multiplyExact(count[i] - 1, stride[i]));
        }
        Math.multiplyExact(Math.addExact(last, 1), elementBytes);
      } catch (ArithmeticException e) {
        throw tooLarge(name + " strides", stride);
      }
    }
  }

  HadamardLayout(long[] count, Side x, Side y, long groups) {
    this.count = count;
    this.x = x;
    this.y = y;
    this.groups = groups;
    try {
      transforms = Math.multiplyExact(Math.multiplyExact(count[0], count[1]), count[2]);
      Math.multiplyExact(transforms, groups * Float.BYTES);
    } catch (ArithmeticException e) {
      throw tooLarge("transforms", count);
    }
    x.check(count);
    y.check(count);
    allX = x.end(count, 0, transforms - 1);
    allY = y.end(count, 0, transforms - 1);
  }

  /** Strides of transforms that follow each other. */
  static long[] contiguous(long[] count, long length) {
    try {
      long middle = Math.multiplyExact(count[2], length);
      return new long[] {Math.multiplyExact(count[1], middle), middle, length, 1};
    } catch (ArithmeticException e) {
      throw tooLarge("transforms", count);
    }
  }

  private static SylvesterException tooLarge(String name, long[] values) {
    return new SylvesterException(
        Status.BAD_SHAPE,
        "HadamardOptions: "
            + name
            + " are "
            + Arrays.toString(values)
            + ", more than memory can hold");
  }

  /**
   * Number of transforms.
   *
   * @return outer x middle x inner
   */
  public long transforms() {
    return transforms;
  }

  /**
   * Size of x.
   *
   * @return bytes from transform 0 to the end of the last element
   */
  public long xBytes() {
    return allX;
  }

  /**
   * Size of y.
   *
   * @return bytes from transform 0 to the end of the last element or code
   */
  public long yBytes() {
    return allY;
  }

  /**
   * Number of scales, and of zeros.
   *
   * @return transforms x groups
   */
  public long scales() {
    return transforms * groups;
  }

  /**
   * What a call needs of x.
   *
   * @param first transform of the call
   * @param number of transforms of the call
   * @return bytes from transform 0 to the end of the last element; 0 for an empty call
   */
  public long xBytes(long first, long number) {
    return isAll(first, number) ? allX : bytes(x, first, number);
  }

  /**
   * What a call needs of y.
   *
   * @param first transform of the call
   * @param number of transforms of the call
   * @return bytes from transform 0 to the end of the last element or code; 0 for an empty call
   */
  public long yBytes(long first, long number) {
    return isAll(first, number) ? allY : bytes(y, first, number);
  }

  /**
   * What a call needs of the scales, and of the zeros.
   *
   * @param first transform of the call
   * @param number of transforms of the call
   * @return bytes from transform 0 to the end of the last scale; 0 for an empty call
   */
  public long scaleBytes(long first, long number) {
    checkCall(first, number);
    return number == 0 ? 0 : (first + number) * groups * Float.BYTES;
  }

  private boolean isAll(long first, long number) {
    return first == 0 && number == transforms;
  }

  private long bytes(Side side, long first, long number) {
    checkCall(first, number);
    return number == 0 ? 0 : side.end(count, first, first + number - 1);
  }

  private void checkCall(long first, long number) {
    Args.range("Hadamard", "first", first, 0, transforms);
    Args.range("Hadamard", "count", number, 0, transforms - first);
  }

  Side x() {
    return x;
  }

  Side y() {
    return y;
  }

  /** Outer, middle, inner. */
  long[] count() {
    return count;
  }

  /** Where a transform starts in x or y. */
  long offset(Side side, long transform) {
    return side.offset(count, transform);
  }

  /** What transforms touch of x or y, one of them at least. */
  MemorySegment touched(Side side, MemorySegment segment, long first, long number) {
    long start = side.start(count, first, first + number - 1);
    return segment.asSlice(start, side.end(count, first, first + number - 1) - start);
  }
}

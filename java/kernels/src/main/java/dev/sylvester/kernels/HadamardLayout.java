package dev.sylvester.kernels;

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

  /** One of x and y: strides of outer, middle, inner and element, in elements. */
  private record Side(long[] stride, long length, long elementBytes) {
    long offset(long[] count, long transform) {
      long middle = transform / count[2];
      return middle / count[1] * stride[0]
          + middle % count[1] * stride[1]
          + transform % count[2] * stride[2];
    }
  }

  HadamardLayout(
      long[] count,
      long[] xStride,
      long xLength,
      long xElementBytes,
      long[] yStride,
      long yLength,
      long yElementBytes,
      long groups) {
    this.count = count;
    this.x = new Side(xStride, xLength, xElementBytes);
    this.y = new Side(yStride, yLength, yElementBytes);
    this.groups = groups;
    try {
      transforms = Math.multiplyExact(Math.multiplyExact(count[0], count[1]), count[2]);
      Math.multiplyExact(transforms, groups * Float.BYTES);
    } catch (ArithmeticException e) {
      throw tooLarge("transforms", count);
    }
    checkExtent("x", x);
    checkExtent("y", y);
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

  private void checkExtent(String name, Side side) {
    try {
      long last = Math.multiplyExact(side.length - 1, side.stride[3]);
      for (int i = 0; i < count.length; i++) {
        last = Math.addExact(last, Math.multiplyExact(count[i] - 1, side.stride[i]));
      }
      Math.multiplyExact(Math.addExact(last, 1), side.elementBytes);
    } catch (ArithmeticException e) {
      throw tooLarge(name + " strides", side.stride);
    }
  }

  private static SylvesterException tooLarge(String name, long[] values) {
    return new SylvesterException(
        Status.BAD_SHAPE,
        "HadamardOptions: "
            + name
            + " are "
            + Arrays.toString(values)
            + ", more than memory can be");
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
   * Size of x, to allocate it.
   *
   * @return bytes from transform 0 to the end of the last element
   */
  public long xBytes() {
    return xBytes(0, transforms);
  }

  /**
   * Size of y, to allocate it.
   *
   * @return bytes from transform 0 to the end of the last element or code
   */
  public long yBytes() {
    return yBytes(0, transforms);
  }

  /**
   * Number of scales (and of zeros), to allocate them.
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
    return bytes("x", x, first, number);
  }

  /**
   * What a call needs of y.
   *
   * @param first transform of the call
   * @param number of transforms of the call
   * @return bytes from transform 0 to the end of the last element or code; 0 for an empty call
   */
  public long yBytes(long first, long number) {
    return bytes("y", y, first, number);
  }

  /**
   * What a call needs of the scales (and of the zeros).
   *
   * @param first transform of the call
   * @param number of transforms of the call
   * @return bytes from transform 0 to the end of the last scale
   */
  public long scaleBytes(long first, long number) {
    checkRange(first, number);
    return (first + number) * groups * Float.BYTES;
  }

  /**
   * Where a transform starts in x.
   *
   * @param transform its index
   * @return bytes from transform 0
   */
  public long xOffset(long transform) {
    return x.offset(count, transform) * x.elementBytes;
  }

  /**
   * Where a transform starts in y.
   *
   * @param transform its index
   * @return bytes from transform 0
   */
  public long yOffset(long transform) {
    return y.offset(count, transform) * y.elementBytes;
  }

  long xStride(int axis) {
    return x.stride[axis];
  }

  long yStride(int axis) {
    return y.stride[axis];
  }

  private void checkRange(long first, long number) {
    Args.range("Hadamard", "first", first, 0, transforms);
    Args.range("Hadamard", "count", number, 0, transforms - first);
  }

  private long bytes(String name, Side side, long first, long number) {
    checkRange(first, number);
    if (number == 0) {
      return 0;
    }
    // Offsets grow along each axis, so the farthest transform is the last one of the call, of its
    // middle index but one, or of its outer index but one.
    long last = first + number - 1;
    long farthest = side.offset(count, last);
    long endOfMiddle = last / count[2] * count[2] - 1;
    if (endOfMiddle >= first) {
      farthest = Math.max(farthest, side.offset(count, endOfMiddle));
    }
    long endOfOuter = last / (count[1] * count[2]) * (count[1] * count[2]) - 1;
    if (endOfOuter >= first) {
      farthest = Math.max(farthest, side.offset(count, endOfOuter));
    }
    return (farthest + (side.length - 1) * side.stride[3] + 1) * side.elementBytes;
  }
}

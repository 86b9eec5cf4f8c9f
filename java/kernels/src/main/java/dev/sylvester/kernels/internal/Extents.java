package dev.sylvester.kernels.internal;

import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;

/** How far rows reach. */
public final class Extents {
  private Extents() {}

  /**
   * Bytes of rows, from the first to one past the last.
   *
   * @param function that the message names
   * @param name of the rows in it
   * @param rows number of rows
   * @param cols elements of a row
   * @param stride elements from row to row
   * @param elementBytes size of an element
   * @return the number of bytes
   * @throws SylvesterException (BAD_SHAPE) if a number is negative or no memory is as large
   */
  public static long bytes(
      String function, String name, long rows, long cols, long stride, long elementBytes) {
    if (rows < 0 || cols < 0 || stride < 0) {
      throw impossible(function, name, rows, cols, stride);
    }
    if (rows == 0) {
      return 0;
    }
    long last = (rows - 1) * stride;
    long elements = last + cols;
    if (Math.multiplyHigh(rows - 1, stride) != 0
        || last < 0
        || elements < 0
        || elements > Long.MAX_VALUE / elementBytes) {
      throw impossible(function, name, rows, cols, stride);
    }
    return elements * elementBytes;
  }

  private static SylvesterException impossible(
      String function, String name, long rows, long cols, long stride) {
    return new SylvesterException(
        Status.BAD_SHAPE,
        function
            + ": "
            + name
            + " has impossible shape: "
            + rows
            + " rows of "
            + cols
            + ", stride "
            + stride);
  }
}

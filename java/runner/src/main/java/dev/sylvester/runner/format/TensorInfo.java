package dev.sylvester.runner.format;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * A tensor as a header describes it.
 *
 * @param shape outermost first
 * @param offset of the first byte, from the start of the file
 */
record TensorInfo(String name, TensorType type, long[] shape, long offset, long bytes) {

  /** Bytes of a tensor, or -1 when they do not fit a long or rows are not whole blocks. */
  static long bytes(TensorType type, long[] shape) {
    long columns = shape.length == 0 ? 1 : shape[shape.length - 1];
    if (columns % type.blockSize() != 0) {
      return -1;
    }
    try {
      long elements = 1;
      for (long size : shape) {
        elements = Math.multiplyExact(elements, size);
      }
      return Math.multiplyExact(elements / type.blockSize(), (long) type.blockBytes());
    } catch (ArithmeticException overflow) {
      return -1;
    }
  }

  long end() {
    return offset + bytes;
  }

  TensorInfo movedBy(long start) {
    return new TensorInfo(name, type, shape, start + offset, bytes);
  }

  Tensor tensor(Path file, String canonicalName, MemorySegment data) {
    return new Tensor(file, canonicalName, name, type, shape, data.asSlice(offset, bytes));
  }

  /** The tensors by offset, after a check that no two share a byte. */
  static List<TensorInfo> sortedWithoutOverlap(Path file, List<TensorInfo> tensors) {
    TensorInfo[] sorted = tensors.toArray(TensorInfo[]::new);
    Arrays.sort(
        sorted, Comparator.comparingLong(TensorInfo::offset).thenComparingLong(TensorInfo::end));
    for (int i = 1; i < sorted.length; i++) {
      TensorInfo before = sorted[i - 1];
      TensorInfo tensor = sorted[i];
      if (tensor.offset < before.end()) {
        throw new ModelFormatException(
            file,
            "tensor "
                + ModelFormatException.quote(tensor.name)
                + " at byte "
                + tensor.offset
                + " overlaps tensor "
                + ModelFormatException.quote(before.name)
                + ", which ends at byte "
                + before.end());
      }
    }
    return List.of(sorted);
  }
}

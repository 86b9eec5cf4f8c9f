package dev.sylvester.runner.format;

import java.lang.foreign.MemorySegment;
import java.util.function.Supplier;

/**
 * A tensor that is to be written as it is.
 *
 * @param type how the elements are stored, one that the file's format has
 * @param shape sizes, outermost first
 * @param data gives the bytes, row-major, once and when their turn comes; what it gave may change
 *     when the next tensor's are asked for
 */
public record StoredTensor(TensorType type, long[] shape, Supplier<MemorySegment> data) {
  long bytes() {
    return TensorInfo.bytes(type, shape);
  }
}

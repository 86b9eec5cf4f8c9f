package dev.sylvester.runner.format;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Collectors;

/**
 * One tensor of a model file, mapped and read-only; valid until its {@link ModelFile} is closed.
 *
 * @param file the file that holds it
 * @param name the canonical name, as transformers spells it
 * @param nameInFile the name in the file
 * @param type how the elements are stored
 * @param shape sizes, outermost first: a matrix is [rows, columns]
 * @param data the bytes, row-major; not aligned
 */
public record Tensor(
    Path file, String name, String nameInFile, TensorType type, long[] shape, MemorySegment data) {

  /** The number of elements. */
  public long elements() {
    return Arrays.stream(shape).reduce(1, (a, b) -> a * b);
  }

  /**
   * The kernels' element type.
   *
   * @throws ModelFormatException when the kernels cannot compute with the stored type
   */
  public DType dtype() {
    return type.kernelType().orElseThrow(() -> error("type " + type + ", which is not supported"));
  }

  /** Checks the shape and that the kernels know the type. */
  Tensor require(long... expected) {
    if (!Arrays.equals(shape, expected)) {
      throw error("shape " + shapeText(shape) + ", expected " + shapeText(expected));
    }
    dtype();
    return this;
  }

  Tensor requireType(TensorType expected) {
    if (type != expected) {
      throw error("type " + type + ", expected " + expected);
    }
    return this;
  }

  /** The elements as floats, all of them finite. */
  MemorySegment finiteFloats(Arena owner) {
    MemorySegment floats = owner.allocate(elements() * Float.BYTES, 64);
    dtype().toFloat(data, elements(), floats);
    for (long i = 0; i < elements(); i++) {
      float value = floats.getAtIndex(JAVA_FLOAT, i);
      if (!Float.isFinite(value)) {
        throw error("the value " + value);
      }
    }
    return floats;
  }

  ModelFormatException error(String has) {
    return new ModelFormatException(
        file, "tensor " + ModelFormatException.quote(nameInFile) + " has " + has);
  }

  static String shapeText(long[] shape) {
    return Arrays.stream(shape)
        .mapToObj(Long::toString)
        .collect(Collectors.joining(", ", "[", "]"));
  }

  @Override
  public String toString() {
    return name + " " + type + " " + shapeText(shape);
  }
}

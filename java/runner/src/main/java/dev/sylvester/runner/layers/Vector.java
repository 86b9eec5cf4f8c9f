package dev.sylvester.runner.layers;

import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Small tensors, as floats whatever the file's type. */
final class Vector {
  private Vector() {}

  static MemorySegment load(ModelFile file, String name, long size, Arena arena) {
    MemorySegment values = arena.allocate(ValueLayout.JAVA_FLOAT, size);
    read(file.require(name, size), values);
    return values;
  }

  static void read(Tensor tensor, MemorySegment target) {
    tensor.dtype().toFloat(tensor.data(), tensor.elements(), target);
  }
}

package dev.sylvester.runner;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.runner.format.SafetensorsFile;
import dev.sylvester.runner.format.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Checkpoints with known changes of their layers. */
public final class Tuned {
  private Tuned() {}

  /** What is added to element (row, column). */
  public interface Change {
    /** The number. */
    double at(int row, int column);
  }

  /** One Kronecker product of random numbers, V of p x q. */
  public static Change kronecker(long seed, int m, int n, int p, int q) {
    double[] u = new Random(seed).doubles((long) m * n, -0.3, 0.3).toArray();
    double[] v = new Random(seed + 1).doubles((long) p * q, -0.3, 0.3).toArray();
    return (row, column) -> u[row / p * n + column / q] * v[row % p * q + column % q];
  }

  /** Writes the model of a folder, some of its layers changed, into another. */
  public static Path write(Path model, Path folder, Map<String, Change> changes)
      throws IOException {
    for (String name : List.of("config.json", "tokenizer.json", "tokenizer_config.json")) {
      Files.copy(model.resolve(name), folder.resolve(name));
    }
    Map<String, SafetensorsFile.Floats> tensors = new LinkedHashMap<>();
    try (Arena arena = Arena.ofShared()) {
      for (Tensor tensor :
          SafetensorsFile.open(model.resolve("model.safetensors"), arena).tensors().values()) {
        MemorySegment copy = arena.allocate(JAVA_FLOAT, tensor.elements());
        tensor.dtype().toFloat(tensor.data(), tensor.elements(), copy);
        Change change = changes.get(tensor.name().replace(".weight", ""));
        if (change != null) {
          int columns = (int) tensor.shape()[1];
          for (int i = 0; i < tensor.elements(); i++) {
            double value = copy.getAtIndex(JAVA_FLOAT, i) + change.at(i / columns, i % columns);
            copy.setAtIndex(JAVA_FLOAT, i, (float) value);
          }
        }
        tensors.put(tensor.name(), new SafetensorsFile.Floats(tensor.shape(), copy));
      }
      SafetensorsFile.write(folder.resolve("model.safetensors"), tensors, Map.of());
    }
    return folder;
  }
}

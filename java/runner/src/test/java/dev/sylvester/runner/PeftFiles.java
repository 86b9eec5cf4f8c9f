package dev.sylvester.runner;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.runner.format.SafetensorsFile;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;

/** Adapters as PEFT saves them, with random numbers. */
final class PeftFiles {
  private PeftFiles() {}

  /** Normally distributed. */
  static SafetensorsFile.Floats normal(
      Arena arena, Random random, double mean, double spread, long... shape) {
    long count = Arrays.stream(shape).reduce(1, (a, b) -> a * b);
    MemorySegment data = arena.allocate(JAVA_FLOAT, count);
    for (long i = 0; i < count; i++) {
      data.setAtIndex(JAVA_FLOAT, i, (float) (mean + spread * random.nextGaussian()));
    }
    return new SafetensorsFile.Floats(shape, data);
  }

  /**
   * Writes a new folder.
   *
   * @return the folder
   */
  static Path write(Path made, String config, Map<String, SafetensorsFile.Floats> tensors)
      throws IOException {
    Files.createDirectory(made);
    Files.writeString(made.resolve("adapter_config.json"), config);
    SafetensorsFile.write(made.resolve("adapter_model.safetensors"), tensors, Map.of());
    return made;
  }
}

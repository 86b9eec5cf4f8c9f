package dev.sylvester.runner.adapt;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE_UNALIGNED;

import dev.sylvester.kernels.AdamW;
import dev.sylvester.runner.format.ModelFormatException;
import dev.sylvester.runner.format.SafetensorsFile;
import dev.sylvester.runner.format.StoredTensor;
import dev.sylvester.runner.format.Tensor;
import dev.sylvester.runner.format.TensorType;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A training between two steps, as safetensors: parameters, moments, and the steps so far. */
final class TrainingCheckpoint {
  private static final String FORMAT = "sylvester-training";
  private static final String VERSION = "1";
  private static final String PARAMETERS = "parameters";
  private static final String MEAN = "mean";
  private static final String SQUARE = "square";
  private static final String HISTORY = "history";
  private static final int COLUMNS = 2;

  private TrainingCheckpoint() {}

  static void write(
      Path path,
      String fingerprint,
      MemorySegment parameters,
      AdamW optimizer,
      List<AdapterTrainer.Step> steps)
      throws IOException {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment history = arena.allocate((long) steps.size() * COLUMNS * Double.BYTES, 64);
      for (int i = 0; i < steps.size(); i++) {
        history.setAtIndex(JAVA_DOUBLE_UNALIGNED, COLUMNS * i, steps.get(i).loss());
        history.setAtIndex(JAVA_DOUBLE_UNALIGNED, COLUMNS * i + 1L, steps.get(i).gradientNorm());
      }
      Map<String, StoredTensor> tensors = new LinkedHashMap<>();
      long[] shape = {steps.size(), COLUMNS};
      tensors.put(HISTORY, new StoredTensor(TensorType.F64, shape, () -> history));
      tensors.put(PARAMETERS, floats(parameters));
      tensors.put(MEAN, floats(optimizer.mean()));
      tensors.put(SQUARE, floats(optimizer.square()));
      SafetensorsFile.writeStored(
          path, tensors, Map.of("format", FORMAT, "version", VERSION, "fingerprint", fingerprint));
    }
  }

  private static StoredTensor floats(MemorySegment data) {
    long[] shape = {data.byteSize() / Float.BYTES};
    return new StoredTensor(TensorType.F32, shape, () -> data);
  }

  static List<AdapterTrainer.Step> read(
      Path path, String fingerprint, MemorySegment parameters, AdamW optimizer) {
    try (Arena arena = Arena.ofShared()) {
      SafetensorsFile file = SafetensorsFile.open(path, arena);
      if (!FORMAT.equals(file.metadata().get("format"))
          || !VERSION.equals(file.metadata().get("version"))) {
        throw new ModelFormatException(path, "is no checkpoint of a training, version " + VERSION);
      }
      if (!fingerprint.equals(file.metadata().get("fingerprint"))) {
        throw new IllegalArgumentException(
            "%s is the checkpoint of another training: model, examples or options differ"
                .formatted(path));
      }
      // All are checked before the first is copied.
      long[] count = {parameters.byteSize() / Float.BYTES};
      Tensor[] tensors = {
        tensor(path, file, PARAMETERS, TensorType.F32, count),
        tensor(path, file, MEAN, TensorType.F32, count),
        tensor(path, file, SQUARE, TensorType.F32, count),
      };
      List<AdapterTrainer.Step> steps = steps(path, file);
      parameters.copyFrom(tensors[0].data());
      optimizer.mean().copyFrom(tensors[1].data());
      optimizer.square().copyFrom(tensors[2].data());
      optimizer.resume(steps.size());
      return steps;
    }
  }

  private static List<AdapterTrainer.Step> steps(Path path, SafetensorsFile file) {
    Tensor history = file.tensors().get(HISTORY);
    long rows = history == null || history.shape().length == 0 ? 0 : history.shape()[0];
    MemorySegment data = tensor(path, file, HISTORY, TensorType.F64, rows, COLUMNS).data();
    List<AdapterTrainer.Step> steps = new ArrayList<>();
    for (long i = 0; i < rows; i++) {
      steps.add(
          new AdapterTrainer.Step(
              i + 1,
              data.getAtIndex(JAVA_DOUBLE_UNALIGNED, COLUMNS * i),
              data.getAtIndex(JAVA_DOUBLE_UNALIGNED, COLUMNS * i + 1)));
    }
    return steps;
  }

  private static Tensor tensor(
      Path path, SafetensorsFile file, String name, TensorType type, long... shape) {
    Tensor tensor = file.tensors().get(name);
    if (tensor == null || tensor.type() != type || !Arrays.equals(tensor.shape(), shape)) {
      throw new ModelFormatException(
          path,
          "lacks tensor %s of type %s and shape %s".formatted(name, type, Arrays.toString(shape)));
    }
    return tensor;
  }
}

package dev.sylvester.runner.adapt;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.Adapter;
import dev.sylvester.runner.format.AdapterFolder;
import dev.sylvester.runner.format.GgufFile;
import dev.sylvester.runner.format.LayerChange;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.NewFolder;
import dev.sylvester.runner.format.SafetensorsFile;
import dev.sylvester.runner.format.SafetensorsFolder;
import dev.sylvester.runner.format.StoredTensor;
import dev.sylvester.runner.format.Tensor;
import dev.sylvester.runner.format.TensorType;
import dev.sylvester.runner.hub.Progress;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/** Models with adapters added to their weights. The model that is read stays as it is. */
public final class Merge {
  private static final String WEIGHT = ".weight";
  private static final List<String> BESIDE =
      List.of(
          "config.json",
          "generation_config.json",
          "tokenizer.json",
          "tokenizer_config.json",
          "tokenizer.model",
          "special_tokens_map.json",
          "added_tokens.json",
          "vocab.json",
          "merges.txt",
          "chat_template.jinja",
          "chat_template.json");

  private record Change(AdapterFolder adapter, String module, double scale) {}

  private Merge() {}

  /**
   * Writes a model with adapters merged, as a whole or not at all: of a safetensors model a new
   * folder, of a GGUF file a new file with the same metadata. What does not change has the same
   * bytes. Changed weights keep their type where that is F32, F16 or BF16 and become F16 otherwise;
   * sums are made in floats and rounded once more for types of 16 bits.
   *
   * @param target that does not exist yet
   * @param progress told about changed tensors
   * @return how many tensors changed
   * @throws IllegalArgumentException when an adapter does not fit the model, or a sum is beyond its
   *     type
   * @throws IOException when it cannot be written
   */
  public static int write(
      ModelFile model, List<Adapter> adapters, Path target, ThreadPool pool, Progress progress)
      throws IOException {
    try (Arena arena = Arena.ofShared()) {
      Map<String, List<Change>> changes = changes(model, adapters, arena);
      Map<String, StoredTensor> merged = merged(model, changes, arena, pool, progress);
      switch (model) {
        case GgufFile file -> file.writeChanged(target, merged);
        case SafetensorsFolder folder -> writeFolder(folder, merged, target);
      }
      return changes.size();
    }
  }

  private static void writeFolder(
      SafetensorsFolder model, Map<String, StoredTensor> merged, Path folder) throws IOException {
    Map<String, StoredTensor> tensors = new LinkedHashMap<>();
    for (Tensor tensor : model.tensors()) {
      StoredTensor same = new StoredTensor(tensor.type(), tensor.shape(), tensor::data);
      tensors.put(tensor.nameInFile(), merged.getOrDefault(tensor.name(), same));
    }
    NewFolder.create(
        folder,
        made -> {
          for (String name : BESIDE) {
            if (Files.exists(model.path().resolve(name))) {
              Files.copy(model.path().resolve(name), made.resolve(name));
            }
          }
          Path file = made.resolve("model.safetensors");
          SafetensorsFile.writeStored(file, tensors, Map.of("format", "pt"));
        });
  }

  /** By the name of the tensor. */
  private static Map<String, List<Change>> changes(
      ModelFile model, List<Adapter> adapters, Arena arena) {
    Map<String, List<Change>> changes = new LinkedHashMap<>();
    for (Adapter adapter : adapters) {
      AdapterFolder folder = AdapterFolder.read(adapter.folder(), arena);
      folder
          .modules()
          .forEach(
              (name, module) -> {
                requireFit(model, folder, name, module.embedding());
                changes
                    .computeIfAbsent(name + WEIGHT, key -> new ArrayList<>())
                    .add(new Change(folder, name, adapter.scale()));
              });
    }
    return changes;
  }

  private static void requireFit(
      ModelFile model, AdapterFolder adapter, String module, boolean embedding) {
    if (embedding && model.config().tiedEmbeddings()) {
      throw adapter.error(
          module,
          "the embedding, whose weights are the model's head as well: merging would change it");
    }
    Tensor tensor =
        model
            .find(module + WEIGHT)
            .filter(found -> found.shape().length == 2)
            .filter(found -> module.equals(AdapterFolder.EMBEDDING) == embedding)
            .orElseThrow(() -> adapter.lacksLayer(module));
    adapter.requireFit(module, tensor.shape()[0], tensor.shape()[1]);
    tensor.dtype();
  }

  /** Changed tensors by name, each made when it is written, all in the same memory. */
  private static Map<String, StoredTensor> merged(
      ModelFile model,
      Map<String, List<Change>> changes,
      Arena arena,
      ThreadPool pool,
      Progress progress) {
    Map<String, StoredTensor> merged = new HashMap<>();
    long most = 0;
    for (String name : changes.keySet()) {
      Tensor tensor = model.find(name).orElseThrow();
      most = Math.max(most, tensor.elements() * typeOf(tensor).blockBytes());
    }
    MemorySegment memory = arena.allocate(most, 64);
    AtomicInteger done = new AtomicInteger();
    changes.forEach(
        (name, here) -> {
          Tensor tensor = model.find(name).orElseThrow();
          merged.put(
              name,
              new StoredTensor(
                  typeOf(tensor),
                  tensor.shape(),
                  () -> {
                    MemorySegment data = merge(model, tensor, here, memory, pool);
                    progress.update(done.incrementAndGet(), changes.size());
                    return data;
                  }));
        });
    return merged;
  }

  private static TensorType typeOf(Tensor tensor) {
    return switch (tensor.type()) {
      case F32, F16, BF16 -> tensor.type();
      default -> TensorType.F16;
    };
  }

  /** The bytes of the changed tensor, at the beginning of memory. */
  private static MemorySegment merge(
      ModelFile model, Tensor tensor, List<Change> changes, MemorySegment memory, ThreadPool pool) {
    String layer = changes.getFirst().module;
    long out = tensor.shape()[0];
    long in = tensor.shape()[1];
    DType type = typeOf(tensor).kernelType().orElseThrow();
    MemorySegment result = memory.asSlice(0, out * in * type.blockBytes());
    try (Arena scratch = Arena.ofShared()) {
      MemorySegment before = model.floats(layer, out, in, scratch);
      MemorySegment sum = scratch.allocate(before.byteSize(), 64).copyFrom(before);
      for (Change change : changes) {
        LayerChange.of(change.adapter, layer, before, scratch, pool)
            .addTo(change.scale, before, sum, pool);
      }
      sum = model.inFileOrder(layer, sum, out, scratch);
      if (type == DType.F32) {
        result.copyFrom(sum);
      } else {
        type.fromFloat(sum, out * in, result);
        type.toFloat(result, out * in, sum);
      }
      for (long i = 0; i < out * in; i++) {
        if (!Float.isFinite(sum.getAtIndex(JAVA_FLOAT, i))) {
          throw new IllegalArgumentException(
              "tensor %s: element %d with its change is no finite %s"
                  .formatted(tensor.name(), i, typeOf(tensor)));
        }
      }
    }
    return result;
  }
}

package dev.sylvester.runner.adapt;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.Adapter;
import dev.sylvester.runner.format.AdapterFolder;
import dev.sylvester.runner.format.LayerChange;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.NewFolder;
import dev.sylvester.runner.format.SafetensorsFile;
import dev.sylvester.runner.format.SafetensorsFolder;
import dev.sylvester.runner.format.Tensor;
import dev.sylvester.runner.hub.Progress;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

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
   * Writes a model with adapters merged, every tensor of the type that it had, into a new folder:
   * as a whole or not at all. Sums are made in floats and rounded once more for types of 16 bits.
   *
   * @param folder that does not exist yet
   * @param progress told about tensors
   * @return how many tensors changed
   * @throws IllegalArgumentException when the model is no safetensors model, an adapter does not
   *     fit it, or a sum is beyond its type
   * @throws IOException when it cannot be written
   */
  public static int write(
      ModelFile model, List<Adapter> adapters, Path folder, ThreadPool pool, Progress progress)
      throws IOException {
    if (!(model instanceof SafetensorsFolder)) {
      throw new IllegalArgumentException(
          "%s is no safetensors model: adapters are merged into those only"
              .formatted(model.path()));
    }
    try (Arena arena = Arena.ofShared()) {
      Map<String, List<Change>> changes = changes(model, adapters, arena);
      Map<String, SafetensorsFile.Stored> tensors = new LinkedHashMap<>();
      for (Tensor tensor : model.tensors()) {
        List<Change> here = changes.get(tensor.name());
        MemorySegment data = here == null ? tensor.data() : merged(tensor, here, arena, pool);
        tensors.put(
            tensor.nameInFile(), new SafetensorsFile.Stored(tensor.type(), tensor.shape(), data));
        progress.update(tensors.size(), model.tensors().size());
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
      return changes.size();
    }
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
                requireFit(model, folder, name);
                changes
                    .computeIfAbsent(name + WEIGHT, key -> new ArrayList<>())
                    .add(new Change(folder, name, adapter.scale()));
              });
    }
    return changes;
  }

  private static void requireFit(ModelFile model, AdapterFolder adapter, String module) {
    Tensor tensor =
        model
            .find(module + WEIGHT)
            .filter(found -> found.shape().length == 2)
            .orElseThrow(() -> adapter.lacksLayer(module));
    adapter.requireFit(module, tensor.shape()[0], tensor.shape()[1]);
    tensor.dtype();
  }

  private static MemorySegment merged(
      Tensor tensor, List<Change> changes, Arena arena, ThreadPool pool) {
    long count = tensor.elements();
    MemorySegment result = arena.allocate(tensor.data().byteSize(), 64);
    try (Arena scratch = Arena.ofShared()) {
      MemorySegment before = scratch.allocate(count * Float.BYTES, 64);
      tensor.dtype().toFloat(tensor.data(), count, before);
      MemorySegment sum = scratch.allocate(before.byteSize(), 64).copyFrom(before);
      for (Change change : changes) {
        LayerChange.of(change.adapter, change.module, before, scratch, pool)
            .addTo(change.scale, before, sum, pool);
      }
      if (tensor.dtype() == DType.F32) {
        result.copyFrom(sum);
      } else {
        tensor.dtype().fromFloat(sum, count, result);
        tensor.dtype().toFloat(result, count, sum);
      }
      for (long i = 0; i < count; i++) {
        if (!Float.isFinite(sum.getAtIndex(JAVA_FLOAT, i))) {
          throw new IllegalArgumentException(
              "tensor %s: element %d with its change is no finite %s"
                  .formatted(tensor.name(), i, tensor.type()));
        }
      }
    }
    return result;
  }
}

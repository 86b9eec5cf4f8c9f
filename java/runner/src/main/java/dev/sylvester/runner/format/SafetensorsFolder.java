package dev.sylvester.runner.format;

import com.fasterxml.jackson.databind.JsonNode;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/**
 * A folder as transformers writes it: config.json, tokenizer.json, and model.safetensors or its
 * shards with model.safetensors.index.json.
 */
public final class SafetensorsFolder implements ModelFile {
  private static final String SINGLE = "model.safetensors";
  private static final String INDEX = "model.safetensors.index.json";

  private final Path path;
  private final Arena arena;
  private final Map<String, Tensor> tensors = new LinkedHashMap<>();
  private final ModelConfig config;
  private long bytes;

  private SafetensorsFolder(Path path, Arena arena) {
    this.path = path;
    this.arena = arena;
    this.config = readConfig(path);
  }

  static SafetensorsFolder open(Path folder) {
    Path index = folder.resolve(INDEX);
    return Files.exists(folder.resolve(SINGLE)) || !Files.exists(index)
        ? open(folder, model -> model.add(folder.resolve(SINGLE)))
        : open(folder, model -> model.addShards(index));
  }

  /** One .safetensors file, config.json beside it. */
  static SafetensorsFolder openFile(Path file) {
    Path folder = file.toAbsolutePath().getParent();
    return open(folder, model -> model.add(file));
  }

  private static SafetensorsFolder open(Path folder, Consumer<SafetensorsFolder> add) {
    Arena arena = Arena.ofShared();
    try {
      SafetensorsFolder model = new SafetensorsFolder(folder, arena);
      add.accept(model);
      return model;
    } catch (Throwable e) {
      arena.close();
      throw e;
    }
  }

  private static ModelConfig readConfig(Path folder) {
    Path generation = folder.resolve("generation_config.json");
    return HuggingFaceConfig.read(
        JsonSettings.read(folder.resolve(ModelFiles.CONFIG)),
        Files.exists(generation) ? Optional.of(JsonSettings.read(generation)) : Optional.empty());
  }

  private void addShards(Path index) {
    JsonSettings settings = JsonSettings.read(index);
    JsonSettings map =
        settings.nested("weight_map").orElseThrow(() -> settings.missing("weight_map"));
    Set<String> shards = new LinkedHashSet<>();
    for (Map.Entry<String, JsonNode> entry : map.object().properties()) {
      shards.add(map.requireString(entry.getKey()));
    }
    for (String shard : shards) {
      add(shardFile(index, shard));
    }
    for (Map.Entry<String, JsonNode> entry : map.object().properties()) {
      Tensor tensor = tensors.get(LladaNames.canonical(entry.getKey()));
      String shard = entry.getValue().textValue();
      if (tensor == null || !tensor.file().getFileName().toString().equals(shard)) {
        throw new ModelFormatException(
            index,
            "tensor "
                + ModelFormatException.quote(entry.getKey())
                + " is not in "
                + ModelFormatException.quote(shard));
      }
    }
  }

  /** A plain file name beside the index: a downloaded index must not reach other folders. */
  private static Path shardFile(Path index, String shard) {
    try {
      Path name = Path.of(shard);
      if (shard.endsWith(".safetensors") && name.equals(name.getFileName())) {
        return index.resolveSibling(name);
      }
    } catch (InvalidPathException e) {
      // Reported below, as every other bad name.
    }
    throw new ModelFormatException(
        index,
        "shard " + ModelFormatException.quote(shard) + " is not the name of a .safetensors file");
  }

  private void add(Path file) {
    MemorySegment data = MappedFile.map(file, arena);
    bytes += data.byteSize();
    for (TensorInfo info : SafetensorsHeader.parse(file, data)) {
      String name = LladaNames.canonical(info.name());
      Tensor other = tensors.put(name, info.tensor(file, name, data));
      if (other != null) {
        throw new ModelFormatException(
            file,
            "tensor "
                + ModelFormatException.quote(info.name())
                + " is also in "
                + other.file().getFileName());
      }
    }
  }

  @Override
  public Path path() {
    return path;
  }

  @Override
  public ModelConfig config() {
    return config;
  }

  @Override
  public Optional<Tensor> find(String name) {
    return Optional.ofNullable(tensors.get(name));
  }

  @Override
  public Collection<Tensor> tensors() {
    return Collections.unmodifiableCollection(tensors.values());
  }

  @Override
  public long bytes() {
    return bytes;
  }

  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}

package dev.sylvester.runner.format;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** A model in one GGUF file, version 2 or 3, little-endian. */
public final class GgufFile implements ModelFile {
  private final Path path;
  private final Arena arena;
  private final long bytes;
  private final GgufMetadata metadata;
  private final Map<String, Tensor> tensors;
  private final ModelConfig config;

  private GgufFile(Path path, Arena arena) {
    MemorySegment data = MappedFile.map(path, arena);
    GgufHeader header = GgufHeader.parse(path, data);
    this.path = path;
    this.arena = arena;
    this.bytes = data.byteSize();
    this.metadata = header.metadata();
    this.tensors = tensors(path, header, data);
    this.config = GgufConfig.read(metadata, tensors);
  }

  static GgufFile open(Path path) {
    Arena arena = Arena.ofShared();
    try {
      return new GgufFile(path, arena);
    } catch (Throwable e) {
      arena.close();
      throw e;
    }
  }

  /** The tensors by canonical name. */
  static Map<String, Tensor> tensors(Path path, GgufHeader header, MemorySegment data) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (TensorInfo info : header.tensors()) {
      Tensor tensor = info.tensor(path, GgufNames.canonical(info.name()), data);
      Tensor other = tensors.put(tensor.name(), tensor);
      if (other != null) {
        throw new ModelFormatException(
            path,
            "tensors "
                + ModelFormatException.quote(other.nameInFile())
                + " and "
                + ModelFormatException.quote(tensor.nameInFile())
                + " are the same");
      }
    }
    return tensors;
  }

  /** The file's metadata, tokenizer included. */
  public GgufMetadata metadata() {
    return metadata;
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

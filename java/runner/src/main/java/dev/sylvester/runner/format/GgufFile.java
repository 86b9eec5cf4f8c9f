package dev.sylvester.runner.format;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** A model in one GGUF file, version 2 or 3, little-endian. */
public final class GgufFile implements ModelFile {
  private final Path path;
  private final Arena arena;
  private final MemorySegment data;
  private final GgufHeader header;
  private final Map<String, Tensor> tensors;
  private final ModelConfig config;

  private GgufFile(Path path, Arena arena) {
    this.path = path;
    this.arena = arena;
    this.data = MappedFile.map(path, arena);
    this.header = GgufHeader.parse(path, data);
    this.tensors = tensors(path, header, data);
    this.config = GgufConfig.read(header.metadata(), tensors);
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
    return header.metadata();
  }

  /**
   * Writes the file again with other bytes and types of some tensors, as a whole or not at all;
   * metadata and all other tensors are the same bytes.
   *
   * @param target that does not exist yet
   * @param changed by canonical name, of types that GGUF files have and the shapes of this file
   * @throws FileAlreadyExistsException when there is anything of the target's name
   * @throws IOException when it cannot be written
   */
  public void writeChanged(Path target, Map<String, StoredTensor> changed) throws IOException {
    if (Files.exists(target)) {
      throw new FileAlreadyExistsException(target.toString(), null, "exists already");
    }
    Map<String, StoredTensor> byNameInFile = new HashMap<>();
    changed.forEach((name, tensor) -> byNameInFile.put(tensors.get(name).nameInFile(), tensor));
    GgufCopy.write(target, header, data, byNameInFile);
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
    return data.byteSize();
  }

  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}

package dev.sylvester.runner.format;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Optional;

/**
 * An open model: configuration and mapped tensors under the names transformers uses, for example
 * {@code model.layers.0.self_attn.q_proj.weight}.
 *
 * <p>Everything in the headers is checked when the model is opened. Files are mapped, not read: a
 * file that another process shortens while it is open makes reads of the lost pages fail, from
 * native code fatally. Replace model files by renaming, never in place.
 */
public sealed interface ModelFile extends AutoCloseable permits GgufFile, SafetensorsFolder {

  /**
   * Opens a .gguf file, a .safetensors file with its config.json beside it, or a folder that holds
   * either.
   *
   * @throws ModelFormatException when there is no model or it is malformed
   */
  static ModelFile open(Path path) {
    return ModelFiles.open(path);
  }

  /** The .gguf file, or the folder of config.json. */
  Path path();

  /** The configuration. */
  ModelConfig config();

  /** The tensor of this canonical name. */
  Optional<Tensor> find(String name);

  /**
   * The tensor of this canonical name, of exactly this shape and of a type the kernels know.
   *
   * @throws ModelFormatException otherwise
   */
  default Tensor require(String name, long... shape) {
    return find(name)
        .orElseThrow(
            () ->
                new ModelFormatException(
                    path(), "tensor " + ModelFormatException.quote(name) + " is missing"))
        .require(shape);
  }

  /**
   * Weights of a linear layer of the decoder: out rows of in floats, in transformers' order
   * whatever the file's own is.
   *
   * @param layer its name, without {@code .weight}
   */
  default MemorySegment floats(String layer, long out, long in, Arena arena) {
    return inOrder(layer, require(layer + ".weight", out, in), out, arena);
  }

  /** What a linear layer adds to its out outputs, in the same order; null: nothing. */
  default MemorySegment biasFloats(String layer, long out, Arena arena) {
    return find(layer + ".bias").isEmpty()
        ? null
        : inOrder(layer, require(layer + ".bias", out), out, arena);
  }

  private MemorySegment inOrder(String layer, Tensor tensor, long rows, Arena arena) {
    MemorySegment floats = arena.allocate(tensor.elements() * Float.BYTES, 64);
    tensor.dtype().toFloat(tensor.data(), tensor.elements(), floats);
    return reordered(layer, floats, rows, false, arena);
  }

  /** What {@link #floats} gave, or as much of another origin, in the order of the file. */
  default MemorySegment inFileOrder(String layer, MemorySegment floats, long out, Arena arena) {
    return reordered(layer, floats, out, true, arena);
  }

  private MemorySegment reordered(
      String layer, MemorySegment floats, long rows, boolean toFile, Arena arena) {
    if (!config().reordersRows(layer)) {
      return floats;
    }
    MemorySegment ordered = arena.allocate(floats.byteSize(), 64);
    long bytes = floats.byteSize() / rows;
    for (long row = 0; row < rows; row++) {
      long other = config().rowInTransformers(row);
      MemorySegment.copy(
          floats, (toFile ? other : row) * bytes, ordered, (toFile ? row : other) * bytes, bytes);
    }
    return ordered;
  }

  /** All tensors, in file order. */
  Collection<Tensor> tensors();

  /** Size of the files that hold tensors. */
  long bytes();

  /** Unmaps the files; the tensors' data must not be used afterwards. */
  @Override
  void close();
}

package dev.sylvester.runner.spec;

import dev.sylvester.kernels.AcceptanceHead;
import dev.sylvester.runner.format.ModelFormatException;
import dev.sylvester.runner.format.SafetensorsFile;
import dev.sylvester.runner.format.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * Acceptance heads as safetensors, with the names of SpecDec++'s release: {@code
 * model.I.linear.weight} and {@code .bias} for each block, then {@code model.D.weight} and {@code
 * .bias}. Metadata: shift and scale, which a file of the release lacks (0 and 1 then), and for
 * readers width, blocks, tied and w_rej.
 */
public final class HeadFile {
  private static final int MOST_BLOCKS = 64;
  private static final int MOST_WIDTH = 1 << 16;
  private static final int OUTPUTS = 2;

  private final Path path;
  private final SafetensorsFile file;
  private final Set<String> used = new HashSet<>();

  private HeadFile(Path path, SafetensorsFile file) {
    this.path = path;
    this.file = file;
  }

  /**
   * Reads a head. Blocks that are equal are the same one.
   *
   * @param arena owns the head's memory
   * @throws ModelFormatException that names the tensor or text which is wrong
   */
  public static AcceptanceHead read(Path path, Arena arena) {
    try (Arena scratch = Arena.ofShared()) {
      return new HeadFile(path, SafetensorsFile.open(path, scratch)).head(arena);
    }
  }

  private AcceptanceHead head(Arena arena) {
    int blocks = 0;
    while (!has(weight(blocks))) {
      if (!has(blockWeight(blocks)) || blocks == MOST_BLOCKS) {
        throw error("has neither %s nor %s".formatted(blockWeight(blocks), weight(blocks)));
      }
      blocks++;
    }
    long[] shape = tensor(weight(blocks)).shape();
    if (shape.length != 2 || shape[0] != OUTPUTS || shape[1] < 1 || shape[1] > MOST_WIDTH) {
      throw wrong(weight(blocks), "shape " + Arrays.toString(shape) + ", expected [2, width]");
    }
    int width = (int) shape[1];
    boolean tied = blocks > 1 && blocksAreEqual(blocks);
    AcceptanceHead.Shape made = new AcceptanceHead.Shape(width, blocks, tied);
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment parameters = scratch.allocate(made.parameters() * Float.BYTES, 64);
      long at = 0;
      for (int block = 0; block < blocks; block++) {
        // Of tied blocks all are checked, and the last one is kept.
        at = tied ? 0 : at;
        at = put(blockWeight(block), parameters, at, width, width);
        at = put(blockBias(block), parameters, at, width);
      }
      at = put(weight(blocks), parameters, at, OUTPUTS, width);
      put(bias(blocks), parameters, at, OUTPUTS);
      for (String name : file.tensors().keySet()) {
        if (!used.contains(name)) {
          throw error(
              "tensor "
                  + ModelFormatException.quote(name)
                  + " is no part of a head of "
                  + blocks
                  + " blocks");
        }
      }
      float scale = number("scale", 1);
      if (scale <= 0) {
        throw error("scale is %s, must be more than 0".formatted(scale));
      }
      return AcceptanceHead.of(made, parameters, number("shift", 0), scale, arena);
    }
  }

  private boolean blocksAreEqual(int blocks) {
    for (int block = 1; block < blocks; block++) {
      if (differ(blockWeight(0), blockWeight(block)) || differ(blockBias(0), blockBias(block))) {
        return false;
      }
    }
    return true;
  }

  private boolean differ(String a, String b) {
    return tensor(a).type() != tensor(b).type()
        || tensor(a).data().mismatch(tensor(b).data()) != -1;
  }

  /** Converts a tensor to floats and returns the offset behind them. */
  private long put(String name, MemorySegment parameters, long at, long... shape) {
    Tensor tensor = tensor(name);
    if (!Arrays.equals(tensor.shape(), shape)) {
      throw wrong(
          name,
          "shape " + Arrays.toString(tensor.shape()) + ", expected " + Arrays.toString(shape));
    }
    long bytes = tensor.elements() * Float.BYTES;
    MemorySegment floats = parameters.asSlice(at, bytes);
    tensor.dtype().toFloat(tensor.data(), tensor.elements(), floats);
    for (long i = 0; i < tensor.elements(); i++) {
      float value = floats.getAtIndex(ValueLayout.JAVA_FLOAT, i);
      if (!Float.isFinite(value)) {
        throw wrong(name, "the value " + value);
      }
    }
    return at + bytes;
  }

  private boolean has(String name) {
    return file.tensors().containsKey(stored(name));
  }

  /** Writers that store equal tensors once tell in the metadata where the others are. */
  private String stored(String name) {
    return file.tensors().containsKey(name) ? name : file.metadata().getOrDefault(name, name);
  }

  private Tensor tensor(String name) {
    Tensor tensor = file.tensors().get(stored(name));
    if (tensor == null) {
      throw error("lacks tensor " + name);
    }
    used.add(stored(name));
    return tensor;
  }

  private float number(String key, float absent) {
    String text = file.metadata().get(key);
    if (text == null) {
      return absent;
    }
    try {
      float value = Float.parseFloat(text);
      if (Float.isFinite(value)) {
        return value;
      }
    } catch (NumberFormatException e) {
      // Reported below.
    }
    throw error(key + " is " + ModelFormatException.quote(text) + ", must be a finite number");
  }

  private ModelFormatException wrong(String name, String has) {
    return error("tensor " + ModelFormatException.quote(name) + " has " + has);
  }

  private ModelFormatException error(String problem) {
    return new ModelFormatException(path, problem);
  }

  /**
   * Writes a head, every block of tied ones too.
   *
   * @param rejectWeight of its training, for readers
   * @throws IOException when it cannot be written
   */
  public static void write(Path path, AcceptanceHead head, double rejectWeight) throws IOException {
    AcceptanceHead.Shape shape = head.shape();
    long width = shape.width();
    Map<String, SafetensorsFile.Floats> tensors = new LinkedHashMap<>();
    long at = 0;
    for (int block = 0; block < shape.blocks(); block++) {
      at = shape.tied() ? 0 : at;
      at = add(tensors, blockWeight(block), head, at, width, width);
      at = add(tensors, blockBias(block), head, at, width);
    }
    at = add(tensors, weight(shape.blocks()), head, at, OUTPUTS, width);
    add(tensors, bias(shape.blocks()), head, at, OUTPUTS);
    Map<String, String> metadata = new LinkedHashMap<>();
    metadata.put("format", "pt");
    metadata.put("width", Long.toString(width));
    metadata.put("blocks", Integer.toString(shape.blocks()));
    metadata.put("tied", Boolean.toString(shape.tied()));
    metadata.put("w_rej", Double.toString(rejectWeight));
    metadata.put("shift", Float.toString(head.shift()));
    metadata.put("scale", Float.toString(head.scale()));
    SafetensorsFile.write(path, tensors, metadata);
  }

  private static long add(
      Map<String, SafetensorsFile.Floats> tensors,
      String name,
      AcceptanceHead head,
      long at,
      long... shape) {
    long bytes = Arrays.stream(shape).reduce(Float.BYTES, (a, b) -> a * b);
    tensors.put(name, new SafetensorsFile.Floats(shape, head.parameters().asSlice(at, bytes)));
    return at + bytes;
  }

  private static String blockWeight(int block) {
    return "model.%d.linear.weight".formatted(block);
  }

  private static String blockBias(int block) {
    return "model.%d.linear.bias".formatted(block);
  }

  private static String weight(int blocks) {
    return "model.%d.weight".formatted(blocks);
  }

  private static String bias(int blocks) {
    return "model.%d.bias".formatted(blocks);
  }
}

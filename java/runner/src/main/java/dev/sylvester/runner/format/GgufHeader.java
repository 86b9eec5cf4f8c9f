package dev.sylvester.runner.format;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The header of a GGUF file, version 2 or 3, little-endian.
 *
 * @param tensors in file order; their bytes lie inside the file and do not overlap
 */
record GgufHeader(int version, GgufMetadata metadata, List<TensorInfo> tensors) {
  static final int MAGIC = 0x46554747; // "GGUF"
  private static final int FIXED_BYTES = 24;

  // Least sizes in the file bound counts before anything is allocated; the other limits are far
  // above any real model and keep a hostile header's objects to some megabytes.
  private static final int LEAST_PAIR_BYTES = 8 + 1 + 4 + 1;
  private static final int LEAST_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8;
  private static final int MOST_PAIRS = 1 << 16;
  private static final int MOST_TENSORS = 1 << 16;
  private static final int MOST_KEY_BYTES = 256;
  private static final int MOST_NAME_BYTES = 256;
  private static final int MOST_DIMENSIONS = 4;

  static GgufHeader parse(Path file, MemorySegment data) {
    GgufCursor in = new GgufCursor(file, data);
    if (data.byteSize() < FIXED_BYTES) {
      throw in.error(data.byteSize() + " bytes long, too short for a GGUF header");
    }
    int magic = in.readInt("the magic");
    if (magic != MAGIC) {
      throw in.error(String.format("not a GGUF file: starts with 0x%08x", magic));
    }
    int version = in.readInt("the version");
    if (version != 2 && version != 3) {
      boolean swapped = Integer.reverseBytes(version) <= 3 && Integer.reverseBytes(version) > 0;
      throw in.error(
          swapped
              ? "big-endian GGUF is not supported"
              : "GGUF version " + Integer.toUnsignedString(version) + " is not supported");
    }
    int tensorCount = (int) in.readCount("the tensor count", LEAST_TENSOR_BYTES, MOST_TENSORS);
    int pairCount = (int) in.readCount("the metadata count", LEAST_PAIR_BYTES, MOST_PAIRS);
    GgufMetadata metadata = new GgufMetadata(file, readPairs(in, pairCount));
    return new GgufHeader(version, metadata, readTensors(file, in, tensorCount, metadata, data));
  }

  private static Map<String, GgufMetadata.Value> readPairs(GgufCursor in, int count) {
    Map<String, GgufMetadata.Value> pairs = new LinkedHashMap<>();
    for (int i = 0; i < count; i++) {
      String key = in.readName("metadata key " + i, MOST_KEY_BYTES);
      String what = "key " + ModelFormatException.quote(key);
      if (pairs.put(key, readValue(in, what)) != null) {
        throw in.error(what + " occurs twice");
      }
    }
    return pairs;
  }

  private static GgufMetadata.Value readValue(GgufCursor in, String what) {
    GgufValueType type = readType(in, what);
    return switch (type) {
      case STRING -> GgufMetadata.Value.scalar(type, in.readStringBytes(what));
      case ARRAY -> readArray(in, what);
      default -> GgufMetadata.Value.scalar(type, in.slice(type.bytes, what));
    };
  }

  private static GgufMetadata.Value readArray(GgufCursor in, String what) {
    GgufValueType elementType = readType(in, what);
    if (elementType == GgufValueType.ARRAY) {
      throw in.error(what + " is an array of arrays, which is not supported");
    }
    boolean strings = elementType == GgufValueType.STRING;
    long count =
        in.readCount("the length of " + what, strings ? 8 : elementType.bytes, Long.MAX_VALUE);
    if (!strings) {
      return new GgufMetadata.Value(
          GgufValueType.ARRAY, elementType, count, in.slice(count * elementType.bytes, what));
    }
    // Vocabularies have hundreds of thousands of strings: only their extent is needed now.
    long start = in.position();
    for (long i = 0; i < count; i++) {
      in.readStringBytes(what);
    }
    return new GgufMetadata.Value(GgufValueType.ARRAY, elementType, count, in.since(start));
  }

  private static GgufValueType readType(GgufCursor in, String what) {
    int number = in.readInt(what);
    GgufValueType type = GgufValueType.of(number);
    if (type == null) {
      throw in.error(what + " has value type " + Integer.toUnsignedString(number));
    }
    return type;
  }

  private static List<TensorInfo> readTensors(
      Path file, GgufCursor in, int count, GgufMetadata metadata, MemorySegment data) {
    long alignment = alignment(in, metadata);
    List<TensorInfo> relative = new ArrayList<>(count);
    Set<String> names = new HashSet<>();
    for (int i = 0; i < count; i++) {
      TensorInfo tensor = readTensor(in, i, alignment);
      if (!names.add(tensor.name())) {
        throw in.error("tensor " + ModelFormatException.quote(tensor.name()) + " occurs twice");
      }
      relative.add(tensor);
    }
    // Cannot overflow: a position is at most the file's size, an alignment at most 2^31.
    long start = (in.position() + alignment - 1) / alignment * alignment;
    long available = Math.max(0, data.byteSize() - start);
    List<TensorInfo> tensors = new ArrayList<>(count);
    for (TensorInfo tensor : relative) {
      if (tensor.offset() > available || tensor.bytes() > available - tensor.offset()) {
        throw in.error(
            "tensor "
                + ModelFormatException.quote(tensor.name())
                + " of "
                + tensor.bytes()
                + " bytes at offset "
                + tensor.offset()
                + " ends beyond the file, whose data section has "
                + available
                + " bytes");
      }
      tensors.add(tensor.movedBy(start));
    }
    TensorInfo.sortedWithoutOverlap(file, tensors);
    return tensors;
  }

  private static long alignment(GgufCursor in, GgufMetadata metadata) {
    long alignment = metadata.integer("general.alignment").orElse(32);
    if (alignment <= 0 || alignment > 1L << 31 || Long.bitCount(alignment) != 1) {
      throw in.error("key 'general.alignment' is " + alignment + ", expected a power of two");
    }
    return alignment;
  }

  /** One tensor, its offset counted from the data section. */
  private static TensorInfo readTensor(GgufCursor in, int index, long alignment) {
    String name = in.readName("the name of tensor " + index, MOST_NAME_BYTES);
    String what = "tensor " + ModelFormatException.quote(name);
    int dimensions = in.readInt(what);
    if (dimensions < 1 || dimensions > MOST_DIMENSIONS) {
      throw in.error(
          what + " has " + Integer.toUnsignedString(dimensions) + " dimensions, expected 1 to 4");
    }
    long[] shape = new long[dimensions];
    for (int i = dimensions - 1; i >= 0; i--) {
      shape[i] = in.readLong(what);
      if (shape[i] <= 0) {
        throw in.error(what + " has a dimension of " + Long.toUnsignedString(shape[i]));
      }
    }
    int number = in.readInt(what);
    TensorType type = TensorType.ofGgml(number);
    if (type == null) {
      throw in.error(what + " has unknown type " + Integer.toUnsignedString(number));
    }
    long bytes = TensorInfo.bytes(type, shape);
    if (bytes < 0) {
      throw in.error(
          what + " has shape " + Tensor.shapeText(shape) + ", which type " + type + " cannot have");
    }
    long offset = in.readLong(what);
    if (offset < 0 || offset % alignment != 0) {
      throw in.error(
          what
              + " has offset "
              + Long.toUnsignedString(offset)
              + ", expected a multiple of "
              + alignment);
    }
    return new TensorInfo(name, type, shape, offset, bytes);
  }
}

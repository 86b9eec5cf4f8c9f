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
 * @param pairsEnd where the metadata ends and the tensors' descriptions begin
 * @param alignment of tensors within the data section, and of that
 * @param tensors in file order; their bytes lie inside the file and do not overlap
 */
record GgufHeader(
    int version, GgufMetadata metadata, long pairsEnd, long alignment, List<TensorInfo> tensors) {
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
  private static final int DEFAULT_ALIGNMENT = 32;

  static GgufHeader parse(Path file, MemorySegment data) {
    GgufCursor in = new GgufCursor(file, data);
    if (data.byteSize() < FIXED_BYTES) {
      throw in.error(data.byteSize() + " bytes are too short for a GGUF file");
    }
    int magic = in.readInt();
    if (magic != MAGIC) {
      throw in.error(String.format("magic is 0x%08x, not that of a GGUF file", magic));
    }
    int version = in.readInt();
    if (version != 2 && version != 3) {
      int swapped = Integer.reverseBytes(version);
      throw in.error(
          swapped >= 1 && swapped <= 3
              ? "big-endian files are not supported"
              : "version " + Integer.toUnsignedString(version) + " is not supported, 2 and 3 are");
    }
    int tensorCount = (int) in.readCount("tensor count", LEAST_TENSOR_BYTES, MOST_TENSORS);
    int pairCount = (int) in.readCount("metadata count", LEAST_PAIR_BYTES, MOST_PAIRS);
    GgufMetadata metadata = new GgufMetadata(file, readPairs(in, pairCount));
    long pairsEnd = in.position();
    long alignment = alignment(metadata);
    return new GgufHeader(
        version, metadata, pairsEnd, alignment, readTensors(file, in, tensorCount, alignment));
  }

  private static Map<String, GgufMetadata.Value> readPairs(GgufCursor in, int count) {
    Map<String, GgufMetadata.Value> pairs = new LinkedHashMap<>();
    for (int i = 0; i < count; i++) {
      in.enter("metadata key", i);
      String key = in.readName(MOST_KEY_BYTES);
      in.enter("key", key);
      if (pairs.put(key, readValue(in)) != null) {
        throw in.error("occurs twice");
      }
    }
    return pairs;
  }

  private static GgufMetadata.Value readValue(GgufCursor in) {
    GgufValueType type = readType(in);
    return switch (type) {
      case STRING -> GgufMetadata.Value.scalar(type, in.readStringBytes());
      case ARRAY -> readArray(in);
      default -> GgufMetadata.Value.scalar(type, in.slice(type.bytes));
    };
  }

  private static GgufMetadata.Value readArray(GgufCursor in) {
    GgufValueType elementType = readType(in);
    if (elementType == GgufValueType.ARRAY) {
      throw in.error("arrays of arrays are not supported");
    }
    boolean strings = elementType == GgufValueType.STRING;
    int leastBytes = strings ? Long.BYTES : elementType.bytes;
    long count = in.readCount("array length", leastBytes, Long.MAX_VALUE);
    long start = in.position();
    if (strings) {
      // A vocabulary has hundreds of thousands of them: only their extent is needed now.
      for (long i = 0; i < count; i++) {
        in.skipString();
      }
    } else {
      in.slice(count * elementType.bytes);
    }
    return new GgufMetadata.Value(GgufValueType.ARRAY, elementType, count, in.since(start));
  }

  private static GgufValueType readType(GgufCursor in) {
    int number = in.readInt();
    GgufValueType type = GgufValueType.of(number);
    if (type == null) {
      throw in.error("unknown value type " + Integer.toUnsignedString(number));
    }
    return type;
  }

  private static List<TensorInfo> readTensors(Path file, GgufCursor in, int count, long alignment) {
    List<TensorInfo> relative = new ArrayList<>(count);
    Set<String> names = new HashSet<>();
    for (int i = 0; i < count; i++) {
      in.enter("tensor", i);
      String name = in.readName(MOST_NAME_BYTES);
      in.enter("tensor", name);
      if (!names.add(name)) {
        throw in.error("occurs twice");
      }
      relative.add(readTensor(in, name, alignment));
    }
    // Cannot overflow: a position is at most the file's size, an alignment at most 2^31.
    long start = (in.position() + alignment - 1) / alignment * alignment;
    long available = Math.max(0, in.position() + in.remaining() - start);
    List<TensorInfo> tensors = new ArrayList<>(count);
    for (TensorInfo tensor : relative) {
      in.enter("tensor", tensor.name());
      if (tensor.offset() > available || tensor.bytes() > available - tensor.offset()) {
        throw in.error(
            tensor.bytes()
                + " bytes at offset "
                + tensor.offset()
                + " end beyond the data section of "
                + available
                + " bytes");
      }
      tensors.add(tensor.movedBy(start));
    }
    TensorInfo.sortedWithoutOverlap(file, tensors);
    return tensors;
  }

  private static long alignment(GgufMetadata metadata) {
    String key = "general.alignment";
    long alignment = metadata.integer(key).orElse(DEFAULT_ALIGNMENT);
    if (alignment <= 0 || alignment > 1L << 31 || Long.bitCount(alignment) != 1) {
      throw metadata.unexpected(key, alignment, "a power of two");
    }
    return alignment;
  }

  /** One tensor, its offset counted from the data section. */
  private static TensorInfo readTensor(GgufCursor in, String name, long alignment) {
    int dimensions = in.readInt();
    if (dimensions < 1 || dimensions > MOST_DIMENSIONS) {
      throw in.error(
          Integer.toUnsignedString(dimensions) + " dimensions, expected 1 to " + MOST_DIMENSIONS);
    }
    long[] shape = new long[dimensions];
    for (int i = dimensions - 1; i >= 0; i--) {
      shape[i] = in.readLong();
      if (shape[i] <= 0) {
        throw in.error("dimension " + Long.toUnsignedString(shape[i]));
      }
    }
    int number = in.readInt();
    TensorType type = TensorType.ofGgml(number);
    if (type == null) {
      throw in.error("unknown tensor type " + Integer.toUnsignedString(number));
    }
    long bytes = TensorInfo.bytes(type, shape);
    if (bytes < 0) {
      throw in.error("shape " + Tensor.shapeText(shape) + " is impossible for type " + type);
    }
    long offset = in.readLong();
    if (offset < 0 || offset % alignment != 0) {
      throw in.error(
          "offset " + Long.toUnsignedString(offset) + ", expected a multiple of " + alignment);
    }
    return new TensorInfo(name, type, shape, offset, bytes);
  }
}

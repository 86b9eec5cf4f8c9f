package dev.sylvester.runner.format;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A GGUF file written again with other bytes and types of some tensors. Version, metadata and the
 * order of tensors are those of the original.
 */
final class GgufCopy {
  private final GgufHeader header;
  private final MemorySegment file;
  private final Map<String, StoredTensor> changed;

  private GgufCopy(GgufHeader header, MemorySegment file, Map<String, StoredTensor> changed) {
    this.header = header;
    this.file = file;
    this.changed = changed;
  }

  /**
   * Writes it, as a whole or not at all.
   *
   * @param file the original's bytes
   * @param changed by the name in the file, of the shapes that they have there
   */
  static void write(
      Path target, GgufHeader header, MemorySegment file, Map<String, StoredTensor> changed)
      throws IOException {
    WholeFile.write(target, new GgufCopy(header, file, changed).parts());
  }

  private List<WholeFile.Part> parts() {
    int infoBytes = header.tensors().stream().mapToInt(GgufCopy::infoBytes).sum();
    ByteBuffer infos = ByteBuffer.allocate(infoBytes).order(ByteOrder.LITTLE_ENDIAN);
    long infosAt = header.pairsEnd();
    List<WholeFile.Part> parts = new ArrayList<>();
    parts.add(new WholeFile.Part(0, () -> file.asSlice(0, infosAt)));
    parts.add(new WholeFile.Part(infosAt, () -> MemorySegment.ofBuffer(infos)));
    long start = aligned(infosAt + infoBytes);
    long offset = 0;
    for (TensorInfo info : header.tensors()) {
      StoredTensor tensor = changed.getOrDefault(info.name(), stored(info));
      writeInfo(infos, info, tensor.type(), offset);
      parts.add(new WholeFile.Part(start + offset, tensor.data()));
      offset += tensor.bytes();
      if (offset % header.alignment() != 0) {
        // So that the file does not end before it.
        offset = aligned(offset);
        parts.add(new WholeFile.Part(start + offset - 1, () -> MemorySegment.ofArray(new byte[1])));
      }
    }
    infos.rewind();
    return parts;
  }

  private StoredTensor stored(TensorInfo info) {
    return new StoredTensor(
        info.type(), info.shape(), () -> file.asSlice(info.offset(), info.bytes()));
  }

  private long aligned(long position) {
    return Math.ceilDiv(position, header.alignment()) * header.alignment();
  }

  private static byte[] name(TensorInfo info) {
    return info.name().getBytes(StandardCharsets.UTF_8);
  }

  private static int infoBytes(TensorInfo info) {
    return Long.BYTES
        + name(info).length
        + Integer.BYTES
        + info.shape().length * Long.BYTES
        + Integer.BYTES
        + Long.BYTES;
  }

  private static void writeInfo(ByteBuffer infos, TensorInfo info, TensorType type, long offset) {
    byte[] name = name(info);
    infos.putLong(name.length).put(name).putInt(info.shape().length);
    for (int i = info.shape().length - 1; i >= 0; i--) {
      infos.putLong(info.shape()[i]);
    }
    infos.putInt(type.ggmlNumber()).putLong(offset);
  }
}

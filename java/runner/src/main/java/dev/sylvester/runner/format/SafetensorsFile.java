package dev.sylvester.runner.format;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/**
 * A single safetensors file.
 *
 * @param tensors by name, in the order of their bytes; mapped as long as the arena lives
 * @param metadata the file's own texts
 */
public record SafetensorsFile(Map<String, Tensor> tensors, Map<String, String> metadata) {
  private static final int ALIGNMENT = 8;

  /**
   * A tensor of floats that is to be written.
   *
   * @param shape sizes, outermost first
   * @param data the floats, row-major
   */
  public record Floats(long[] shape, MemorySegment data) {}

  /**
   * A tensor that is to be written as it is.
   *
   * @param type how the elements are stored, one that safetensors files have
   * @param shape sizes, outermost first
   * @param data the bytes, row-major
   */
  public record Stored(TensorType type, long[] shape, MemorySegment data) {}

  /**
   * Opens a file.
   *
   * @throws ModelFormatException when it is malformed
   */
  public static SafetensorsFile open(Path file, Arena arena) {
    MemorySegment data = MappedFile.map(file, arena);
    Map<String, String> metadata = new LinkedHashMap<>();
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (TensorInfo info : SafetensorsHeader.parse(file, data, metadata)) {
      tensors.put(info.name(), info.tensor(file, info.name(), data));
    }
    return new SafetensorsFile(tensors, metadata);
  }

  /**
   * Writes a file, as a whole or not at all.
   *
   * @param tensors by name, in the order that their bytes get
   * @throws IOException when it cannot be written
   */
  public static void write(Path file, Map<String, Floats> tensors, Map<String, String> metadata)
      throws IOException {
    Map<String, Stored> stored = new LinkedHashMap<>();
    tensors.forEach((name, t) -> stored.put(name, new Stored(TensorType.F32, t.shape, t.data)));
    writeStored(file, stored, metadata);
  }

  /**
   * Writes a file of any types, as a whole or not at all.
   *
   * @param tensors by name, in the order that their bytes get
   * @throws IOException when it cannot be written
   */
  public static void writeStored(
      Path file, Map<String, Stored> tensors, Map<String, String> metadata) throws IOException {
    byte[] json = header(tensors, metadata);
    ByteBuffer front = ByteBuffer.allocate(Long.BYTES + json.length);
    front.order(ByteOrder.LITTLE_ENDIAN).putLong(json.length).put(json).rewind();
    List<MemorySegment> parts = new ArrayList<>();
    parts.add(MemorySegment.ofBuffer(front));
    tensors.values().forEach(tensor -> parts.add(tensor.data));
    Path target = file.toAbsolutePath();
    Path temporary = target.resolveSibling(target.getFileName() + "." + UUID.randomUUID() + ".tmp");
    try (FileChannel channel =
        FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      for (MemorySegment part : parts) {
        for (long at = 0; at < part.byteSize(); ) {
          long piece = Math.min(1 << 30, part.byteSize() - at);
          at += channel.write(part.asSlice(at, piece).asByteBuffer());
        }
      }
      channel.force(true);
      Files.move(
          temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(temporary);
    }
  }

  private static byte[] header(Map<String, Stored> tensors, Map<String, String> metadata)
      throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode header = mapper.createObjectNode();
    ObjectNode texts = header.putObject("__metadata__");
    metadata.forEach(texts::put);
    long offset = 0;
    for (Map.Entry<String, Stored> entry : tensors.entrySet()) {
      ObjectNode tensor =
          header.putObject(entry.getKey()).put("dtype", entry.getValue().type.name());
      tensor.set("shape", mapper.valueToTree(entry.getValue().shape));
      long end = offset + entry.getValue().data.byteSize();
      tensor.putArray("data_offsets").add(offset).add(end);
      offset = end;
    }
    byte[] json = mapper.writeValueAsBytes(header);
    // Spaces behind the header put the tensors at multiples of 8, as the reference writer does.
    byte[] padded = new byte[Math.ceilDiv(json.length, ALIGNMENT) * ALIGNMENT];
    Arrays.fill(padded, (byte) ' ');
    System.arraycopy(json, 0, padded, 0, json.length);
    return padded;
  }
}

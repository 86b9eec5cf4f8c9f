package dev.sylvester.runner.format;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

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
    Map<String, StoredTensor> stored = new LinkedHashMap<>();
    tensors.forEach(
        (name, t) -> stored.put(name, new StoredTensor(TensorType.F32, t.shape, () -> t.data)));
    writeStored(file, stored, metadata);
  }

  /**
   * Writes a file of any types, as a whole or not at all.
   *
   * @param tensors by name, in the order that their bytes get
   * @throws IOException when it cannot be written
   */
  public static void writeStored(
      Path file, Map<String, StoredTensor> tensors, Map<String, String> metadata)
      throws IOException {
    byte[] json = header(tensors, metadata);
    ByteBuffer front = ByteBuffer.allocate(Long.BYTES + json.length);
    front.order(ByteOrder.LITTLE_ENDIAN).putLong(json.length).put(json).rewind();
    List<WholeFile.Part> parts = new ArrayList<>();
    parts.add(new WholeFile.Part(0, () -> MemorySegment.ofBuffer(front)));
    long position = front.capacity();
    for (StoredTensor tensor : tensors.values()) {
      parts.add(new WholeFile.Part(position, tensor.data()));
      position += tensor.bytes();
    }
    WholeFile.write(file, parts);
  }

  private static byte[] header(Map<String, StoredTensor> tensors, Map<String, String> metadata)
      throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode header = mapper.createObjectNode();
    ObjectNode texts = header.putObject("__metadata__");
    metadata.forEach(texts::put);
    long offset = 0;
    for (Map.Entry<String, StoredTensor> entry : tensors.entrySet()) {
      ObjectNode tensor =
          header.putObject(entry.getKey()).put("dtype", entry.getValue().type().name());
      tensor.set("shape", mapper.valueToTree(entry.getValue().shape()));
      long end = offset + entry.getValue().bytes();
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

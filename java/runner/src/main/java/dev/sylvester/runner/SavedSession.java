package dev.sylvester.runner;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.sylvester.runner.format.WholeFile;
import dev.sylvester.runner.text.Message;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32;

/**
 * A session in a file: what was said, its tokens, and its packed cache, so that it goes on without
 * reading anything again. The file is mapped while this is open.
 *
 * <p>Little-endian: {@code SYLVTEXT}, int32 version 1, int32 bytes of the header, int32 CRC-32 of
 * the header, the header as JSON; from the next multiple of 64 on, the cache, which has checksums
 * of its own.
 */
public final class SavedSession implements AutoCloseable {
  private static final ObjectMapper MAPPER = new ObjectMapper();
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final long MAGIC = 0x5458_4554_564c_5953L; // "SYLVTEXT"
  private static final int VERSION = 1;
  private static final int HEADER_AT = 20;
  private static final int ALIGNMENT = 64;

  private final Path path;
  private final Arena arena;
  private final JsonNode header;
  private final MemorySegment cacheBytes;

  private SavedSession(Path path, Arena arena, JsonNode header, MemorySegment cacheBytes) {
    this.path = path;
    this.arena = arena;
    this.header = header;
    this.cacheBytes = cacheBytes;
  }

  /** Writes the file, as a whole or not at all. */
  static void write(Path file, Session session, List<Message> messages) throws IOException {
    ObjectNode header = MAPPER.createObjectNode();
    header.put("model", session.model().fingerprint(session.adapters()));
    header.put("kv", session.cache().name());
    header.put("kv_bits", session.cache().bits());
    Path plan = session.cache().plan();
    header.put("kv_plan", plan == null ? null : plan.toAbsolutePath().toString());
    header.put("sink_rows", session.sinkRows());
    ArrayNode tokens = header.putArray("tokens");
    for (int token : session.tokens()) {
      tokens.add(token);
    }
    ArrayNode said = header.putArray("messages");
    messages.forEach(m -> said.addObject().put("role", m.role()).put("content", m.content()));
    byte[] json = MAPPER.writeValueAsBytes(header);
    ByteBuffer front = ByteBuffer.allocate(aligned(json.length)).order(ByteOrder.LITTLE_ENDIAN);
    front.putLong(MAGIC).putInt(VERSION).putInt(json.length).putInt(crc(json)).put(json).rewind();

    try (Arena scratch = Arena.ofConfined()) {
      WholeFile.write(
          file,
          List.of(
              new WholeFile.Part(0, () -> MemorySegment.ofBuffer(front)),
              new WholeFile.Part(front.capacity(), () -> session.saveCache(scratch))));
    }
  }

  private static int aligned(int jsonBytes) {
    return Math.ceilDiv(HEADER_AT + jsonBytes, ALIGNMENT) * ALIGNMENT;
  }

  private static int crc(byte[] bytes) {
    CRC32 crc = new CRC32();
    crc.update(bytes);
    return (int) crc.getValue();
  }

  /**
   * Opens a file that {@link Session#save} wrote.
   *
   * @throws IOException when it cannot be read or is damaged
   */
  public static SavedSession open(Path file) throws IOException {
    Arena arena = Arena.ofShared();
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      MemorySegment map = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
      return open(file, arena, map);
    } catch (IOException | RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  private static SavedSession open(Path file, Arena arena, MemorySegment map) throws IOException {
    ValueLayout.OfLong magic = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    if (map.byteSize() < HEADER_AT || map.get(magic, 0) != MAGIC) {
      throw new IOException(file + " is not a saved session");
    }
    if (map.get(INT, 8) != VERSION) {
      throw new IOException(
          "%s is of version %d, this is %d".formatted(file, map.get(INT, 8), VERSION));
    }
    int length = map.get(INT, 12);
    if (length < 0 || length > map.byteSize() - HEADER_AT || aligned(length) > map.byteSize()) {
      throw new IOException(file + " is damaged: wrong size of the header at byte 12");
    }
    byte[] json = map.asSlice(HEADER_AT, length).toArray(ValueLayout.JAVA_BYTE);
    if (crc(json) != map.get(INT, 16)) {
      throw new IOException(
          "%s is damaged: wrong checksum of bytes 20..%d".formatted(file, 19 + length));
    }
    try {
      return new SavedSession(file, arena, MAPPER.readTree(json), map.asSlice(aligned(length)));
    } catch (JsonProcessingException e) {
      throw new IOException(file + " is damaged: its header is no JSON", e);
    }
  }

  /** How its keys and values are kept. */
  public CacheOptions cache() {
    JsonNode plan = header.path("kv_plan");
    return new CacheOptions(
        header.path("kv").asText(),
        header.path("kv_bits").asInt(),
        plan.isTextual() ? Path.of(plan.textValue()) : null);
  }

  /** What was said. */
  public List<Message> messages() {
    List<Message> messages = new ArrayList<>();
    header
        .path("messages")
        .forEach(
            m -> messages.add(new Message(m.path("role").asText(), m.path("content").asText())));
    return messages;
  }

  /**
   * Goes on with it. Logits are not saved: those of the next append are right.
   *
   * @throws IOException when it is damaged, or is not of this model or of a cache like this one's
   */
  public Session resume(Model model) throws IOException {
    if (!header.path("model").asText().equals(model.fingerprint(model.adapters()))) {
      throw new IOException("%s is of another model than %s".formatted(path, model.path()));
    }
    JsonNode list = header.path("tokens");
    int[] tokens = new int[list.size()];
    for (int i = 0; i < tokens.length; i++) {
      tokens[i] = list.get(i).asInt(-1);
    }
    try {
      return model.resume(cache(), tokens, header.path("sink_rows").asInt(), cacheBytes);
    } catch (IOException e) {
      throw new IOException(path + ": " + e.getMessage(), e);
    }
  }

  @Override
  public void close() {
    arena.close();
  }
}

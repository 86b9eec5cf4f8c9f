package dev.sylvester.runner.spec;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.kernels.AcceptanceHead;
import dev.sylvester.kernels.AcceptanceHead.Shape;
import dev.sylvester.runner.format.ModelFormatException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class HeadFileTest {
  private static final int WIDTH = 3;

  private final Arena arena = Arena.ofConfined();

  @TempDir private Path folder;

  private Path file;

  @BeforeEach
  void name() {
    file = folder.resolve("head.safetensors");
  }

  @AfterEach
  void free() {
    arena.close();
  }

  /** A tensor of a file as other writers make it: its type's name, its shape as JSON, its bytes. */
  private record Part(String type, String shape, byte[] bytes) {}

  private final Map<String, Part> parts = new LinkedHashMap<>();
  private String metadata = "{\"format\":\"pt\"}";

  /** Two blocks and the output, in half precision, as a release's file is. */
  private void release(boolean tied) {
    for (int block = 0; block < 2; block++) {
      int seed = tied ? 1 : 1 + block;
      parts.put("model." + block + ".linear.bias", halves("[3]", seed, WIDTH));
      parts.put("model." + block + ".linear.weight", halves("[3,3]", seed + 5, WIDTH * WIDTH));
    }
    parts.put("model.2.bias", halves("[2]", 8, 2));
    parts.put("model.2.weight", halves("[2,3]", 9, 2 * WIDTH));
  }

  private static Part halves(String shape, int seed, int count) {
    ByteBuffer bytes = ByteBuffer.allocate(2 * count).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values(seed, count)) {
      bytes.putShort(Float.floatToFloat16(value));
    }
    return new Part("F16", shape, bytes.array());
  }

  /** Halves exactly. */
  private static float[] values(int seed, int count) {
    SplittableRandom random = new SplittableRandom(seed);
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = random.nextInt(-64, 64) / 32f;
    }
    return values;
  }

  private AcceptanceHead read() throws IOException {
    StringBuilder json = new StringBuilder("{\"__metadata__\":").append(metadata);
    int at = 0;
    for (Map.Entry<String, Part> entry : parts.entrySet()) {
      Part part = entry.getValue();
      json.append(
          ",\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
              .formatted(entry.getKey(), part.type, part.shape, at, at + part.bytes.length));
      at += part.bytes.length;
    }
    byte[] header = json.append('}').toString().getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes = ByteBuffer.allocate(8 + header.length + at).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(header.length).put(header);
    parts.values().forEach(part -> bytes.put(part.bytes));
    Files.write(file, bytes.array());
    return HeadFile.read(file, arena);
  }

  private static void assertParameters(AcceptanceHead head, float[]... parts) {
    float[] got = head.parameters().toArray(JAVA_FLOAT);
    int at = 0;
    for (float[] part : parts) {
      for (float value : part) {
        assertThat(got[at++]).isEqualTo(value);
      }
    }
    assertThat(got).hasSize(at);
  }

  @Test
  void readsAReleasesFile() throws IOException {
    release(false);
    AcceptanceHead head = read();
    assertThat(head.shape()).isEqualTo(new Shape(WIDTH, 2, false));
    assertThat(head.shift()).isZero();
    assertThat(head.scale()).isOne();
    assertParameters(
        head, values(6, 9), values(1, 3), values(7, 9), values(2, 3), values(9, 6), values(8, 2));
  }

  @Test
  void blocksThatAreEqualAreTied() throws IOException {
    release(true);
    AcceptanceHead head = read();
    assertThat(head.shape()).isEqualTo(new Shape(WIDTH, 2, true));
    assertParameters(head, values(6, 9), values(1, 3), values(9, 6), values(8, 2));
    // One that differs in a single bit.
    parts.get("model.1.linear.bias").bytes[0] ^= 1;
    assertThat(read().shape().tied()).isFalse();
  }

  /** Writers of the format name a shared tensor's other names in the metadata. */
  @Test
  void tensorsMayBeStoredOnce() throws IOException {
    release(true);
    parts.remove("model.1.linear.bias");
    parts.remove("model.1.linear.weight");
    metadata =
        "{\"format\":\"pt\",\"model.1.linear.bias\":\"model.0.linear.bias\","
            + "\"model.1.linear.weight\":\"model.0.linear.weight\"}";
    assertThat(read().shape()).isEqualTo(new Shape(WIDTH, 2, true));
  }

  @ParameterizedTest
  @CsvSource({"0, false", "1, false", "3, false", "3, true"})
  void whatIsWrittenIsRead(int blocks, boolean tied) throws IOException {
    Shape shape = new Shape(5, blocks, tied);
    MemorySegment parameters = arena.allocateFrom(JAVA_FLOAT, values(3, (int) shape.parameters()));
    AcceptanceHead head = AcceptanceHead.of(shape, parameters, 1.7917595f, 0.8f, arena);
    HeadFile.write(file, head, 6);
    HeadFile.write(file, head, 6); // in place of the first
    AcceptanceHead again = HeadFile.read(file, arena);
    assertThat(again.shape()).isEqualTo(shape);
    assertThat(again.shift()).isEqualTo(head.shift());
    assertThat(again.scale()).isEqualTo(head.scale());
    assertThat(again.parameters().mismatch(head.parameters())).isEqualTo(-1);
    String text = Files.readString(file, StandardCharsets.ISO_8859_1);
    assertThat(text)
        .contains("\"w_rej\":\"6.0\"", "\"tied\":\"" + tied + "\"", "\"blocks\":\"" + blocks)
        .contains("\"model." + blocks + ".weight\"");
    assertThat(folder).isDirectoryContaining("glob:**/head.safetensors");
    assertThat(folder.toFile().list()).hasSize(1);
  }

  private void assertRefused(String message) {
    assertThatThrownBy(this::read)
        .isInstanceOf(ModelFormatException.class)
        .hasMessageStartingWith(file + ": ")
        .hasMessageContaining(message);
  }

  @Test
  void malformedFilesAreRefusedByName() {
    assertRefused("has neither model.0.linear.weight nor model.0.weight");
    release(false);
    Part weight = parts.remove("model.1.linear.weight");
    assertRefused("has neither model.1.linear.weight nor model.1.weight");
    parts.put("model.1.linear.weight", halves("[9]", 1, 9));
    assertRefused("tensor 'model.1.linear.weight' has shape [9], expected [3, 3]");
    parts.put("model.1.linear.weight", new Part("I16", "[3,3]", weight.bytes));
    assertRefused("tensor 'model.1.linear.weight' has type I16");
    parts.put("model.1.linear.weight", weight);

    Part bias = parts.remove("model.0.linear.bias");
    assertRefused("lacks tensor model.0.linear.bias");
    parts.put("model.0.linear.bias", bias);
    bias.bytes[1] = 0x7c; // an infinity or NaN
    assertRefused("tensor 'model.0.linear.bias' has the value ");
    bias.bytes[1] = 0;

    Part output = parts.get("model.2.weight");
    parts.put("model.2.weight", halves("[3,2]", 9, 6));
    assertRefused("tensor 'model.2.weight' has shape [3, 2], expected [2, width]");
    parts.put("model.2.weight", output);

    parts.put("model.3.weight", halves("[2,3]", 9, 6));
    assertRefused("tensor 'model.3.weight' is no part of a head of 2 blocks");
    parts.remove("model.3.weight");

    metadata = "{\"scale\":\"-1\"}";
    assertRefused("scale is -1.0, must be more than 0");
    metadata = "{\"shift\":\"NaN\"}";
    assertRefused("shift is 'NaN', must be a finite number");
    metadata = "{\"shift\":\"much\"}";
    assertRefused("shift is 'much', must be a finite number");
  }

  @Test
  void filesThatAreNoneAreRefused() throws IOException {
    assertThatThrownBy(() -> HeadFile.read(file, arena)).hasMessage(file + ": no such file");
    Files.writeString(file, "head");
    assertThatThrownBy(() -> HeadFile.read(file, arena)).hasMessageContaining("too short");
  }
}

package dev.sylvester.runner.format;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Malformed safetensors files and indices: one line naming the file, the tensor and the value. */
class HostileSafetensorsTest {
  private static final String EMBEDDING = "model.embed_tokens.weight";
  private static final String NORM = "model.norm.weight";
  private static final String LAST = "model.layers.0.mlp.down_proj.weight";

  @TempDir Path folder;

  private static Hostile<SafetensorsWriter> file(
      String name, Consumer<SafetensorsWriter> damage, String message) {
    return new Hostile<>(name, damage, message);
  }

  private static Hostile<SafetensorsWriter> header(
      String name, UnaryOperator<String> damage, String message) {
    return file(name, f -> f.header = damage, message);
  }

  private static Hostile<SafetensorsWriter> tensor(
      String name, String piece, String by, String message) {
    return file(name, f -> f.replace(NORM, piece, by), message);
  }

  static Stream<Hostile<SafetensorsWriter>> headers() {
    return Stream.of(
        file(
            "empty",
            f -> f.edit = b -> new byte[0],
            "0 bytes are too short for a safetensors file"),
        file(
            "7 bytes",
            f -> f.edit = b -> new byte[7],
            "7 bytes are too short for a safetensors file"),
        file(
            "header of 0 bytes",
            f -> f.headerLength = 0L,
            "header length is 0, expected 2 to 3197"),
        file(
            "header of 2^63 bytes",
            f -> f.headerLength = Long.MIN_VALUE,
            "header length is 9223372036854775808, expected 2 to 3197"),
        file(
            "header of 2^63 - 1 bytes",
            f -> f.headerLength = Long.MAX_VALUE,
            "header length is 9223372036854775807, expected 2 to 3197"),
        file(
            "header longer than the file",
            f -> f.headerLength = 3198L,
            "header length is 3198, expected 2 to 3197"),
        file(
            "header cut",
            f -> f.headerLength = 100L,
            "malformed JSON at line 1, column 101: Unexpected end-of-input in field name"),
        header("an array", h -> "[]", "the header is not a JSON object"),
        header("a number", h -> "12345", "the header is not a JSON object"),
        header("white space", h -> "     ", "the header is not a JSON object"),
        header(
            "no JSON",
            h -> "{hello}",
            "malformed JSON at line 1, column 2: Unexpected character ('h' (code 104)): was"
                + " expecting double-quote to start field..."),
        header("two objects", h -> h + "{}", "text after the header's JSON object"),
        header(
            "a comma too many",
            h -> h.replace("]}}", "]},}"),
            "malformed JSON at line 1, column 1022: Unexpected character ('}' (code 125)): was"
                + " expecting double-quote to start field..."),
        header(
            "tensor twice",
            h -> h.replace(NORM, EMBEDDING),
            "malformed JSON at line 1, column 110: Duplicate field 'model.embed_tokens.weight'"),
        header(
            "key twice",
            h -> h.replaceFirst("\"dtype\"", "\"dtype\":\"F32\",\"dtype\""),
            "malformed JSON at line 1, column 52: Duplicate field 'dtype'"),
        header(
            "deep nesting",
            h -> "{\"__metadata__\":" + "[".repeat(5000) + "]".repeat(5000) + "}",
            "malformed JSON: Document nesting depth (33) exceeds the maximum"
                + " allowed (32, from `StreamReadCon..."),
        header(
            "long name",
            h -> h.replace(NORM, "x".repeat(60000)),
            "malformed JSON: Name length (60000) exceeds the maximum"
                + " allowed (50000, from `StreamReadConstrai..."),
        file("not UTF-8", f -> f.edit = b -> patched(b, 40, 0xff), "the header is not UTF-8"),
        file(
            "UTF-16",
            f -> f.edit = HostileSafetensorsTest::utf16,
            "malformed JSON at line 1, column 3: Illegal character ((CTRL-CHAR, code 0)): only"
                + " regular white space (\\r"
                + ", \\n"
                + ", \\t) i..."));
  }

  private static byte[] patched(byte[] bytes, int at, int value) {
    bytes[at] = (byte) value;
    return bytes;
  }

  private static byte[] utf16(byte[] bytes) {
    byte[] json = "{}".getBytes(StandardCharsets.UTF_16LE);
    return GgufWriter.concat(GgufWriter.buffer(8).putLong(json.length).array(), json);
  }

  static Stream<Hostile<SafetensorsWriter>> tensors() {
    String name = "tensor 'model.norm.weight'";
    return Stream.of(
        file(
            "tensor a number", f -> f.tensors.put(NORM, "5"), name + " is '5', expected an object"),
        file(
            "tensor null",
            f -> f.tensors.put(NORM, "null"),
            name + " is 'null', expected an object"),
        tensor("no dtype", "dtype", "type", name + " lacks dtype"),
        tensor("no shape", "shape", "size", name + " lacks shape"),
        tensor("no offsets", "data_offsets", "offsets", name + " lacks a pair of data_offsets"),
        tensor("unknown dtype", "F32", "F33", name + " has unknown dtype 'F33'"),
        tensor("dtype a number", "\"F32\"", "32", name + ": dtype is '32', expected a string"),
        tensor("shape a number", "[8]", "8", name + ": shape is '8', expected an array"),
        tensor("size a string", "[8]", "[\"8\"]", name + ": shape has '8', expected integers"),
        tensor("size a float", "[8]", "[8.0]", name + ": shape has '8.0', expected integers"),
        tensor("size negative", "[8]", "[-8]", name + ": shape has '-8', expected integers"),
        tensor(
            "size of 100 digits",
            "[8]",
            "[" + "9".repeat(100) + "]",
            name + ": shape has '" + "9".repeat(80) + "...', expected integers"),
        tensor(
            "size of 2000 digits",
            "[8]",
            "[" + "9".repeat(2000) + "]",
            "malformed JSON: Number value length (2000) exceeds the maximum"
                + " allowed (1000, from `StreamReadCo..."),
        tensor(
            "9 dimensions", "[8]", "[1,1,1,1,1,1,1,1,8]", name + ": shape has more than 8 numbers"),
        tensor(
            "2^128 elements",
            "[8]",
            "[9223372036854775807,9223372036854775807]",
            name + " has shape [9223372036854775807, 9223372036854775807], too large for F32"),
        tensor(
            "2^64 bytes",
            "[8]",
            "[4611686018427387904]",
            name + " has shape [4611686018427387904], too large for F32"),
        tensor(
            "shape of more bytes",
            "[8]",
            "[9]",
            name + " has 32 bytes, but shape [9] of F32 takes 36"),
        tensor(
            "shape of fewer bytes",
            "[8]",
            "[7]",
            name + " has 32 bytes, but shape [7] of F32 takes 28"),
        tensor("one offset", "[160,192]", "[160]", name + " lacks a pair of data_offsets"),
        tensor(
            "three offsets",
            "[160,192]",
            "[160,192,192]",
            name + ": data_offsets has more than 2 numbers"),
        tensor(
            "offset negative",
            "[160,192]",
            "[-160,192]",
            name + ": data_offsets has '-160', expected integers"),
        tensor(
            "offsets reversed",
            "[160,192]",
            "[192,160]",
            name + " has data_offsets [192, 160], with 2176 bytes of data"),
        tensor(
            "end beyond the file",
            "[160,192]",
            "[160,99999]",
            name + " has data_offsets [160, 99999], with 2176 bytes of data"),
        tensor(
            "end at 2^63 - 1",
            "[160,192]",
            "[160,9223372036854775807]",
            name + " has data_offsets [160, 9223372036854775807], with 2176 bytes of data"),
        tensor(
            "end at 2^64",
            "[160,192]",
            "[160,18446744073709551616]",
            name + ": data_offsets has '18446744073709551616', expected integers"),
        tensor(
            "overlap",
            "[160,192]",
            "[128,160]",
            name
                + " at byte 1157 overlaps tensor 'model.embed_tokens.weight', which ends at byte"
                + " 1189"),
        file(
            "gap",
            f -> f.tensors.remove(NORM),
            "tensor 'model.layers.0.input_layernorm.weight' starts at byte 1148, but the bytes"
                + " before it end at 1116"),
        file("bytes behind", f -> f.dataBytes += 3, "3 bytes after the last tensor"),
        file(
            "last byte gone",
            f -> f.edit = b -> Arrays.copyOf(b, b.length - 1),
            "tensor '" + LAST + "' has data_offsets [1792, 2176], with 2175 bytes of data"));
  }

  static Stream<Hostile<SafetensorsWriter>> uses() {
    String name = "tensor 'model.norm.weight'";
    return Stream.of(
        tensor("integers", "F32", "I32", name + " has type I32, which is not supported"),
        tensor(
            "doubles",
            "\"F32\",\"shape\":[8]",
            "\"F64\",\"shape\":[4]",
            name + " has shape [4], expected [8]"),
        tensor(
            "8-bit floats",
            "\"F32\",\"shape\":[8]",
            "\"F8_E4M3\",\"shape\":[32]",
            name + " has shape [32], expected [8]"),
        tensor("wrong shape", "[8]", "[2,4]", name + " has shape [2, 4], expected [8]"),
        tensor(
            "a scalar",
            "\"F32\",\"shape\":[8],\"data_offsets\":[160,192]",
            "\"F32\",\"shape\":[],\"data_offsets\":[160,192]",
            name + " has 32 bytes, but shape [] of F32 takes 4"));
  }

  @ParameterizedTest
  @MethodSource({"headers", "tensors", "uses"})
  void hostile(Hostile<SafetensorsWriter> hostile) throws IOException {
    SafetensorsWriter writer = SafetensorsWriter.llama();
    hostile.damage().accept(writer);
    writer.write(folder);
    hostile.expect(folder, folder.resolve("model.safetensors"));
  }

  static Stream<Hostile<SafetensorsWriter>> missing() {
    return Stream.of(
        file("no norm", f -> renamed(f, NORM), "tensor 'model.norm.weight' is missing"),
        file(
            "untied without head",
            f -> f.set("tie_word_embeddings", "false"),
            "tensor 'lm_head.weight' is missing"),
        file(
            "a layer too many",
            f -> f.set("num_hidden_layers", "2"),
            "tensor 'model.layers.1.input_layernorm.weight' is missing"),
        file(
            "biases promised",
            f -> f.set("attention_bias", "true"),
            "tensor 'model.layers.0.self_attn.q_proj.bias' is missing"));
  }

  private static void renamed(SafetensorsWriter folder, String tensor) {
    folder.tensors.put("other", folder.tensors.remove(tensor));
  }

  @ParameterizedTest
  @MethodSource("missing")
  void missingTensor(Hostile<SafetensorsWriter> hostile) throws IOException {
    SafetensorsWriter writer = SafetensorsWriter.llama();
    hostile.damage().accept(writer);
    writer.write(folder);
    hostile.expect(folder, folder);
  }

  @Test
  void everyTruncation() {
    Path file = Path.of("model.safetensors");
    MemorySegment whole = MemorySegment.ofArray(SafetensorsWriter.llama().write());
    for (long length = 0; length < whole.byteSize(); length++) {
      MemorySegment data = whole.asSlice(0, length);
      assertThatThrownBy(() -> SafetensorsHeader.parse(file, data))
          .as("first %d bytes", length)
          .isInstanceOf(ModelFormatException.class)
          .hasMessageStartingWith(file + ": ");
    }
  }

  private static Hostile<SafetensorsWriter> index(String name, String json, String message) {
    return file(name, f -> f.files.put("model.safetensors.index.json", json), message);
  }

  private static Hostile<SafetensorsWriter> shard(String name, String shard, String message) {
    return index(name, "{\"weight_map\":{\"a\":\"" + shard + "\"}}", message);
  }

  static Stream<Hostile<SafetensorsWriter>> indices() {
    String notAName = "is not the name of a .safetensors file";
    return Stream.of(
        index("empty index", "", "is not a JSON object"),
        index("index an array", "[]", "is not a JSON object"),
        index("no map", "{}", "key 'weight_map' is missing"),
        index(
            "map an array", "{\"weight_map\":[]}", "key 'weight_map' is '[]', expected an object"),
        index(
            "shard a number",
            "{\"weight_map\":{\"a\":1}}",
            "key 'weight_map.a' is 1, expected a string"),
        index("shard null", "{\"weight_map\":{\"a\":null}}", "key 'weight_map.a' is missing"),
        shard("shard above", "../model.safetensors", "shard '../model.safetensors' " + notAName),
        shard(
            "shard elsewhere",
            "/etc/model.safetensors",
            "shard '/etc/model.safetensors' " + notAName),
        shard("shard below", "a/model.safetensors", "shard 'a/model.safetensors' " + notAName),
        shard("shard with NUL", "a\\u0000.safetensors", "shard 'a\\u0000.safetensors' " + notAName),
        shard("shard of another kind", "passwd", "shard 'passwd' " + notAName),
        shard("shard without name", "", "shard '' " + notAName),
        shard(
            "tensor not in its shard",
            "part-1.safetensors",
            "tensor 'a' is not in 'part-1.safetensors'"));
  }

  @ParameterizedTest
  @MethodSource("indices")
  void hostileIndex(Hostile<SafetensorsWriter> hostile) throws IOException {
    SafetensorsWriter writer = SafetensorsWriter.llama();
    writer.name = "part-1.safetensors";
    hostile.damage().accept(writer);
    writer.write(folder);
    hostile.expect(folder, folder.resolve("model.safetensors.index.json"));
  }

  @Test
  void missingShard() throws IOException {
    SafetensorsWriter writer = SafetensorsWriter.llama();
    writer.name = "part-1.safetensors";
    writer.files.put(
        "model.safetensors.index.json", "{\"weight_map\":{\"a\":\"part-2.safetensors\"}}");
    writer.write(folder);
    assertThatThrownBy(() -> ModelFile.open(folder))
        .isInstanceOf(ModelFormatException.class)
        .hasMessage(folder.resolve("part-2.safetensors") + ": no such file");
  }

  @Test
  void tensorInTwoShards() throws IOException {
    SafetensorsWriter writer = SafetensorsWriter.llama();
    for (String name : new String[] {"part-1.safetensors", "part-2.safetensors"}) {
      writer.name = name;
      writer.write(folder);
    }
    Files.writeString(
        folder.resolve("model.safetensors.index.json"),
        "{\"weight_map\":{\"a\":\"part-1.safetensors\",\"b\":\"part-2.safetensors\"}}");
    assertThatThrownBy(() -> ModelFile.open(folder))
        .isInstanceOf(ModelFormatException.class)
        .hasMessage(
            folder.resolve("part-2.safetensors")
                + ": tensor 'model.embed_tokens.weight' is also in part-1.safetensors");
  }
}

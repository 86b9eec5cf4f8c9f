package dev.sylvester.runner.format;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Malformed headers of GGUF files: each gets one line naming the file, the key or tensor, and the
 * value.
 */
class HostileGgufTest {
  private static final long HUGE = 1L << 62;
  private static final byte[] NOT_UTF_8 = {'a', (byte) 0xff, 'b'};
  private static final String EMBEDDING = "token_embd.weight";
  private static final String QUERY = "blk.0.attn_q.weight";
  private static final String LAST = "blk.0.ffn_down.weight";

  @TempDir Path folder;

  private static Hostile<GgufWriter> file(
      String name, Consumer<GgufWriter> damage, String message) {
    return new Hostile<>(name, damage, message);
  }

  private static Hostile<GgufWriter> cut(String name, int length, String message) {
    return file(name, f -> f.edit = bytes -> Arrays.copyOf(bytes, length), message);
  }

  /** Keeps what comes before a text and {@code more} bytes from its start. */
  private static Hostile<GgufWriter> cutAfter(String name, String text, int more, String message) {
    return file(
        name,
        f ->
            f.edit =
                bytes -> {
                  int at = new String(bytes, StandardCharsets.ISO_8859_1).lastIndexOf(text);
                  return Arrays.copyOf(bytes, at + more);
                },
        message);
  }

  /** The same with no tensors, whose count would be found wrong first. */
  private static Hostile<GgufWriter> cutInMetadata(
      String name, String text, int more, String message) {
    return file(
        name,
        f -> {
          f.tensors.clear();
          cutAfter(name, text, more, message).damage().accept(f);
        },
        message);
  }

  private static Hostile<GgufWriter> key(
      String name, Consumer<GgufWriter.Pair> damage, String message) {
    return file(name, f -> damage.accept(f.pair("llama.context_length")), message);
  }

  private static Hostile<GgufWriter> tensor(
      String name, Consumer<GgufWriter.Entry> damage, String message) {
    return file(name, f -> damage.accept(f.tensor(QUERY)), message);
  }

  private static byte[] bytes(int... values) {
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < values.length; i++) {
      bytes[i] = (byte) values[i];
    }
    return bytes;
  }

  static Stream<Hostile<GgufWriter>> headers() {
    return Stream.of(
        file(
            "bad magic",
            f -> f.magic = 0x46474747,
            "header: magic is 0x46474747, not that of a GGUF file"),
        file("version 1", f -> f.version = 1, "header: version 1 is not supported, 2 and 3 are"),
        file("version 4", f -> f.version = 4, "header: version 4 is not supported, 2 and 3 are"),
        file(
            "version 2^32 - 1",
            f -> f.version = -1,
            "header: version 4294967295 is not supported, 2 and 3 are"),
        file("big-endian", f -> f.version = 3 << 24, "header: big-endian files are not supported"),
        file(
            "2^63 tensors",
            f -> f.tensorCount = Long.MIN_VALUE,
            "header: tensor count is 9223372036854775808, with 3312 bytes left"),
        file(
            "2^62 tensors",
            f -> f.tensorCount = HUGE,
            "header: tensor count is 4611686018427387904, with 3312 bytes left"),
        file(
            "more tensors than bytes",
            f -> f.tensorCount = 1000L,
            "header: tensor count is 1000, with 3312 bytes left"),
        file(
            "2^64 - 1 pairs",
            f -> f.pairCount = -1L,
            "header: metadata count is 18446744073709551615, with 3304 bytes left"),
        file(
            "more pairs than bytes",
            f -> f.pairCount = 1000L,
            "header: metadata count is 1000, with 3304 bytes left"),
        file(
            "a pair too many",
            f -> f.pairCount = 11L,
            "tensor 0: string length is 1407374883553280, with 2793 bytes left"),
        file(
            "a pair too few",
            f -> f.pairCount = 9L,
            "tensor 'tokenizer.ggml.eos_token_id': unknown tensor type 2048"),
        cut("empty", 0, "header: 0 bytes are too short for a GGUF file"),
        cut("magic only", 4, "header: 4 bytes are too short for a GGUF file"),
        cut("no counts", 23, "header: 23 bytes are too short for a GGUF file"),
        cut("counts only", 24, "header: tensor count is 11, with 8 bytes left"));
  }

  static Stream<Hostile<GgufWriter>> truncations() {
    String tokens = "tokenizer.ggml.tokens";
    return Stream.of(
        cutInMetadata(
            "before a key", tokens, -4, "metadata key 8: the file ends here, at byte 362"),
        cutInMetadata(
            "inside a key", tokens, 5, "metadata key 8: string length is 21, with 5 bytes left"),
        cutInMetadata(
            "before a type",
            tokens,
            22,
            "key 'tokenizer.ggml.tokens': the file ends here, at byte 388"),
        cutInMetadata(
            "inside an array's length",
            tokens,
            32,
            "key 'tokenizer.ggml.tokens': the file ends here, at byte 398"),
        cutInMetadata(
            "inside a string",
            "</s>",
            1,
            "key 'tokenizer.ggml.tokens': array length is 5, with 20 bytes left"),
        cutInMetadata(
            "inside a value",
            "eos_token_id",
            18,
            "key 'tokenizer.ggml.eos_token_id': the file ends here, at byte 494"),
        cutAfter(
            "inside a tensor's name",
            QUERY,
            16,
            "tensor 3: string length is 19, with 16 bytes left"),
        cutAfter(
            "inside a tensor's dimensions",
            QUERY,
            28,
            "tensor 'blk.0.attn_q.weight': the file ends here, at byte 693"),
        cutAfter(
            "inside a tensor's offset",
            LAST,
            47,
            "tensor 'blk.0.ffn_down.weight': the file ends here, at byte 1126"),
        cutAfter(
            "no data",
            LAST,
            53,
            "tensor 'token_embd.weight': 160 bytes at offset 0 end beyond the data section of 0"
                + " bytes"),
        file(
            "last byte gone",
            f -> f.edit = b -> Arrays.copyOf(b, b.length - 1),
            "tensor 'blk.0.ffn_down.weight': 384 bytes at offset 1792 end beyond the data section"
                + " of 2175 bytes"));
  }

  static Stream<Hostile<GgufWriter>> metadata() {
    String name = "llama.context_length";
    return Stream.of(
        key(
            "empty key",
            p -> p.key = new byte[0],
            "metadata key 2: name length is 0, expected 1 to 256"),
        key(
            "key of 257 bytes",
            p -> p.key = new byte[257],
            "metadata key 2: name length is 257, expected 1 to 256"),
        key("key not UTF-8", p -> p.key = NOT_UTF_8, "metadata key 2: not UTF-8: 'a\uFFFDb'"),
        key(
            "key with line breaks",
            p -> p.key = bytes('a', '\n', 0x1b),
            "key 'llama.context_length' is missing"),
        file(
            "key twice",
            f -> f.pairs.add(f.pair(name)),
            "key 'llama.context_length': occurs twice"),
        key("value type 13", p -> p.type = 13, "key 'llama.context_length': unknown value type 13"),
        key(
            "value type 2^32 - 1",
            p -> p.type = -1,
            "key 'llama.context_length': unknown value type 4294967295"),
        key(
            "string of 2^62 bytes",
            p -> huge(p, GgufWriter.STRING),
            "key 'llama.context_length': string length is 4611686018427387904, with 3186 bytes"
                + " left"),
        key(
            "array of 2^62 bytes",
            p -> array(p, 0, HUGE),
            "key 'llama.context_length': array length is 4611686018427387904, with 3182 bytes"
                + " left"),
        key(
            "array of 2^61 doubles",
            p -> array(p, 12, 1L << 61),
            "key 'llama.context_length': array length is 2305843009213693952, with 3182 bytes"
                + " left"),
        key(
            "array of -1 strings",
            p -> array(p, 8, -1),
            "key 'llama.context_length': array length is 18446744073709551615, with 3182 bytes"
                + " left"),
        key(
            "array of arrays",
            p -> array(p, 9, 1),
            "key 'llama.context_length': arrays of arrays are not supported"),
        key(
            "array of type 77",
            p -> array(p, 77, 1),
            "key 'llama.context_length': unknown value type 77"),
        key(
            "array instead of a number",
            p -> array(p, 4, 0),
            "key 'llama.context_length' is an ARRAY of UINT32, expected an integer"),
        file(
            "string in an array beyond the end",
            f -> f.raw("x", 9, GgufWriter.buffer(20).putInt(8).putLong(1).putLong(HUGE).array()),
            "key 'x': string length is 4611686018427387904, with 2831 bytes left"),
        file(
            "alignment 0",
            f -> f.set("general.alignment", 0),
            "key 'general.alignment' is 0, expected a power of two"),
        file(
            "alignment 24",
            f -> f.set("general.alignment", 24),
            "key 'general.alignment' is 24, expected a power of two"),
        file(
            "alignment 2^32 - 1",
            f -> f.set("general.alignment", -1),
            "key 'general.alignment' is 4294967295, expected a power of two"),
        file(
            "alignment 2^62",
            f -> f.setLong("general.alignment", HUGE),
            "key 'general.alignment' is 4611686018427387904, expected a power of two"),
        file(
            "alignment 2^31",
            f -> f.setLong("general.alignment", 1L << 31),
            "tensor 'output_norm.weight': offset 160, expected a multiple of 2147483648"),
        file(
            "alignment a string",
            f -> f.set("general.alignment", "32"),
            "key 'general.alignment' is of type STRING, expected an integer"));
  }

  private static void huge(GgufWriter.Pair pair, int type) {
    pair.type = type;
    pair.value = GgufWriter.buffer(8).putLong(HUGE).array();
  }

  private static void array(GgufWriter.Pair pair, int elementType, long count) {
    pair.type = GgufWriter.ARRAY;
    pair.value = GgufWriter.buffer(12).putInt(elementType).putLong(count).array();
  }

  static Stream<Hostile<GgufWriter>> tensors() {
    return Stream.of(
        tensor(
            "empty name",
            t -> t.name = new byte[0],
            "tensor 3: name length is 0, expected 1 to 256"),
        tensor(
            "name of 257 bytes",
            t -> t.name = new byte[257],
            "tensor 3: name length is 257, expected 1 to 256"),
        tensor("name not UTF-8", t -> t.name = NOT_UTF_8, "tensor 3: not UTF-8: 'a\uFFFDb'"),
        tensor(
            "name twice",
            t -> t.name = EMBEDDING.getBytes(),
            "tensor 'token_embd.weight': occurs twice"),
        tensor(
            "name of another spelling",
            t -> t.name = "model.norm.weight".getBytes(),
            "tensors 'output_norm.weight' and 'model.norm.weight' are the same"),
        tensor(
            "no dimensions",
            t -> t.dimensionCount = 0,
            "tensor 'blk.0.attn_q.weight': 0 dimensions, expected 1 to 4"),
        tensor(
            "5 dimensions",
            t -> t.dimensionCount = 5,
            "tensor 'blk.0.attn_q.weight': 5 dimensions, expected 1 to 4"),
        tensor(
            "2^32 - 1 dimensions",
            t -> t.dimensionCount = -1,
            "tensor 'blk.0.attn_q.weight': 4294967295 dimensions, expected 1 to 4"),
        tensor(
            "dimension 0", t -> t.dimensions[1] = 0, "tensor 'blk.0.attn_q.weight': dimension 0"),
        tensor(
            "dimension 2^64 - 8",
            t -> t.dimensions[0] = -8,
            "tensor 'blk.0.attn_q.weight': dimension 18446744073709551608"),
        tensor(
            "2^80 elements",
            t -> t.dimensions = new long[] {1L << 40, 1L << 40},
            "tensor 'blk.0.attn_q.weight': shape [1099511627776, 1099511627776] is impossible for"
                + " type F32"),
        tensor(
            "2^64 bytes",
            t -> t.dimensions = new long[] {1L << 62},
            "tensor 'blk.0.attn_q.weight': shape [4611686018427387904] is impossible for type F32"),
        tensor(
            "half a block",
            t -> t.type = 2,
            "tensor 'blk.0.attn_q.weight': shape [8, 8] is impossible for type Q4_0"),
        tensor(
            "a type that was removed",
            t -> t.type = 4,
            "tensor 'blk.0.attn_q.weight': unknown tensor type 4"),
        tensor("type 99", t -> t.type = 99, "tensor 'blk.0.attn_q.weight': unknown tensor type 99"),
        tensor(
            "type 2^32 - 1",
            t -> t.type = -1,
            "tensor 'blk.0.attn_q.weight': unknown tensor type 4294967295"),
        tensor(
            "offset 1",
            t -> t.offset = 1L,
            "tensor 'blk.0.attn_q.weight': offset 1, expected a multiple of 32"),
        tensor(
            "offset 2^63",
            t -> t.offset = Long.MIN_VALUE,
            "tensor 'blk.0.attn_q.weight': offset 9223372036854775808, expected a multiple of 32"),
        tensor(
            "offset 2^63 - 32",
            t -> t.offset = Long.MAX_VALUE - 31,
            "tensor 'blk.0.attn_q.weight': 256 bytes at offset 9223372036854775776 end beyond the"
                + " data section of 2176 bytes"),
        tensor(
            "offset at the end",
            t -> t.offset = 2176L,
            "tensor 'blk.0.attn_q.weight': 256 bytes at offset 2176 end beyond the data section of"
                + " 2176 bytes"),
        tensor(
            "larger than the file",
            t -> t.dimensions = new long[] {8, 1000},
            "tensor 'blk.0.attn_q.weight': 32000 bytes at offset 224 end beyond the data section of"
                + " 2176 bytes"),
        tensor(
            "overlap",
            t -> t.offset = 32L,
            "tensor 'blk.0.attn_q.weight' at byte 1184 overlaps tensor 'token_embd.weight', which"
                + " ends at byte 1312"),
        tensor(
            "wider than its data",
            t -> t.dimensions = new long[] {8, 12},
            "tensor 'blk.0.attn_k.weight' at byte 1632 overlaps tensor 'blk.0.attn_q.weight', which"
                + " ends at byte 1760"));
  }

  @ParameterizedTest
  @MethodSource({"headers", "truncations", "metadata", "tensors"})
  void hostile(Hostile<GgufWriter> hostile) throws IOException {
    GgufWriter writer = GgufWriter.llama();
    hostile.damage().accept(writer);
    Path file = Files.write(folder.resolve("model.gguf"), writer.write());
    hostile.expect(file, file);
  }

  @Test
  void everyTruncation() {
    Path file = Path.of("model.gguf");
    MemorySegment whole = MemorySegment.ofArray(GgufWriter.llama().write());
    for (long length = 0; length < whole.byteSize(); length++) {
      MemorySegment data = whole.asSlice(0, length);
      assertThatThrownBy(() -> GgufHeader.parse(file, data))
          .as("first %d bytes", length)
          .isInstanceOf(ModelFormatException.class)
          .hasMessageStartingWith(file + ": ");
    }
  }
}

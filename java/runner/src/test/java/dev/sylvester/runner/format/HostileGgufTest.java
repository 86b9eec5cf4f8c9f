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

/** Malformed GGUF files: each gets one line naming the file, the key or tensor, and the value. */
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

  static Stream<Hostile<GgufWriter>> configurations() {
    return Stream.of(
        file(
            "no architecture",
            f -> f.remove("general.architecture"),
            "key 'general.architecture' is missing"),
        file(
            "architecture a number",
            f -> f.set("general.architecture", 1),
            "key 'general.architecture' is of type UINT32, expected a string"),
        file(
            "unknown architecture",
            f -> f.set("general.architecture", "gemma3"),
            "key 'general.architecture' is 'gemma3', expected llama, qwen2, qwen3 or dream"),
        file(
            "architecture not UTF-8",
            f -> f.raw("general.architecture", 8, GgufWriter.string(NOT_UTF_8)),
            "key 'general.architecture': not UTF-8: 'a\uFFFDb'"),
        file(
            "architecture with line breaks",
            f -> f.set("general.architecture", "a\nb\u2028c\u202Ed"),
            "key 'general.architecture' is 'a\\u000ab\\u2028c\\u202ed', expected llama, qwen2,"
                + " qwen3 or dream"),
        file(
            "endless architecture",
            f -> f.set("general.architecture", "x".repeat(10000)),
            "key 'general.architecture' is '"
                + "x".repeat(80)
                + "...', expected llama, qwen2, qwen3 or dream"),
        file(
            "experts",
            f -> f.set("llama.expert_count", 8),
            "key 'llama.expert_count' is 8, which is not supported"),
        file(
            "one part of two",
            f -> f.set("split.count", 2),
            "key 'split.count' is 2, which is not supported"),
        file(
            "no layer count",
            f -> f.remove("llama.block_count"),
            "key 'llama.block_count' is missing"),
        file(
            "no layers",
            f -> f.set("llama.block_count", 0),
            "key 'llama.block_count' is 0, expected 1 to 4096"),
        file(
            "2^32 - 1 layers",
            f -> f.set("llama.block_count", -1),
            "key 'llama.block_count' is 4294967295, expected 1 to 4096"),
        file(
            "2^64 - 1 layers",
            f -> f.setLong("llama.block_count", -1),
            "key 'llama.block_count' is 18446744073709551615, expected less than 2^63"),
        file(
            "layers as float",
            f -> f.setFloat("llama.block_count", 1),
            "key 'llama.block_count' is of type FLOAT32, expected an integer"),
        file(
            "a layer too many",
            f -> f.set("llama.block_count", 2),
            "tensor 'model.layers.1.input_layernorm.weight' is missing"),
        file(
            "no heads",
            f -> f.set("llama.attention.head_count", 0),
            "key 'llama.attention.head_count' is 0, expected 1 to 4096"),
        file(
            "3 heads",
            f -> f.set("llama.attention.head_count", 3),
            "key 'llama.attention.head_count' is 3, expected a divisor of 8"),
        file(
            "no kv heads",
            f -> f.set("llama.attention.head_count_kv", 0),
            "key 'llama.attention.head_count_kv' is 0, expected 1 to 4096"),
        file(
            "3 kv heads",
            f -> f.set("llama.attention.head_count_kv", 3),
            "2 query heads are not a multiple of 3 key and value heads"),
        file(
            "head dimension 3",
            f -> f.set("llama.attention.key_length", 3),
            "head dimension 3 is odd"),
        file(
            "other head dimension of values",
            f -> f.set("llama.attention.key_length", 4).set("llama.attention.value_length", 8),
            "key 'llama.attention.value_length' is 8, expected 4"),
        file(
            "wrong width",
            f -> f.set("llama.embedding_length", 16),
            "tensor 'token_embd.weight' has shape [5, 8], expected [5, 16]"),
        file(
            "width 2^31",
            f -> f.set("llama.embedding_length", 1 << 31),
            "key 'llama.embedding_length' is 2147483648, expected 1 to 1048576"),
        file(
            "no feed-forward width",
            f -> f.set("llama.feed_forward_length", 0),
            "key 'llama.feed_forward_length' is 0, expected 1 to 1048576"),
        file(
            "no context",
            f -> f.set("llama.context_length", 0),
            "key 'llama.context_length' is 0, expected 1 to 1073741824"),
        file(
            "no epsilon",
            f -> f.remove("llama.attention.layer_norm_rms_epsilon"),
            "key 'llama.attention.layer_norm_rms_epsilon' is missing"),
        file(
            "epsilon NaN",
            f -> f.setFloat("llama.attention.layer_norm_rms_epsilon", Float.NaN),
            "key 'llama.attention.layer_norm_rms_epsilon' is NaN, expected a finite number above"
                + " 0"),
        file(
            "epsilon negative",
            f -> f.setFloat("llama.attention.layer_norm_rms_epsilon", -0.5f),
            "key 'llama.attention.layer_norm_rms_epsilon' is -0.5, expected a finite number above"
                + " 0"),
        file(
            "epsilon a string",
            f -> f.set("llama.attention.layer_norm_rms_epsilon", "1"),
            "key 'llama.attention.layer_norm_rms_epsilon' is of type STRING, expected a number"),
        file(
            "base infinite",
            f -> f.setFloat("llama.rope.freq_base", Float.POSITIVE_INFINITY),
            "key 'llama.rope.freq_base' is Infinity, expected a finite number above 0"),
        file(
            "base 0",
            f -> f.setFloat("llama.rope.freq_base", 0),
            "key 'llama.rope.freq_base' is 0.0, expected a finite number above 0"),
        file(
            "more rotated than there are",
            f -> f.set("llama.rope.dimension_count", 6),
            "6 rotated dimensions do not fit head dimension 4"),
        file(
            "odd rotated dimensions",
            f -> f.set("llama.rope.dimension_count", 3),
            "3 rotated dimensions do not fit head dimension 4"),
        file(
            "unknown scaling",
            f -> f.set("llama.rope.scaling.type", "longrope"),
            "key 'llama.rope.scaling.type' is 'longrope', expected none, linear or yarn"),
        file(
            "linear scaling without factor",
            f -> f.set("llama.rope.scaling.type", "linear"),
            "key 'llama.rope.scaling.factor' is missing"),
        file(
            "negative scaling",
            f -> f.set("llama.rope.scaling.type", "yarn").setFloat("llama.rope.scaling.factor", -2),
            "key 'llama.rope.scaling.factor' is -2.0, expected a finite number above 0"),
        file(
            "window negative",
            f -> f.raw("llama.attention.sliding_window", 5, bytes(-1, -1, -1, -1)),
            "key 'llama.attention.sliding_window' is -1, expected 1 to 2147483647"),
        file(
            "causal a number",
            f -> f.set("llama.attention.causal", 1),
            "key 'llama.attention.causal' is of type UINT32, expected a boolean"),
        file(
            "causal neither true nor false",
            f -> f.raw("llama.attention.causal", 7, bytes(2)),
            "key 'llama.attention.causal' is 2, expected 0 or 1"),
        file(
            "end token beyond the vocabulary",
            f -> f.set("tokenizer.ggml.eos_token_id", 5),
            "key 'tokenizer.ggml.eos_token_id' is 5, expected a token id below 5"),
        file(
            "begin token negative",
            f -> f.raw("tokenizer.ggml.bos_token_id", 5, bytes(-1, -1, -1, -1)),
            "key 'tokenizer.ggml.bos_token_id' is -1, expected a token id below 5"),
        file(
            "a token too few",
            f -> f.setStrings("tokenizer.ggml.tokens", "a", "b", "c", "d"),
            "key 'tokenizer.ggml.tokens' has 4 tokens, but tensor 'token_embd.weight' has 5 rows"),
        file(
            "tokens not an array",
            f -> f.set("tokenizer.ggml.tokens", "abcde"),
            "key 'tokenizer.ggml.tokens' is of type STRING, expected an array"));
  }

  static Stream<Hostile<GgufWriter>> uses() {
    return Stream.of(
        file(
            "no embedding",
            f -> f.removeTensor(EMBEDDING),
            "tensor 'token_embd.weight' is missing"),
        file(
            "no query projection",
            f -> f.removeTensor(QUERY),
            "tensor 'model.layers.0.self_attn.q_proj.weight' is missing"),
        file(
            "wrong shape",
            f -> f.tensor(LAST).dimensions = new long[] {8, 12},
            "tensor 'blk.0.ffn_down.weight' has shape [12, 8], expected [8, 12]"),
        file(
            "flat",
            f -> f.tensor(QUERY).dimensions = new long[] {64},
            "tensor 'blk.0.attn_q.weight' has shape [64], expected [8, 8]"),
        file(
            "type without kernels",
            f -> f.tensor(LAST).type = 26,
            "tensor 'blk.0.ffn_down.weight' has type I32, which is not supported"),
        file(
            "bias in one projection only",
            f -> f.add("blk.0.attn_q.bias", 8),
            "tensor 'model.layers.0.self_attn.k_proj.bias' is missing"),
        file(
            "too few frequency factors",
            f -> f.add("rope_freqs.weight", 1),
            "tensor 'rope_freqs.weight' has shape [1], expected [2]"),
        file(
            "frequency factors of another type",
            f -> f.add("rope_freqs.weight", 1, new long[] {2}, new byte[4]),
            "tensor 'rope_freqs.weight' has type F16, expected F32"),
        file(
            "frequency factor 0",
            f -> f.add("rope_freqs.weight", 2),
            "tensor 'rope_freqs.weight' has value 0.0 at 0"));
  }

  @ParameterizedTest
  @MethodSource({"headers", "truncations", "metadata", "tensors", "configurations", "uses"})
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

package dev.sylvester.runner.format;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Sound GGUF files whose configuration or tensors are of no use. */
class HostileGgufConfigTest {
  private static final byte[] NOT_UTF_8 = {'a', (byte) 0xff, 'b'};
  private static final byte[] MINUS_ONE = {-1, -1, -1, -1};
  private static final int INT32 = 5;
  private static final String EMBEDDING = "token_embd.weight";
  private static final String QUERY = "blk.0.attn_q.weight";
  private static final String LAST = "blk.0.ffn_down.weight";

  @TempDir Path folder;

  private static Hostile<GgufWriter> file(
      String name, Consumer<GgufWriter> damage, String message) {
    return new Hostile<>(name, damage, message);
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
            "key 'general.architecture' is 'gemma3', expected llama, qwen2, qwen3, dream or llada"),
        file(
            "architecture not UTF-8",
            f -> f.raw("general.architecture", 8, GgufWriter.string(NOT_UTF_8)),
            "key 'general.architecture': not UTF-8: 'a\uFFFDb'"),
        file(
            "architecture with line breaks",
            f -> f.set("general.architecture", "a\nb\u2028c\u202Ed"),
            "key 'general.architecture' is 'a\\u000ab\\u2028c\\u202ed', expected llama, qwen2,"
                + " qwen3, dream or llada"),
        file(
            "endless architecture",
            f -> f.set("general.architecture", "x".repeat(10000)),
            "key 'general.architecture' is '"
                + "x".repeat(80)
                + "...', expected llama, qwen2, qwen3, dream or llada"),
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
            f -> f.raw("llama.attention.sliding_window", INT32, MINUS_ONE),
            "key 'llama.attention.sliding_window' is -1, expected 1 to 2147483647"),
        file(
            "causal a number",
            f -> f.set("llama.attention.causal", 1),
            "key 'llama.attention.causal' is of type UINT32, expected a boolean"),
        file(
            "causal neither true nor false",
            f -> f.raw("llama.attention.causal", GgufWriter.BOOL, new byte[] {2}),
            "key 'llama.attention.causal' is 2, expected 0 or 1"),
        file(
            "end token beyond the vocabulary",
            f -> f.set("tokenizer.ggml.eos_token_id", 5),
            "key 'tokenizer.ggml.eos_token_id' is 5, expected a token id below 5"),
        file(
            "begin token negative",
            f -> f.raw("tokenizer.ggml.bos_token_id", INT32, MINUS_ONE),
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
  @MethodSource({"configurations", "uses"})
  void hostile(Hostile<GgufWriter> hostile) throws IOException {
    GgufWriter writer = GgufWriter.llama();
    hostile.damage().accept(writer);
    Path file = Files.write(folder.resolve("model.gguf"), writer.write());
    hostile.expect(file, file);
  }
}

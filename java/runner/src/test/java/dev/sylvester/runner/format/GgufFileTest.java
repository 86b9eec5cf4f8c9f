package dev.sylvester.runner.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Configuration and names of GGUF files. */
class GgufFileTest {
  private static final Path FILE = Path.of("model.gguf");

  private static Map<String, Tensor> tensors(GgufWriter writer) {
    MemorySegment data = MemorySegment.ofArray(writer.write());
    return GgufFile.tensors(FILE, GgufHeader.parse(FILE, data), data);
  }

  private static ModelConfig config(GgufWriter writer) {
    MemorySegment data = MemorySegment.ofArray(writer.write());
    GgufHeader header = GgufHeader.parse(FILE, data);
    return GgufConfig.read(header.metadata(), GgufFile.tensors(FILE, header, data));
  }

  /** The writer's model under another architecture's name. */
  private static GgufWriter as(String architecture) {
    GgufWriter writer = GgufWriter.llama();
    for (GgufWriter.Pair pair : writer.pairs) {
      pair.key = new String(pair.key).replace("llama.", architecture + '.').getBytes();
    }
    return writer.set("general.architecture", architecture);
  }

  @Test
  void llama() {
    ModelConfig config = config(GgufWriter.llama());
    assertThat(config.architecture()).isEqualTo("llama");
    assertThat(config.layers()).isEqualTo(1);
    assertThat(config.hiddenSize()).isEqualTo(8);
    assertThat(config.heads()).isEqualTo(2);
    assertThat(config.kvHeads()).isEqualTo(1);
    assertThat(config.headDim()).isEqualTo(4);
    assertThat(config.intermediateSize()).isEqualTo(12);
    assertThat(config.vocabSize()).isEqualTo(5);
    assertThat(config.contextLength()).isEqualTo(16);
    assertThat(config.rmsNormEps()).isEqualTo(1e-5f);
    assertThat(config.rope().kind()).isEqualTo(RopeConfig.Kind.NONE);
    assertThat(config.rope().theta()).isEqualTo(10000);
    assertThat(config.rope().dims()).isEqualTo(4);
    assertThat(config.rope().interleaved()).isTrue();
    assertThat(config.rope().factors()).isEmpty();
    assertThat(config.tiedEmbeddings()).isTrue();
    assertThat(config.attentionBias() || config.outputBias() || config.mlpBias()).isFalse();
    assertThat(config.qkNorm() || config.bidirectional() || config.shiftedLogits()).isFalse();
    assertThat(config.slidingWindows()).containsExactly(0);
    assertThat(config.eosIds()).containsExactly(1);
    assertThat(config.bosId()).isEqualTo(-1);
    assertThat(config.maskId()).isEqualTo(-1);
  }

  @Test
  void otherArchitectures() {
    ModelConfig qwen2 = config(as("qwen2"));
    assertThat(qwen2.attentionBias()).isTrue();
    assertThat(qwen2.outputBias() || qwen2.qkNorm()).isFalse();
    assertThat(qwen2.rope().interleaved()).isFalse();
    ModelConfig qwen3 = config(as("qwen3"));
    assertThat(qwen3.qkNorm()).isTrue();
    assertThat(qwen3.attentionBias() || qwen3.rope().interleaved()).isFalse();
    ModelConfig dream = config(as("dream").set("tokenizer.ggml.mask_token_id", 4));
    assertThat(dream.bidirectional() && dream.shiftedLogits()).isTrue();
    assertThat(dream.maskId()).isEqualTo(4);
    assertThat(config(as("dream").set("diffusion.shift_logits", false)).shiftedLogits()).isFalse();
    ModelConfig llada = config(as("llada"));
    assertThat(llada.bidirectional() && llada.rope().interleaved()).isTrue();
    assertThat(llada.shiftedLogits() || llada.attentionBias()).isFalse();
  }

  @Test
  void options() {
    GgufWriter writer =
        GgufWriter.llama()
            .set("tokenizer.ggml.bos_token_id", 0)
            .set("tokenizer.ggml.eot_token_id", 3)
            .set("tokenizer.ggml.eom_token_id", 2)
            .set("llama.attention.key_length", 6)
            .set("llama.attention.value_length", 6)
            .set("llama.attention.sliding_window", 8)
            .set("llama.attention.causal", false)
            .set("llama.rope.dimension_count", 2)
            .setFloat("llama.rope.freq_base", 5e5f)
            .remove("llama.attention.head_count_kv")
            .add("output.weight", 8, 5)
            .add("blk.0.attn_q.bias", 8)
            .add("blk.0.attn_output.bias", 8)
            .add("blk.0.ffn_gate.bias", 12);
    ModelConfig config = config(writer);
    assertThat(config.bosId()).isZero();
    assertThat(config.eosIds()).containsExactly(1, 2, 3);
    assertThat(config.kvHeads()).isEqualTo(2);
    assertThat(config.headDim()).isEqualTo(6);
    assertThat(config.slidingWindows()).containsExactly(8);
    assertThat(config.bidirectional()).isTrue();
    assertThat(config.rope().dims()).isEqualTo(2);
    assertThat(config.rope().theta()).isEqualTo(5e5);
    assertThat(config.tiedEmbeddings()).isFalse();
    assertThat(config.attentionBias() && config.outputBias() && config.mlpBias()).isTrue();
  }

  @Test
  void ropeScaling() {
    RopeConfig factors =
        config(
                GgufWriter.llama()
                    .add(
                        "rope_freqs.weight",
                        0,
                        new long[] {2},
                        GgufWriter.buffer(8).putFloat(1).putFloat(32).array()))
            .rope();
    assertThat(factors.kind()).isEqualTo(RopeConfig.Kind.NONE);
    assertThat(factors.factors()).containsExactly(1f, 32f);
    RopeConfig linear =
        config(
                GgufWriter.llama()
                    .set("llama.rope.scaling.type", "linear")
                    .setFloat("llama.rope.scaling.factor", 4))
            .rope();
    assertThat(linear.kind()).isEqualTo(RopeConfig.Kind.LINEAR);
    assertThat(linear.factor()).isEqualTo(4);
    RopeConfig former = config(GgufWriter.llama().setFloat("llama.rope.scale_linear", 4)).rope();
    assertThat(former).usingRecursiveComparison().isEqualTo(linear);
    RopeConfig yarn =
        config(
                GgufWriter.llama()
                    .set("llama.rope.scaling.type", "yarn")
                    .setFloat("llama.rope.scaling.factor", 4)
                    .setFloat("llama.rope.scaling.attn_factor", 0.5f)
                    .set("llama.rope.scaling.original_context_length", 1024))
            .rope();
    assertThat(yarn.kind()).isEqualTo(RopeConfig.Kind.YARN);
    assertThat(yarn.originalContext()).isEqualTo(1024);
    assertThat(yarn.attentionFactor()).isCloseTo(0.5 * 1.1386294361119891, within(1e-15));
  }

  @Test
  void names() {
    assertThat(
            tensors(
                    GgufWriter.llama()
                        .add("output.weight", 2)
                        .add("blk.12.attn_q_norm.weight", 2)
                        .add("blk.12.attn_k_norm.weight", 2)
                        .add("blk.7.attn_v.bias", 2))
                .keySet())
        .containsExactly(
            "model.embed_tokens.weight",
            "model.norm.weight",
            "model.layers.0.input_layernorm.weight",
            "model.layers.0.self_attn.q_proj.weight",
            "model.layers.0.self_attn.k_proj.weight",
            "model.layers.0.self_attn.v_proj.weight",
            "model.layers.0.self_attn.o_proj.weight",
            "model.layers.0.post_attention_layernorm.weight",
            "model.layers.0.mlp.gate_proj.weight",
            "model.layers.0.mlp.up_proj.weight",
            "model.layers.0.mlp.down_proj.weight",
            "lm_head.weight",
            "model.layers.12.self_attn.q_norm.weight",
            "model.layers.12.self_attn.k_norm.weight",
            "model.layers.7.self_attn.v_proj.bias");
    for (String other :
        new String[] {
          "rope_freqs.weight",
          "blk",
          "blk.",
          "blk.0",
          "blk.0.weight",
          "blk.0.attn_rot_embd.weight",
          "",
          "."
        }) {
      assertThat(GgufNames.canonical(other)).isEqualTo(other);
    }
  }

  @Test
  void shapesAreOutermostFirst() {
    Tensor tensor = tensors(GgufWriter.llama()).get("model.layers.0.mlp.down_proj.weight");
    assertThat(tensor.shape()).containsExactly(8, 12);
    assertThat(tensor.nameInFile()).isEqualTo("blk.0.ffn_down.weight");
    assertThat(tensor.elements()).isEqualTo(96);
    assertThat(tensor).hasToString("model.layers.0.mlp.down_proj.weight F32 [8, 12]");
  }

  @Test
  void unusedTensorOfAnyTypeIsNoError() {
    Tensor tensor =
        tensors(GgufWriter.llama().add("extra", 10, new long[] {256}, new byte[84])).get("extra");
    assertThat(tensor.type()).isEqualTo(TensorType.Q2_K);
    assertThatThrownBy(tensor::dtype)
        .isInstanceOf(ModelFormatException.class)
        .hasMessage("model.gguf: tensor 'extra' has type Q2_K, which is not supported");
  }
}

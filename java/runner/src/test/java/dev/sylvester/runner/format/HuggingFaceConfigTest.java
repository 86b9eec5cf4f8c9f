package dev.sylvester.runner.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** config.json of each architecture, and the variants transformers writes. */
class HuggingFaceConfigTest {
  private static final String SIZES =
      "'hidden_size':64,'num_hidden_layers':4,'num_attention_heads':4,'intermediate_size':80,"
          + "'vocab_size':100,'max_position_embeddings':4096";

  private static JsonSettings settings(String json) {
    byte[] bytes = json.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
    return JsonSettings.parse(Path.of("config.json"), bytes);
  }

  private static ModelConfig read(String type, String more) {
    String json = "{'model_type':'" + type + "'," + SIZES + more + "}";
    return HuggingFaceConfig.read(settings(json), Optional.empty());
  }

  private static RopeConfig rope(String parameters) {
    return read("llama", "," + parameters).rope();
  }

  @Test
  void defaults() {
    ModelConfig config = read("llama", "");
    assertThat(config.architecture()).isEqualTo("llama");
    assertThat(config.kvHeads()).isEqualTo(4);
    assertThat(config.headDim()).isEqualTo(16);
    assertThat(config.rmsNormEps()).isEqualTo(1e-6);
    assertThat(config.rope().kind()).isEqualTo(RopeConfig.Kind.NONE);
    assertThat(config.rope().theta()).isEqualTo(10000);
    assertThat(config.rope().dims()).isEqualTo(16);
    assertThat(config.rope().interleaved()).isFalse();
    assertThat(config.tiedEmbeddings()).isFalse();
    assertThat(config.attentionBias()).isFalse();
    assertThat(config.outputBias()).isFalse();
    assertThat(config.mlpBias()).isFalse();
    assertThat(config.qkNorm()).isFalse();
    assertThat(config.bidirectional()).isFalse();
    assertThat(config.shiftedLogits()).isFalse();
    assertThat(config.slidingWindows()).isEqualTo(Collections.nCopies(4, 0));
    assertThat(config.bosId()).isEqualTo(-1);
    assertThat(config.eosIds()).isEmpty();
    assertThat(config.maskId()).isEqualTo(-1);
  }

  @Test
  void nullsAreAbsent() {
    String nulls =
        ",'head_dim':null,'num_key_value_heads':null,'rope_scaling':null,'eos_token_id':null,"
            + "'bos_token_id':null,'rope_parameters':null,'hidden_act':null";
    assertThat(read("llama", nulls)).usingRecursiveComparison().isEqualTo(read("llama", ""));
  }

  @Test
  void biases() {
    ModelConfig llama = read("llama", ",'attention_bias':true,'mlp_bias':true");
    assertThat(llama.attentionBias() && llama.outputBias() && llama.mlpBias()).isTrue();
    ModelConfig qwen2 = read("qwen2", "");
    assertThat(qwen2.attentionBias()).isTrue();
    assertThat(qwen2.outputBias() || qwen2.mlpBias()).isFalse();
    ModelConfig qwen3 = read("qwen3", ",'attention_bias':true");
    assertThat(qwen3.attentionBias() && qwen3.outputBias()).isTrue();
    assertThat(read("qwen3", "").attentionBias()).isFalse();
    assertThat(read("mistral", ",'attention_bias':true").attentionBias()).isFalse();
  }

  @Test
  void qwen3() {
    ModelConfig config = read("qwen3", "");
    assertThat(config.qkNorm()).isTrue();
    assertThat(config.headDim()).isEqualTo(128);
    assertThat(read("qwen3", ",'head_dim':32").headDim()).isEqualTo(32);
  }

  @Test
  void dream() {
    ModelConfig config = read("Dream", ",'mask_token_id':99");
    assertThat(config.architecture()).isEqualTo("dream");
    assertThat(config.bidirectional() && config.shiftedLogits()).isTrue();
    assertThat(config.attentionBias()).isTrue();
    assertThat(config.outputBias()).isFalse();
    assertThat(config.maskId()).isEqualTo(99);
    assertThat(read("Dream", ",'attention_bias':false").attentionBias()).isFalse();
  }

  @Test
  void llada() {
    String released =
        "{'model_type':'llada','d_model':64,'n_layers':2,'n_heads':4,'n_kv_heads':2,"
            + "'mlp_hidden_size':80,'max_sequence_length':128,'vocab_size':264,"
            + "'embedding_size':272,'weight_tying':false,'include_bias':false,"
            + "'include_qkv_bias':true,'activation_type':'silu','block_type':'llama',"
            + "'layer_norm_type':'rms','rms_norm_eps':1e-5,'rope_theta':500000.0,"
            + "'mask_token_id':263,'eos_token_id':1";
    ModelConfig config = HuggingFaceConfig.read(settings(released + "}"), Optional.empty());
    assertThat(config.architecture()).isEqualTo("llada");
    assertThat(config.bidirectional()).isTrue();
    assertThat(config.shiftedLogits() || config.tiedEmbeddings() || config.outputBias()).isFalse();
    assertThat(config.attentionBias()).isTrue();
    assertThat(config.hiddenSize()).isEqualTo(64);
    assertThat(config.layers()).isEqualTo(2);
    assertThat(config.heads()).isEqualTo(4);
    assertThat(config.kvHeads()).isEqualTo(2);
    assertThat(config.intermediateSize()).isEqualTo(80);
    assertThat(config.contextLength()).isEqualTo(128);
    assertThat(config.vocabSize()).isEqualTo(272);
    assertThat(config.rope().theta()).isEqualTo(500000);
    assertThat(config.maskId()).isEqualTo(263);
    assertThat(config.eosIds()).containsExactly(1);
    for (String other :
        List.of("'alibi':true", "'include_bias':true", "'block_type':'sequential'")) {
      String key = other.substring(1, other.indexOf('\'', 1));
      JsonSettings changed =
          settings(released.replaceAll(",'" + key + "':[^,]+", "") + "," + other + "}");
      assertThatThrownBy(() -> HuggingFaceConfig.read(changed, Optional.empty()))
          .isInstanceOf(ModelFormatException.class)
          .hasMessageContaining("key '" + key + "' is");
    }
    assertThat(read("llada", ",'mask_token_id':99").bidirectional()).isTrue();
  }

  @Test
  void slidingWindows() {
    assertThat(read("mistral", "").slidingWindows()).isEqualTo(Collections.nCopies(4, 4096));
    assertThat(read("mistral", ",'sliding_window':null").slidingWindows())
        .isEqualTo(Collections.nCopies(4, 0));
    assertThat(read("llama", ",'sliding_window':8").slidingWindows())
        .isEqualTo(Collections.nCopies(4, 0));
    assertThat(read("qwen2", ",'sliding_window':8,'max_window_layers':1").slidingWindows())
        .isEqualTo(Collections.nCopies(4, 0));
    String used = ",'use_sliding_window':true,'sliding_window':8,'max_window_layers':";
    assertThat(read("qwen2", used + "3").slidingWindows()).containsExactly(0, 0, 0, 8);
    assertThat(read("qwen3", used + "28").slidingWindows()).containsExactly(0, 0, 0, 0);
    String types =
        ",'layer_types':['sliding_attention','full_attention','full_attention','sliding_attention']";
    assertThat(read("qwen3", used + "28" + types).slidingWindows()).containsExactly(8, 0, 0, 8);
  }

  @Test
  void endTokens() {
    JsonSettings config =
        settings("{'model_type':'llama'," + SIZES + ",'eos_token_id':[7,3],'bos_token_id':1}");
    JsonSettings generation = settings("{'eos_token_id':[9,3],'temperature':0.6}");
    ModelConfig read = HuggingFaceConfig.read(config, Optional.of(generation));
    assertThat(read.eosIds()).containsExactly(3, 7, 9);
    assertThat(read.bosId()).isEqualTo(1);
  }

  @Test
  void ropeOfEitherSpelling() {
    RopeConfig now = rope("'rope_parameters':{'rope_type':'linear','factor':4,'rope_theta':5e5}");
    RopeConfig before = rope("'rope_theta':5e5,'rope_scaling':{'type':'linear','factor':4}");
    assertThat(now.kind()).isEqualTo(RopeConfig.Kind.LINEAR);
    assertThat(now.theta()).isEqualTo(5e5);
    assertThat(now.factor()).isEqualTo(4);
    assertThat(before).usingRecursiveComparison().isEqualTo(now);
    RopeConfig unscaled = rope("'rope_parameters':{'rope_type':'default','rope_theta':5e5}");
    assertThat(unscaled.kind()).isEqualTo(RopeConfig.Kind.NONE);
    assertThat(unscaled.theta()).isEqualTo(5e5);
  }

  @Test
  void ropeDynamic() {
    RopeConfig rope = rope("'rope_scaling':{'type':'dynamic','factor':2}");
    assertThat(rope.kind()).isEqualTo(RopeConfig.Kind.DYNAMIC_NTK);
    assertThat(rope.factor()).isEqualTo(2);
    assertThat(rope.originalContext()).isEqualTo(4096);
  }

  @Test
  void ropeYarn() {
    RopeConfig rope =
        rope(
            "'rope_parameters':{'rope_type':'yarn','factor':4,"
                + "'original_max_position_embeddings':1024}");
    assertThat(rope.kind()).isEqualTo(RopeConfig.Kind.YARN);
    assertThat(rope.factor()).isEqualTo(4);
    assertThat(rope.originalContext()).isEqualTo(1024);
    assertThat(rope.betaFast()).isEqualTo(32);
    assertThat(rope.betaSlow()).isEqualTo(1);
    assertThat(rope.attentionFactor()).isCloseTo(1.1386294361119891, within(1e-15));
    RopeConfig derived =
        rope("'rope_scaling':{'type':'yarn','original_max_position_embeddings':1024}");
    assertThat(derived).usingRecursiveComparison().isEqualTo(rope);
    // (0.1 * 2 ln 4 + 1) / (0.1 * 0.5 ln 4 + 1)
    RopeConfig scaled =
        rope("'rope_scaling':{'type':'yarn','factor':4,'mscale':2,'mscale_all_dim':0.5}");
    assertThat(scaled.attentionFactor()).isCloseTo(1.1944648761, within(1e-9));
    RopeConfig given = rope("'rope_scaling':{'type':'yarn','factor':4,'attention_factor':1.5}");
    assertThat(given.attentionFactor()).isEqualTo(1.5);
  }

  @Test
  void ropeLlama3() {
    RopeConfig rope =
        rope(
            "'rope_theta':500000.0,'rope_scaling':{'factor':32.0,'high_freq_factor':4.0,"
                + "'low_freq_factor':1.0,'original_max_position_embeddings':2048,"
                + "'rope_type':'llama3'}");
    assertThat(rope.kind()).isEqualTo(RopeConfig.Kind.LLAMA3);
    assertThat(rope.factor()).isEqualTo(32);
    assertThat(rope.lowFreqFactor()).isEqualTo(1);
    assertThat(rope.highFreqFactor()).isEqualTo(4);
    assertThat(rope.originalContext()).isEqualTo(2048);
  }

  @Test
  void partialRotation() {
    assertThat(rope("'partial_rotary_factor':0.5").dims()).isEqualTo(8);
    assertThat(rope("'rope_parameters':{'partial_rotary_factor':0.5}").dims()).isEqualTo(8);
  }
}

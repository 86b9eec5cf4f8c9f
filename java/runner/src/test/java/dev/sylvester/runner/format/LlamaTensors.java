package dev.sylvester.runner.format;

/** Requires every tensor a decoder of this configuration needs, as the runner does. */
final class LlamaTensors {
  private LlamaTensors() {}

  static void requireAll(ModelFile model) {
    ModelConfig c = model.config();
    long query = (long) c.heads() * c.headDim();
    long keyValue = (long) c.kvHeads() * c.headDim();
    model.require("model.embed_tokens.weight", c.vocabSize(), c.hiddenSize());
    model.require("model.norm.weight", c.hiddenSize());
    if (!c.tiedEmbeddings()) {
      model.require("lm_head.weight", c.vocabSize(), c.hiddenSize());
    }
    for (int i = 0; i < c.layers(); i++) {
      String layer = "model.layers." + i + '.';
      model.require(layer + "input_layernorm.weight", c.hiddenSize());
      model.require(layer + "self_attn.q_proj.weight", query, c.hiddenSize());
      model.require(layer + "self_attn.k_proj.weight", keyValue, c.hiddenSize());
      model.require(layer + "self_attn.v_proj.weight", keyValue, c.hiddenSize());
      model.require(layer + "self_attn.o_proj.weight", c.hiddenSize(), query);
      model.require(layer + "post_attention_layernorm.weight", c.hiddenSize());
      model.require(layer + "mlp.gate_proj.weight", c.intermediateSize(), c.hiddenSize());
      model.require(layer + "mlp.up_proj.weight", c.intermediateSize(), c.hiddenSize());
      model.require(layer + "mlp.down_proj.weight", c.hiddenSize(), c.intermediateSize());
      if (c.attentionBias()) {
        model.require(layer + "self_attn.q_proj.bias", query);
        model.require(layer + "self_attn.k_proj.bias", keyValue);
        model.require(layer + "self_attn.v_proj.bias", keyValue);
      }
      if (c.outputBias()) {
        model.require(layer + "self_attn.o_proj.bias", c.hiddenSize());
      }
      if (c.mlpBias()) {
        model.require(layer + "mlp.gate_proj.bias", c.intermediateSize());
        model.require(layer + "mlp.up_proj.bias", c.intermediateSize());
        model.require(layer + "mlp.down_proj.bias", c.hiddenSize());
      }
      if (c.qkNorm()) {
        model.require(layer + "self_attn.q_norm.weight", c.headDim());
        model.require(layer + "self_attn.k_norm.weight", c.headDim());
      }
    }
  }
}

package dev.sylvester.runner.format;

import java.util.Map;

/** Tensor names of LLaDA's released checkpoints in transformers' spelling. */
final class LladaNames {
  private static final String PREFIX = "model.transformer.";
  private static final String BLOCKS = PREFIX + "blocks.";

  private static final Map<String, String> OUTER =
      Map.of("wte", "model.embed_tokens", "ln_f", "model.norm", "ff_out", "lm_head");

  private static final Map<String, String> IN_LAYER =
      Map.of(
          "attn_norm", "input_layernorm",
          "q_proj", "self_attn.q_proj",
          "k_proj", "self_attn.k_proj",
          "v_proj", "self_attn.v_proj",
          "attn_out", "self_attn.o_proj",
          "ff_norm", "post_attention_layernorm",
          "ff_proj", "mlp.gate_proj",
          "up_proj", "mlp.up_proj",
          "ff_out", "mlp.down_proj");

  private LladaNames() {}

  /** The canonical name; the name itself when it is not one of LLaDA's. */
  static String canonical(String name) {
    int suffix = name.lastIndexOf('.');
    if (!name.startsWith(PREFIX) || suffix < PREFIX.length()) {
      return name;
    }
    if (!name.startsWith(BLOCKS)) {
      String outer = OUTER.get(name.substring(PREFIX.length(), suffix));
      return outer == null ? name : outer + name.substring(suffix);
    }
    int layer = name.indexOf('.', BLOCKS.length());
    String inLayer = layer < suffix ? IN_LAYER.get(name.substring(layer + 1, suffix)) : null;
    return inLayer == null
        ? name
        : "model.layers."
            + name.substring(BLOCKS.length(), layer + 1)
            + inLayer
            + name.substring(suffix);
  }
}

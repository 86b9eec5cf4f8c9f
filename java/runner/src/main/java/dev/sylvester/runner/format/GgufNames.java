package dev.sylvester.runner.format;

import java.util.Map;

/** Tensor names of GGUF files in transformers' spelling. */
final class GgufNames {
  private static final String BLOCK = "blk.";

  private static final Map<String, String> OUTER =
      Map.of(
          "token_embd", "model.embed_tokens",
          "output_norm", "model.norm",
          "output", "lm_head");

  private static final Map<String, String> IN_LAYER =
      Map.ofEntries(
          Map.entry("attn_norm", "input_layernorm"),
          Map.entry("attn_q", "self_attn.q_proj"),
          Map.entry("attn_k", "self_attn.k_proj"),
          Map.entry("attn_v", "self_attn.v_proj"),
          Map.entry("attn_output", "self_attn.o_proj"),
          Map.entry("attn_q_norm", "self_attn.q_norm"),
          Map.entry("attn_k_norm", "self_attn.k_norm"),
          Map.entry("ffn_norm", "post_attention_layernorm"),
          Map.entry("ffn_gate", "mlp.gate_proj"),
          Map.entry("ffn_up", "mlp.up_proj"),
          Map.entry("ffn_down", "mlp.down_proj"));

  private GgufNames() {}

  /** The canonical name; the name itself when it is not one of a decoder layer stack. */
  static String canonical(String name) {
    int dot = name.lastIndexOf('.');
    if (dot < 0) {
      return name;
    }
    String stem = name.substring(0, dot);
    String suffix = name.substring(dot);
    if (!stem.startsWith(BLOCK)) {
      String outer = OUTER.get(stem);
      return outer == null ? name : outer + suffix;
    }
    int afterLayer = stem.indexOf('.', BLOCK.length());
    String inLayer = afterLayer < 0 ? null : IN_LAYER.get(stem.substring(afterLayer + 1));
    return inLayer == null
        ? name
        : "model.layers." + stem.substring(BLOCK.length(), afterLayer) + '.' + inLayer + suffix;
  }
}

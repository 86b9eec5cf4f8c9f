"""A GGUF file as a transformers model: gguf's reader and dequantisation, transformers' arithmetic."""

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFReader, quants
from transformers import LlamaConfig, LlamaForCausalLM

BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_FLOATS = {GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.BF16}
TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def transformers_name(name):
    stem, _, role = name.rpartition(".")
    if stem.startswith("blk."):
        _, layer, part = stem.split(".", 2)
        return f"model.layers.{layer}.{BLOCK[part]}.{role}"
    return f"{TOP[stem]}.{role}"


def gguf_name(name):
    blocks, tops = {v: k for k, v in BLOCK.items()}, {v: k for k, v in TOP.items()}
    stem, _, role = name.rpartition(".")
    if stem.startswith("model.layers."):
        _, _, layer, part = stem.split(".", 3)
        return f"blk.{layer}.{blocks[part]}.{role}"
    return f"{tops[stem]}.{role}"


def interleave(w, heads):
    """transformers' row order of q and k (halves) to that of GGUF's llama files (pairs)."""
    return w.reshape(heads, 2, -1, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def split_halves(w, heads):
    """The inverse of interleave."""
    return w.reshape(heads, -1, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def load_llama(path, dtype):
    """The model and, by transformers' name, the GGUF type of each tensor."""
    reader = GGUFReader(path)
    field = lambda key: reader.fields[f"llama.{key}"].contents()
    heads, kv_heads = field("attention.head_count"), field("attention.head_count_kv")
    state, types = {}, {}
    for tensor in reader.tensors:
        name = transformers_name(tensor.name)
        w = quants.dequantize(tensor.data, tensor.tensor_type)
        if ".q_proj." in name or ".k_proj." in name:
            w = split_halves(w, heads if ".q_proj." in name else kv_heads)
        state[name], types[name] = torch.from_numpy(np.array(w)), tensor.tensor_type
    vocabulary, hidden = state["model.embed_tokens.weight"].shape
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=field("feed_forward_length"),
        num_hidden_layers=field("block_count"),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=field("rope.dimension_count"),
        max_position_embeddings=field("context_length"),
        rms_norm_eps=field("attention.layer_norm_rms_epsilon"),
        tie_word_embeddings="lm_head.weight" not in state,
        rope_parameters={"rope_type": "default", "rope_theta": field("rope.freq_base")},
    )
    model = LlamaForCausalLM._from_config(config, dtype=dtype, attn_implementation="sdpa").eval()
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    if config.tie_word_embeddings:
        types["lm_head.weight"] = types["model.embed_tokens.weight"]
    return model, types


def round_to_int8(x):
    """What other engines do: d = max|x| / 127 in float32 over 32 values, q = round-half-even(x / d)."""
    blocks = x.float().unflatten(-1, (-1, 32))
    d = blocks.abs().amax(-1, keepdim=True) / 127
    return torch.where(d > 0, torch.round(blocks / d) * d.double(), 0.0).flatten(-2).to(x.dtype)


def round_activations(model, types):
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and types[f"{name}.weight"] not in _FLOATS:
            module.register_forward_pre_hook(lambda _, inputs: (round_to_int8(inputs[0]),))

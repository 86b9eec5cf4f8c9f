"""Writes gguf/: tiny GGUF models. Needs checkpoints/ (make_checkpoints.py).

llama-legacy and llama-kquants mix tensor types so that every one is used; their references are transformers on gguf's
own dequantisation, in float64; int8_error tells how far they move with activations rounded to int8 in blocks of 32
before every product with a block type. The others hold the same float32 weights as a checkpoint and have its logits.
Usage: python tests/golden/make_gguf.py
"""

import json

import numpy as np
import torch
from gguf import GGMLQuantizationType as T, GGUFWriter, RopeScalingType, TokenType
from safetensors.numpy import load_file
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils.logging import disable_progress_bar

import gguf_model
import kquants
import reference
import tiny

OUT = reference.GOLDEN / "gguf"


def add_tokenizer(writer):
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tiny.VOCABULARY)
    writer.add_token_types(
        [TokenType.CONTROL] * len(tiny.SPECIAL) + [TokenType.NORMAL] * (len(tiny.VOCABULARY) - len(tiny.SPECIAL))
    )
    writer.add_token_merges([" ".join(m) for m in tiny.MERGES])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(False)


def write_gguf(path, architecture, config, weights, types, extra=lambda writer: None):
    """config: transformers' fields; weights: by transformers' name; types: GGUF type by GGUF name, default F32."""
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(10000.0)
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    if architecture == "llama":
        writer.add_rope_dimension_count(config["head_dim"])
        writer.add_vocab_size(config["vocab_size"])
    add_tokenizer(writer)
    extra(writer)
    for name, w in sorted(weights.items()):
        if architecture == "llama" and (".q_proj." in name or ".k_proj." in name):
            heads = config["num_attention_heads" if ".q_proj." in name else "num_key_value_heads"]
            assert np.array_equal(gguf_model.split_halves(gguf_model.interleave(w, heads), heads), w)
            w = gguf_model.interleave(w, heads)
        name = gguf_model.gguf_name(name)
        kind = types.get(name, T.F32)
        writer.add_tensor(name, kquants.quantize(w, kind), raw_dtype=None if kind in (T.F32, T.F16) else kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def layer_types(layer, q, k, v, o, gate, up, down):
    names = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    return {f"blk.{layer}.{n}.weight": t for n, t in zip(names, (q, k, v, o, gate, up, down))}


MIXED = {
    "llama-legacy": (
        dict(
            hidden_size=64,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            intermediate_size=96,
            num_hidden_layers=2,
            tie_word_embeddings=False,
        ),
        {
            "token_embd.weight": T.Q4_1,
            "output.weight": T.Q8_0,
            **layer_types(0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.F16, T.Q4_1),
            **layer_types(1, T.Q8_0, T.F16, T.Q4_1, T.Q4_0, T.BF16, T.Q5_1, T.Q5_0),
        },
    ),
    "llama-kquants": (
        dict(
            hidden_size=256,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=64,
            intermediate_size=256,
            num_hidden_layers=1,
            tie_word_embeddings=True,
        ),
        {"token_embd.weight": T.Q6_K, **layer_types(0, T.Q4_K, T.Q5_K, T.Q6_K, T.Q4_K, T.Q5_K, T.Q6_K, T.Q4_K)},
    ),
}


def make_mixed(name, seed):
    fields, types = MIXED[name]
    config = LlamaConfig(vocab_size=len(tiny.VOCABULARY), max_position_embeddings=128, rms_norm_eps=1e-5, **fields)
    model = LlamaForCausalLM(config)
    tiny.randomize(model, seed)
    weights = {k: v.numpy() for k, v in model.state_dict().items()}
    if config.tie_word_embeddings:
        del weights["lm_head.weight"]
    path = OUT / f"{name}.gguf"
    write_gguf(path, "llama", config.to_dict(), weights, types)

    tokens = tiny.tokens(seed)
    model, loaded_types = gguf_model.load_llama(path, torch.float64)
    want = reference.logits(model, tokens)
    float32_error = reference.row_error(reference.logits(gguf_model.load_llama(path, torch.float32)[0], tokens), want)
    gguf_model.round_activations(model, loaded_types)
    int8 = reference.logits(model, tokens)
    notes = {
        "seed": seed,
        "float32_error": float32_error,
        "int8_error": reference.row_error(int8, want),
        "types": {n: t.name for n, t in types.items()},
    }
    reference.write_reference(OUT / name, path.name, tokens, want, **notes)
    print(name, notes)


def make_twin(name, architecture, checkpoint, extra=lambda writer: None):
    folder = reference.GOLDEN / "checkpoints" / checkpoint
    config = json.loads((folder / "config.json").read_text())
    manifest = json.loads((folder / "reference.json").read_text())
    write_gguf(OUT / f"{name}.gguf", architecture, config, load_file(folder / "model.safetensors"), {}, extra)
    manifest["model"], manifest["logits"] = f"{name}.gguf", f"../checkpoints/{checkpoint}/reference.f32"
    reference.write_json(OUT / f"{name}.json", manifest, indent=None)
    print(name, "has the logits of", checkpoint)


def llama3_rope_factors(writer):
    """GGUF carries llama3 scaling as the tensor rope_freqs: the divisor of each frequency."""
    folder = reference.GOLDEN / "checkpoints" / "llama-rope-llama3"
    rotary = reference.load(folder, torch.float32).model.rotary_emb
    plain, _ = rotary.compute_default_rope_parameters(LlamaConfig.from_pretrained(folder))
    writer.add_tensor("rope_freqs.weight", (plain / rotary.inv_freq).numpy())


def yarn(writer):
    writer.add_rope_scaling_type(RopeScalingType.YARN)
    writer.add_rope_scaling_factor(4.0)
    writer.add_rope_scaling_orig_ctx_len(32)


def main():
    disable_progress_bar()
    OUT.mkdir(exist_ok=True)
    make_mixed("llama-legacy", 200)
    make_mixed("llama-kquants", 201)
    make_twin("llama-rope-freqs", "llama", "llama-rope-llama3", llama3_rope_factors)
    make_twin("llama-rope-yarn", "llama", "llama-rope-yarn", yarn)
    make_twin("qwen2", "qwen2", "qwen2-bias")
    make_twin("qwen3", "qwen3", "qwen3-qk-norm")


if __name__ == "__main__":
    main()

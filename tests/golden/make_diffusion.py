"""Writes checkpoints/llada, checkpoints/dream and their GGUF twins: tiny random bidirectional models under the names of
the released checkpoints, with logits of plain PyTorch code in float64.

llada: OLMo's names (model.transformer.blocks.0.attn_out), no biases, own output matrix. dream: qwen2's names and biases
of q, k, v. Both files of GGUF hold the same float32 weights; llama.cpp's converter pairs the rows of q and k for llada.
Usage: python tests/golden/make_diffusion.py
"""

import shutil

import numpy as np
import torch
from gguf import GGUFWriter
from safetensors.torch import save_file

import gguf_model
import make_gguf
import reference
import tiny

LAYERS, HEADS, KV_HEADS, DIM, INNER, EPS, THETA = 2, 4, 2, 16, 80, 1e-5, 20000.0
WIDTH, VOCAB, MASK = HEADS * DIM, len(tiny.VOCABULARY), len(tiny.VOCABULARY) - 1

# transformers' name in a layer: LLaDA's
LLADA = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "q_proj",
    "self_attn.k_proj": "k_proj",
    "self_attn.v_proj": "v_proj",
    "self_attn.o_proj": "attn_out",
    "post_attention_layernorm": "ff_norm",
    "mlp.gate_proj": "ff_proj",
    "mlp.up_proj": "up_proj",
    "mlp.down_proj": "ff_out",
}
LLADA_OUTER = {"model.embed_tokens": "wte", "model.norm": "ln_f", "lm_head": "ff_out"}


def llada_name(name):
    stem, _, role = name.rpartition(".")
    if stem in LLADA_OUTER:
        return f"model.transformer.{LLADA_OUTER[stem]}.{role}"
    _, _, layer, part = stem.split(".", 3)
    return f"model.transformer.blocks.{layer}.{LLADA[part]}.{role}"


def weights(seed, bias):
    """By transformers' names, spread as tiny.randomize does."""
    generator = torch.Generator().manual_seed(seed)
    noise = lambda *shape: torch.randn(shape, generator=generator)
    linear = lambda rows, cols, gain=1.0: gain * cols**-0.5 * noise(rows, cols)
    w = {"model.embed_tokens.weight": 0.4 * noise(VOCAB, WIDTH), "lm_head.weight": 0.4 * noise(VOCAB, WIDTH)}
    w["model.norm.weight"] = 1 + 0.25 * noise(WIDTH)
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            w[f"{p}{norm}.weight"] = 1 + 0.25 * noise(WIDTH)
        for name, rows, gain in (("q", HEADS, 1.4), ("k", KV_HEADS, 1.4), ("v", KV_HEADS, 1.0)):
            w[f"{p}self_attn.{name}_proj.weight"] = linear(rows * DIM, WIDTH, gain)
            if bias:
                w[f"{p}self_attn.{name}_proj.bias"] = 0.3 * noise(rows * DIM)
        w[f"{p}self_attn.o_proj.weight"] = linear(WIDTH, WIDTH)
        w[f"{p}mlp.gate_proj.weight"] = linear(INNER, WIDTH)
        w[f"{p}mlp.up_proj.weight"] = linear(INNER, WIDTH)
        w[f"{p}mlp.down_proj.weight"] = linear(WIDTH, INNER)
    return w


def logits(w, tokens, dtype, causal=False):
    w = {name: value.to(dtype) for name, value in w.items()}
    n = len(tokens)
    angle = torch.arange(n, dtype=torch.float64)[:, None] * THETA ** (-torch.arange(0, DIM, 2, dtype=torch.float64) / DIM)
    cos, sin = (torch.cat([f(angle)] * 2, dim=-1).to(dtype) for f in (torch.cos, torch.sin))
    norm = lambda x, name: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPS) * w[f"{name}.weight"]
    linear = lambda x, name: torch.nn.functional.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))

    def rotate(x):  # heads x positions x DIM, halves
        a, b = x.chunk(2, dim=-1)
        return x * cos + torch.cat([-b, a], dim=-1) * sin

    x = w["model.embed_tokens.weight"][tokens]
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        h = norm(x, p + "input_layernorm")
        q, k, v = (linear(h, f"{p}self_attn.{c}_proj").view(n, -1, DIM).transpose(0, 1) for c in "qkv")
        k, v = (t.repeat_interleave(HEADS // KV_HEADS, dim=0) for t in (rotate(k), v))
        score = rotate(q) @ k.transpose(1, 2) * DIM**-0.5
        if causal:
            score = score + torch.full((n, n), float("-inf"), dtype=dtype).triu(1)
        x = x + linear((score.softmax(-1) @ v).transpose(0, 1).reshape(n, WIDTH), p + "self_attn.o_proj")
        h = norm(x, p + "post_attention_layernorm")
        gated = torch.nn.functional.silu(linear(h, p + "mlp.gate_proj")) * linear(h, p + "mlp.up_proj")
        x = x + linear(gated, p + "mlp.down_proj")
    return linear(norm(x, "model.norm"), "lm_head").double().numpy()


CONFIGS = {
    "llada": dict(
        architectures=["LLaDAModelLM"],
        model_type="llada",
        d_model=WIDTH,
        n_layers=LAYERS,
        n_heads=HEADS,
        n_kv_heads=KV_HEADS,
        mlp_hidden_size=INNER,
        max_sequence_length=128,
        vocab_size=VOCAB,
        embedding_size=VOCAB,
        weight_tying=False,
        include_bias=False,
        include_qkv_bias=False,
        activation_type="silu",
        block_type="llama",
        layer_norm_type="rms",
        attention_layer_norm=False,
        alibi=False,
        rope=True,
    ),
    "dream": dict(
        architectures=["DreamModel"],
        model_type="Dream",
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        intermediate_size=INNER,
        max_position_embeddings=128,
        vocab_size=VOCAB,
        tie_word_embeddings=False,
        hidden_act="silu",
    ),
}


def write_gguf(path, architecture, w):
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(EPS)
    writer.add_rope_freq_base(THETA)
    writer.add_causal_attention(False)
    writer.add_diffusion_shift_logits(architecture == "dream")
    if architecture == "llada":
        writer.add_rope_dimension_count(DIM)
        writer.add_vocab_size(VOCAB)
    make_gguf.add_tokenizer(writer)
    writer.add_mask_token_id(MASK)
    for name, value in sorted(w.items()):
        value = value.numpy()
        if architecture == "llada" and (".q_proj." in name or ".k_proj." in name):
            value = gguf_model.interleave(value, HEADS if ".q_proj." in name else KV_HEADS)
        writer.add_tensor(gguf_model.gguf_name(name), np.ascontiguousarray(value))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    for seed, (name, config) in enumerate(CONFIGS.items(), start=300):
        folder = reference.GOLDEN / "checkpoints" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        w = weights(seed, bias=name == "dream")
        save_file({(llada_name(n) if name == "llada" else n): v for n, v in w.items()}, folder / "model.safetensors")
        common = dict(rms_norm_eps=EPS, rope_theta=THETA, bos_token_id=0, eos_token_id=1, mask_token_id=MASK)
        reference.write_json(folder / "config.json", {**config, **common}, indent=2)
        tiny.tokenizer().save_pretrained(folder)
        for file in folder.iterdir():
            file.chmod(0o644)
        tokens = tiny.tokens(seed)
        tokens[40:56] = [MASK] * 16
        want = logits(w, tokens, torch.float64)
        causal = reference.row_error(logits(w, tokens, torch.float64, causal=True), want)
        assert causal > 100 * reference.TOLERANCE["value"]
        notes = {
            "seed": seed,
            "float32_error": reference.row_error(logits(w, tokens, torch.float32), want),
            "attention": "bidirectional",
            "causal_error": causal,
        }
        reference.write_reference(folder / "reference", name, tokens, want, **notes)
        write_gguf(reference.GOLDEN / "gguf" / f"{name}.gguf", name, w)
        twin = dict(model=f"{name}.gguf", tokens=tokens, logits=f"../checkpoints/{name}/reference.f32")
        shape = dict(shape=list(want.shape), type="float32, little-endian, row-major", tolerance=reference.TOLERANCE)
        reference.write_json(reference.GOLDEN / "gguf" / f"{name}.json", {**twin, **shape, **notes}, indent=None)
        print(name, notes, f"logits std {want.std():.2f}")


if __name__ == "__main__":
    main()

"""Writes checkpoints/: tiny random models of each architecture as transformers saves them, with reference logits.

The reference is transformers' own model in float64 on the saved weights (its RMSNorm and rotary angles are float32
inside).
Usage: python tests/golden/make_checkpoints.py
"""

import json
import shutil

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.utils.logging import disable_progress_bar

import reference
import tiny

FAMILIES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}
BASE = dict(
    vocab_size=len(tiny.VOCABULARY),
    bos_token_id=0,
    eos_token_id=1,
    pad_token_id=None,
    max_position_embeddings=128,
    rms_norm_eps=1e-5,
    tie_word_embeddings=True,
)
SMALL = dict(
    hidden_size=64, num_attention_heads=4, num_key_value_heads=2, head_dim=16, intermediate_size=80, num_hidden_layers=2
)
ROPE = dict(
    hidden_size=48, num_attention_heads=2, num_key_value_heads=1, head_dim=32, intermediate_size=64, num_hidden_layers=1
)


def rope(kind, **fields):
    return dict(ROPE, rope_parameters={"rope_type": kind, "rope_theta": 10000.0, **fields})


PLAIN_ROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}

# name: (family, configuration, how to save, the feature under test taken away: configuration, or parameters by suffix)
CASES = {
    "llama-mha-untied": (
        "llama",
        dict(
            hidden_size=48,
            num_attention_heads=3,
            num_key_value_heads=3,
            head_dim=16,
            intermediate_size=64,
            num_hidden_layers=2,
            tie_word_embeddings=False,
        ),
        {},
        None,
    ),
    "llama-gqa-tied": ("llama", SMALL, {}, {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}),
    "llama-gqa-f16": ("llama", SMALL, {"dtype": torch.float16}, None),
    "llama-gqa-bf16": ("llama", SMALL, {"dtype": torch.bfloat16}, None),
    "llama-sharded": ("llama", dict(SMALL, num_hidden_layers=1), {"max_shard_size": "50KB"}, None),
    "llama-rope-linear": ("llama", rope("linear", factor=4.0), {"legacy_config": "type"}, PLAIN_ROPE),
    "llama-rope-dynamic": ("llama", dict(rope("dynamic", factor=2.0), max_position_embeddings=32), {}, PLAIN_ROPE),
    "llama-rope-yarn": ("llama", rope("yarn", factor=4.0, original_max_position_embeddings=32), {}, PLAIN_ROPE),
    "llama-rope-llama3": (
        "llama",
        rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32),
        {"legacy_config": "rope_type"},
        PLAIN_ROPE,
    ),
    "mistral-window": ("mistral", dict(SMALL, sliding_window=8), {}, {"sliding_window": 9}),
    "qwen2-bias": ("qwen2", dict(SMALL, num_hidden_layers=1), {}, {"parameters": {".bias": 0}}),
    "qwen3-qk-norm": (
        "qwen3",
        dict(
            hidden_size=48,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            intermediate_size=64,
            num_hidden_layers=1,
            rms_norm_eps=1e-6,
        ),
        {},
        {"parameters": {"q_norm.weight": 1, "k_norm.weight": 1}},
    ),
}


def legacy_config(folder, kind_key):
    """Rewrites config.json as transformers 4 did: rope_theta and rope_scaling instead of rope_parameters."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    parameters = config.pop("rope_parameters")
    config["rope_theta"] = parameters.pop("rope_theta")
    config["rope_scaling"] = {kind_key: parameters.pop("rope_type"), **parameters}
    config["torch_dtype"] = config.pop("dtype")
    reference.write_json(path, config, indent=2)


def save(folder, family, fields, options, seed):
    make_config, make_model = FAMILIES[family]
    model = make_model(make_config(**{**BASE, **fields}))
    tiny.randomize(model, seed)
    shutil.rmtree(folder, ignore_errors=True)
    options = dict(options)
    kind_key = options.pop("legacy_config", None)
    model.to(options.pop("dtype", torch.float32)).save_pretrained(folder, **options)
    tiny.tokenizer().save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    for file in folder.iterdir():
        file.chmod(0o644)
    if kind_key:
        legacy_config(folder, kind_key)


def feature_effect(folder, without, tokens, want):
    """How far the logits move when the feature under test is configured away: proof that the vector can fail."""
    model = reference.load(folder, torch.float64)
    config = type(model.config).from_pretrained(folder)
    for key in without.keys() - {"parameters"}:
        setattr(config, key, without[key])
    other = type(model)._from_config(config, dtype=torch.float64, attn_implementation="sdpa").eval()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        for suffix, value in without.get("parameters", {}).items():
            for name, p in other.named_parameters():
                if name.endswith(suffix):
                    p.fill_(value)
    return reference.row_error(reference.logits(other, tokens), want)


def main():
    disable_progress_bar()
    for seed, (name, (family, fields, options, without)) in enumerate(CASES.items(), start=100):
        folder = reference.GOLDEN / "checkpoints" / name
        save(folder, family, fields, options, seed)
        tokens = tiny.tokens(seed)
        want = reference.logits(reference.load(folder, torch.float64), tokens)
        float32_error = reference.row_error(reference.logits(reference.load(folder, torch.float32), tokens), want)
        notes = {"seed": seed, "float32_error": float32_error}
        if without:
            notes["without"] = without
            notes["without_error"] = feature_effect(folder, without, tokens, want)
            assert notes["without_error"] > 100 * reference.TOLERANCE["value"], name
        if name == "llama-rope-dynamic":
            notes["note"] = (
                "transformers scales for the 64 positions seen: theta * (2 * 64 / 32 - 1)^(32 / 30), at all of them"
            )
        reference.write_reference(folder / "reference", name, tokens, want, **notes)
        print(name, notes, f"logits std {want.std():.2f}")


if __name__ == "__main__":
    main()

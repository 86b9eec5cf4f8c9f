"""Rotary frequencies of transformers for the kinds of scaling. Writes rope.txt: a line for each case,
kind dims theta factor original_context low_freq high_freq beta_fast beta_slow attention_factor magnitude inv_freq..."""

import pathlib

import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

KINDS = {"default": 0, "linear": 1, "dynamic": 2, "yarn": 3, "llama3": 4}
CASES = [
    (64, 10000.0, {"rope_type": "default"}),
    (128, 500000.0, {"rope_type": "default"}),
    (64, 10000.0, {"rope_type": "linear", "factor": 4.0}),
    (64, 10000.0, {"rope_type": "dynamic", "factor": 4.0}),
    (64, 10000.0, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048}),
    (128, 1e6, {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32768,
                "beta_fast": 16.0, "beta_slow": 2.0, "attention_factor": 1.25}),
    (64, 500000.0, {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 8192}),
    (128, 500000.0, {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                     "original_max_position_embeddings": 8192}),
]  # fmt: skip
MAX_POSITIONS = 2048


def frequencies(dims, theta, rope):
    config = LlamaConfig(hidden_size=dims * 2, num_attention_heads=2, max_position_embeddings=MAX_POSITIONS,
                         rope_parameters={"rope_theta": theta, **rope})  # fmt: skip
    if rope["rope_type"] == "default":
        # Not in the table of functions: the plain formula of the models.
        return 1.0 / theta ** (torch.arange(0, dims, 2, dtype=torch.float32) / dims), 1.0
    # NTK at a fixed factor: transformers' dynamic kind as it is at seq_len, base theta (factor seq/max - (factor - 1))^...
    length = {"seq_len": MAX_POSITIONS * 2} if rope["rope_type"] == "dynamic" else {}
    return ROPE_INIT_FUNCTIONS[rope["rope_type"]](config, "cpu", **length)


def main():
    lines = []
    for dims, theta, rope in CASES:
        inv_freq, magnitude = frequencies(dims, theta, rope)
        factor = rope.get("factor", 1.0)
        if rope["rope_type"] == "dynamic":
            factor = factor * 2 - (factor - 1)  # what the base is scaled by at that length
        fields = [KINDS[rope["rope_type"]], dims, theta, factor, rope.get("original_max_position_embeddings", 0),
                  rope.get("low_freq_factor", 0), rope.get("high_freq_factor", 0), rope.get("beta_fast", 32),
                  rope.get("beta_slow", 1), rope.get("attention_factor", 0), magnitude]  # fmt: skip
        lines.append(" ".join(repr(float(v)) for v in fields + inv_freq.double().tolist()))
    (pathlib.Path(__file__).parent / "rope.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

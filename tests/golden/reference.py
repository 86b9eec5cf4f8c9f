"""What the golden scripts share: reference logits and the files that hold them."""

import json
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).resolve().parent

TOLERANCE = {
    "value": 2e-4,
    "measure": "max |got - want| in a row / max |want| in that row",
    "rationale": "float32 arithmetic is allowed 2e-4; `float32_error` is what transformers' own float32 run of the same"
    " weights deviates from the float64 reference in the same measure",
}


def row_error(got, want):
    """The measure of TOLERANCE, to two digits."""
    return float(f"{(np.abs(got - want).max(axis=-1) / np.abs(want).max(axis=-1)).max():.1e}")


def logits(model, tokens):
    with torch.no_grad():
        return model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0].double().numpy()


def load(folder, dtype):
    """sdpa keeps the model's type in softmax; transformers' eager attention rounds it to float32."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").eval()


def write_logits(path, values):
    """Raw little-endian float32, row-major: one row per position."""
    Path(path).write_bytes(np.ascontiguousarray(values, dtype="<f4").tobytes())


def write_json(path, value, indent=1):
    Path(path).write_text(json.dumps(value, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")


def write_reference(path, model_file, tokens, want, **fields):
    """<path>.json, the manifest, and <path>.f32, the logits."""
    path = Path(path)
    write_logits(path.with_suffix(".f32"), want)
    manifest = {
        "model": model_file,
        "tokens": list(map(int, tokens)),
        "logits": path.with_suffix(".f32").name,
        "shape": list(want.shape),
        "type": "float32, little-endian, row-major",
        "tolerance": TOLERANCE,
        **fields,
    }
    write_json(path.with_suffix(".json"), manifest, indent=None)

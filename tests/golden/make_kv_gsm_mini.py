"""Writes gsm-mini/kv.json: how well the embedded model predicts problems when its keys and values are those of RotateKV,
step by step as in the paper's ablation, and those of `best`.

Everything is as in make_kv.py. Means come from training problems, the evaluated tokens from test problems.
Usage: python tests/golden/make_kv_gsm_mini.py
"""

import json

import torch
from transformers import PreTrainedTokenizerFast

import make_gsm_mini
import make_kv
import reference

CONTEXT, CALIBRATION, EVALUATED = 256, 20, 24
FOLDER = make_gsm_mini.MODELS / "target"
# 2 bits. The paper's order: rotation, keys before RoPE with heads rotated together, sinks, sorted channels.
ROTATED = dict(rotate_keys="head", rotate_values="head", clip={2: 0.8}, integer_zero=True, group=32, bits=2)
GROUPED = dict(ROTATED, rope="pre", rotate_keys="group")
SINKS = dict(GROUPED, sinks=20)
STEPS = {
    "rotation": ROTATED,
    "before RoPE, heads together": GROUPED,
    "sinks": SINKS,
    "sort": dict(SINKS, sort=True),
    "best": dict(make_kv.BEST, balance=True, sinks=0, group=32, bits=2),
}


def solved(tokenizer, name, count):
    """Tokens of the first problems of a file with their solutions."""
    with open(make_gsm_mini.MODELS / name, encoding="utf-8") as file:
        problems = [json.loads(next(file)) for _ in range(count)]
    return [tokenizer(p["question"]).input_ids + tokenizer(p["answer"]).input_ids[1:] for p in problems]


def nll(model, texts):
    total = 0
    with torch.no_grad():
        for ids in texts:
            loss = model(input_ids=torch.tensor([ids]), labels=torch.tensor([ids]), use_cache=False).loss
            total += float(loss) * (len(ids) - 1)
    return round(total / sum(len(ids) - 1 for ids in texts), 6)


def main():
    tokenizer = PreTrainedTokenizerFast.from_pretrained(FOLDER)
    model = reference.load(FOLDER, torch.float32)
    # One behind the other: whole windows are what make_kv calibrates with.
    ids = [token for text in solved(tokenizer, "train.jsonl", CALIBRATION) for token in text]
    calibration = [ids[start : start + CONTEXT] for start in range(0, len(ids) // CONTEXT * CONTEXT, CONTEXT)]
    evaluated = solved(tokenizer, "test.jsonl", EVALUATED)
    result = {"calibration": calibration, "evaluated": evaluated, "nll": {"f32": nll(model, evaluated)}}
    make_kv.CONTEXT = CONTEXT
    means = make_kv.calibrate(model, [token for window in calibration for token in window])
    for name, options in STEPS.items():
        make_kv.replace_attention(model, make_kv.Cache(model, options, means).attend)
        result["nll"][name] = nll(model, evaluated)
    print(result["nll"])
    reference.write_json(make_gsm_mini.OUT / "kv.json", result, indent=None)


if __name__ == "__main__":
    main()

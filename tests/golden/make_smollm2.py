"""Writes smollm2.json: greedy continuations and perplexity of SmolLM2-135M-Instruct Q4_1 under transformers,
float32, on gguf's dequantisation of the very file.

`int8_perplexity` is the same with the input of every product with a block type rounded to int8 in blocks of 32: what
8-bit activations would cost.
Usage: python tests/golden/make_smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf wikitext-2/test.txt
"""

import argparse
import hashlib
import math
from pathlib import Path

import jinja2
import numpy as np
import torch
from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

import gguf_model
import reference

STEPS = 40
PERPLEXITY_TOKENS = 16384
PROMPTS = [
    "The capital of France is",
    "Once upon a time, in a village by the sea, there lived",
    "Photosynthesis is the process by which",
    "def fibonacci(n):\n    if n < 2:\n        return n\n",
    "The three laws of thermodynamics are:\n1.",
    "Q: A baker has 24 rolls and sells 9 of them. How many are left?\nA:",
    "La tour Eiffel se trouve à Paris. Elle a été construite en",
    "In 1969, Neil Armstrong became the first person to walk on the Moon.",
    "Ingredients: 2 cups of flour, 1 cup of sugar, 3 eggs 🥚.\nSteps:",
]
CHATS = [
    [{"role": "user", "content": "What is gravity? Answer in two sentences."}],
    [
        {"role": "system", "content": "You are a terse assistant."},
        {"role": "user", "content": "Name three primary colours."},
    ],
]


def load_tokenizer(reader):
    """The file's byte-level BPE with SmolLM's pre-tokenizer: digits one by one, then GPT-2's pattern."""
    field = lambda key: reader.fields[f"tokenizer.ggml.{key}"].contents()
    assert field("model") == "gpt2" and field("pre") == "smollm" and not field("add_bos_token")
    tokens = field("tokens")
    merges = [tuple(m.split(" ")) for m in field("merges")]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [t for t, kind in zip(tokens, field("token_type")) if kind == 3]
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in control])
    return tokenizer


def render(reader, messages):
    template = reader.fields["tokenizer.chat_template"].contents()
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(messages=messages, add_generation_prompt=True)


def greedy(model, prompt):
    """Tokens and the distance between the two best logits at each step. End-of-text does not stop it."""
    tokens, margins, cache, step = [], [], None, torch.tensor([prompt])
    with torch.no_grad():
        for _ in range(STEPS):
            out = model(input_ids=step, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            best = out.logits[0, -1].double().topk(2)
            tokens.append(int(best.indices[0]))
            margins.append(round(float(best.values[0] - best.values[1]), 4))
            step = best.indices[:1].view(1, 1)
    return tokens, margins


def perplexity(model, ids, context):
    """Mean over positions 1..context-1 of non-overlapping windows, each from an empty cache."""
    windows = []
    for start in range(0, len(ids) - context + 1, context):
        window = torch.tensor([ids[start : start + context]])
        with torch.no_grad():
            logits = model(input_ids=window, use_cache=False).logits[0, :-1].double()
        windows.append(float(torch.nn.functional.cross_entropy(logits, window[0, 1:])))
    nll = sum(windows) / len(windows)
    return {"perplexity": round(math.exp(nll), 6), "nll": round(nll, 8), "window_nll": [round(w, 6) for w in windows]}


def continuation(model, tokenizer, text, **fields):
    prompt = tokenizer.encode(text, add_special_tokens=False).ids
    tokens, margins = greedy(model, prompt)
    print(repr(text), "->", repr(tokenizer.decode(tokens)), "smallest margin", min(margins), flush=True)
    return {
        "prompt": text,
        **fields,
        "prompt_tokens": prompt,
        "tokens": tokens,
        "margins": margins,
        "text": tokenizer.decode(tokens),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("wikitext", type=Path)
    arguments = parser.parse_args()
    reader = GGUFReader(arguments.model)
    tokenizer = load_tokenizer(reader)
    model, types = gguf_model.load_llama(arguments.model, torch.float32)

    prompts = [(text, {}) for text in PROMPTS] + [(render(reader, chat), {"messages": chat}) for chat in CHATS]
    greedy_runs = [continuation(model, tokenizer, text, **fields) for text, fields in prompts]

    ids = tokenizer.encode(arguments.wikitext.read_text(encoding="utf-8"), add_special_tokens=False).ids
    evaluated = ids[:PERPLEXITY_TOKENS]
    exact = {str(context): perplexity(model, evaluated, context) for context in (512, 1024)}
    gguf_model.round_activations(model, types)
    for context, result in exact.items():
        result["int8_perplexity"] = perplexity(model, evaluated, int(context))["perplexity"]
        print(context, result["perplexity"], "int8", result["int8_perplexity"], flush=True)

    reference.write_json(
        reference.GOLDEN / "smollm2.json",
        {
            "model_sha256": hashlib.sha256(arguments.model.read_bytes()).hexdigest(),
            "margin_that_decides": 0.05,
            "greedy": greedy_runs,
            "wikitext": {
                "file_sha256": hashlib.sha256(arguments.wikitext.read_bytes()).hexdigest(),
                "file_tokens": len(ids),
                "evaluated_tokens": len(evaluated),
                "first_tokens": evaluated[:32],
                "tokens_sha256_int32_le": hashlib.sha256(np.array(evaluated, "<i4").tobytes()).hexdigest(),
                "contexts": exact,
            },
        },
        indent=None,
    )


if __name__ == "__main__":
    main()

"""Writes gsm-mini/: what transformers computes with the embedded models, float32 weights and arithmetic on the f16
files.

target, draft: greedy solutions of the first test problems. target: logits of a fixed input. diffusion: logits of a
fixed, partly masked input when every position attends to every other; the model is Dream-like, so row p - 1 predicts
position p. The logits are computed in float64.
Usage: python tests/golden/make_gsm_mini.py
"""

import json

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

import reference

MODELS = reference.ROOT / "models" / "gsm-mini"
OUT = reference.GOLDEN / "gsm-mini"
PROBLEMS = 5
LONGEST = 200
POSITIONS = 64
BLOCK = 16


def problems():
    with open(MODELS / "test.jsonl", encoding="utf-8") as file:
        return [json.loads(next(file)) for _ in range(PROBLEMS)]


def greedy(model, tokenizer, question):
    """Generated tokens up to and including </s>, and the distance between the two best logits at each step."""
    prompt = tokenizer(question).input_ids
    tokens, margins, cache, step = [], [], None, torch.tensor([prompt])
    with torch.no_grad():
        while len(tokens) < LONGEST and tokenizer.eos_token_id not in tokens:
            out = model(input_ids=step, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            best = out.logits[0, -1].topk(2)
            tokens.append(int(best.indices[0]))
            margins.append(round(float(best.values[0] - best.values[1]), 4))
            step = best.indices[:1].view(1, 1)
    return {
        "question": question,
        "prompt_tokens": prompt,
        "tokens": tokens,
        "margins": margins,
        "text": tokenizer.decode(tokens, skip_special_tokens=True),
    }


def bidirectional_logits(folder, tokens):
    """LlamaModel with a mask that forbids nothing; the architecture is otherwise Llama's."""
    fields = json.loads((folder / "config.json").read_text())
    config = LlamaConfig(**{k: v for k, v in fields.items() if k not in ("architectures", "model_type")})
    results = []
    for dtype in (torch.float64, torch.float32):
        model = LlamaForCausalLM.from_pretrained(folder, config=config, dtype=dtype, attn_implementation="sdpa").eval()
        mask = torch.zeros(1, 1, len(tokens), len(tokens), dtype=dtype)
        with torch.no_grad():
            hidden = model.model(
                input_ids=torch.tensor([tokens]), attention_mask=mask, use_cache=False
            ).last_hidden_state
            results.append(model.lm_head(hidden)[0].double().numpy())
    return results


def main():
    disable_progress_bar()
    OUT.mkdir(exist_ok=True)
    solved = problems()
    for name in ("target", "draft"):
        folder = MODELS / name
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        model = reference.load(folder, torch.float32)
        runs = [greedy(model, tokenizer, p["question"]) for p in solved]
        reference.write_json(
            OUT / f"{name}-greedy.json", {"model": f"models/gsm-mini/{name}", "greedy": runs}, indent=None
        )
        for run in runs:
            print(name, repr(run["text"]), "smallest margin", min(run["margins"]))

    folder = MODELS / "target"
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    question, answer = tokenizer(solved[0]["question"]).input_ids, tokenizer(solved[0]["answer"]).input_ids[1:-1]
    tokens = (question + answer)[:POSITIONS]
    want = reference.logits(reference.load(folder, torch.float64), tokens)
    error = reference.row_error(reference.logits(reference.load(folder, torch.float32), tokens), want)
    reference.write_reference(OUT / "target", "models/gsm-mini/target", tokens, want, float32_error=error)

    # As in block decoding: the question's end and two solved blocks, the rest masked.
    folder = MODELS / "diffusion"
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    mask = tokenizer.mask_token_id
    tokens = (question[-(POSITIONS - 3 * BLOCK) :] + answer[: 2 * BLOCK] + [mask] * BLOCK)[:POSITIONS]
    want, single = bidirectional_logits(folder, tokens)
    causal = reference.logits(
        LlamaForCausalLM.from_pretrained(
            folder, config=LlamaConfig.from_pretrained(MODELS / "target"), dtype=torch.float64
        ).eval(),
        tokens,
    )
    error = reference.row_error(single, want)
    reference.write_reference(
        OUT / "diffusion",
        "models/gsm-mini/diffusion",
        tokens,
        want,
        float32_error=error,
        attention="bidirectional",
        shift=1,
        causal_error=reference.row_error(causal, want),
    )
    print("diffusion float32", error, "causal instead", reference.row_error(causal, want))


if __name__ == "__main__":
    main()

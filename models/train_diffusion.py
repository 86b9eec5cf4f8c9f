"""Trains the masked diffusion model of models/gsm-mini, on problems made by models/gsm-mini/make_problems.py.

    python3 models/train_diffusion.py --minutes 90 --out DIR [--start models/gsm-mini/diffusion] [--threads 1]

Needs torch, safetensors and tokenizers. Shape, vocabulary and tokenizer stay those of --start. DIR becomes a model like
it, with float16 weights, written again every five minutes, so that a stopped run leaves one too. No problem of
test.jsonl or train.jsonl is read for training: the first 256 of train.jsonl are for the loss that is printed, and all of
them for the choice of thresholds. Licence: the repository's; weights made by this script are CC0-1.0, as the problems
and the weights it starts from.

The model is Dream-like: attention looks both ways, and position p is predicted by row p - 1. An answer stands in a
canvas of up to 96 tokens, filled up with end tokens. The prompt is never masked. Three kinds of noise, drawn for each
problem:

- everywhere: k of the canvas' L tokens are masked, k uniform in 1..L, and the loss is the mean over the masked ones.
  This is the bound of masked diffusion, E_t [1/t sum of cross-entropies], in its form with less variance (LLaDA, arXiv
  2502.09992, eq. 14);
- in blocks, as semi-autoregressive decoding meets it: blocks of 8, 16 or 32; those before a block are known, k tokens
  of it and all behind it are masked. The block counts as above, a token behind it as one of L;
- in blocks with words known before numbers, as a decoder that commits what is sure meets them: digits of the block are
  known up to a place, each other token with a probability drawn for the block.

A digit counts DIGITS times what a word counts: sentences are learned early, sums late.
"""

import argparse
import itertools
import json
import math
import random
import shutil
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn

MODELS = Path(__file__).resolve().parent / "gsm-mini"
sys.path.append(str(MODELS))
import make_problems  # noqa: E402
HELD_OUT = 256
BATCH = 16
CHECKPOINT_SECONDS = 300
KINDS = {"everywhere": 0.2, "blocks": 0.3, "words": 0.5}
DIGITS = 3.0
CANVAS = 96
POOL = 32 * BATCH
RATE = 1e-3
WARM_UP_STEPS = 50


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        width, self.head = c["hidden_size"], c["head_dim"]
        self.q_proj = nn.Linear(width, c["num_attention_heads"] * self.head, bias=False)
        self.k_proj = nn.Linear(width, c["num_key_value_heads"] * self.head, bias=False)
        self.v_proj = nn.Linear(width, c["num_key_value_heads"] * self.head, bias=False)
        self.o_proj = nn.Linear(c["num_attention_heads"] * self.head, width, bias=False)

    def forward(self, x, turn, seen):
        q, k, v = (p(x).unflatten(-1, (-1, self.head)).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        groups = q.shape[1] // k.shape[1]
        k, v = (y.repeat_interleave(groups, dim=1) for y in (turn(k), v))
        mixed = F.scaled_dot_product_attention(turn(q), k, v, attn_mask=seen)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c["hidden_size"], c["intermediate_size"], bias=False)
        self.up_proj = nn.Linear(c["hidden_size"], c["intermediate_size"], bias=False)
        self.down_proj = nn.Linear(c["intermediate_size"], c["hidden_size"], bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(c["hidden_size"], eps=c["rms_norm_eps"])
        self.post_attention_layernorm = nn.RMSNorm(c["hidden_size"], eps=c["rms_norm_eps"])
        self.self_attn, self.mlp = Attention(c), Mlp(c)

    def forward(self, x, turn, seen, rows=None):
        x = x + self.self_attn(self.input_layernorm(x), turn, seen)
        if rows is not None:
            x = x[rows]
        return x + self.mlp(self.post_attention_layernorm(x))


class Denoiser(nn.Module):
    """The names of its parameters are those of the weights' file, without "model."."""

    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.layers = nn.ModuleList(Layer(c) for _ in range(c["num_hidden_layers"]))
        self.norm = nn.RMSNorm(c["hidden_size"], eps=c["rms_norm_eps"])
        rates = c["rope_theta"] ** (-torch.arange(0, c["head_dim"], 2) / c["head_dim"])
        angles = torch.outer(torch.arange(c["max_position_embeddings"]), rates).repeat(1, 2)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, tokens, lengths, rows):
        """Logits of the positions where rows (batch, length) is true, in row-major order."""
        cos, sin = self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]]

        def turn(y):
            half = y.shape[-1] // 2
            return y * cos + torch.cat((-y[..., half:], y[..., :half]), dim=-1) * sin

        seen = (torch.arange(tokens.shape[1]) < lengths[:, None])[:, None, None, :]
        shifted = torch.cat((rows[:, 1:], torch.zeros_like(rows[:, :1])), dim=1)
        x = self.embed_tokens(tokens)
        for layer in self.layers[:-1]:
            x = layer(x, turn, seen)
        x = self.layers[-1](x, turn, seen, shifted)
        return F.linear(self.norm(x), self.embed_tokens.weight)


def encode(problems, tokenizer, end):
    """(prompt, answer with its end token) of each problem whose answer fits in a canvas."""
    prompts = tokenizer.encode_batch([p["question"] for p in problems])
    answers = tokenizer.encode_batch([p["answer"] for p in problems], add_special_tokens=False)
    pairs = [(q.ids, a.ids + [end]) for q, a in zip(prompts, answers)]
    return [pair for pair in pairs if len(pair[1]) <= CANVAS]


class Noise:
    """Problems to masked batches: tokens, lengths, targets and weights of the masked positions (0 elsewhere)."""

    def __init__(self, config, tokenizer, seed):
        self.mask, self.end = config["mask_token_id"], config["eos_token_id"]
        self.digits = {tokenizer.token_to_id(digit) for digit in "0123456789"}
        self.random = random.Random(seed)

    def canvas(self, answer):
        """The answer, filled up with end tokens to a multiple of 16."""
        length = self.random.choice([length for length in range(48, CANVAS + 1, 16) if length >= len(answer)])
        return answer + [self.end] * (length - len(answer))

    def hidden_words_first(self, block):
        """Which tokens of a block are masked, where words are known before numbers."""
        digits = [i for i, token in enumerate(block) if token in self.digits]
        unknown = set(digits[self.random.randint(0, len(digits)) :])
        share = self.random.random()
        unknown.update(i for i, token in enumerate(block) if token not in self.digits and self.random.random() < share)
        return unknown or {self.random.randrange(len(block))}

    def weights(self, answer, canvas, kind):
        length = len(canvas)
        if kind == "everywhere":
            start, end = 0, length
        else:
            size = self.random.choice((8, 16, 32))
            # Blocks of nothing but end tokens teach little.
            start = self.random.randint(0, min(answer // size, length // size - 1)) * size
            end = start + size
        if kind == "words":
            places = [start + i for i in self.hidden_words_first(canvas[start:end])]
        else:
            places = self.random.sample(range(start, end), self.random.randint(1, end - start))
        weights = [0.0] * end + [1 / length] * (length - end)
        for place in places:
            weights[place] = (DIGITS if canvas[place] in self.digits else 1.0) / len(places)
        return weights

    def batch(self, problems, kind=None):
        """problems: (prompt, answer, canvas); kind: a key of KINDS, drawn for each problem when None."""
        lengths = [len(prompt) + len(canvas) for prompt, _, canvas in problems]
        longest = max(lengths)
        tokens, weights = [], []
        for (prompt, answer, canvas), length in zip(problems, lengths):
            tokens.append(prompt + canvas + [self.end] * (longest - length))
            own = self.weights(len(answer), canvas, kind or self.random.choices(list(KINDS), KINDS.values())[0])
            weights.append([0.0] * len(prompt) + own + [0.0] * (longest - length))
        clean, weights = torch.tensor(tokens), torch.tensor(weights)
        return clean.masked_fill(weights > 0, self.mask), torch.tensor(lengths), clean, weights

    def batches(self, problems):
        """Batches of an endless iterator; problems of a batch have similar lengths, so that little is padding."""
        while True:
            pool = [(prompt, answer, self.canvas(answer)) for prompt, answer in itertools.islice(problems, POOL)]
            pool.sort(key=lambda p: len(p[0]) + len(p[2]))
            batches = [pool[i : i + BATCH] for i in range(0, len(pool), BATCH)]
            self.random.shuffle(batches)
            yield from (self.batch(batch) for batch in batches)


def endless(tokenizer, end, seed):
    """Problems that are in neither file."""
    known = [q for name in ("train", "test") for q in make_problems.questions(MODELS / f"{name}.jsonl")]
    made = make_problems.problems(seed, known)
    while True:
        yield from encode(list(itertools.islice(made, POOL)), tokenizer, end)


def loss_of(model, batch):
    tokens, lengths, clean, weights = batch
    rows = weights > 0
    loss = F.cross_entropy(model(tokens, lengths, rows), clean[rows], reduction="none")
    return (loss * weights[rows]).sum() / len(tokens)


def held_out_loss(model, config, tokenizer, problems):
    """The loss of each kind of noise, the same noise every time."""
    noise = Noise(config, tokenizer, seed=7)
    canvases = sorted(((p, a, noise.canvas(a)) for p, a in problems), key=lambda p: len(p[0]) + len(p[2]))
    losses = {}
    with torch.no_grad():
        for kind in KINDS:
            parts = [noise.batch(canvases[i : i + BATCH], kind) for i in range(0, len(canvases), BATCH)]
            losses[kind] = round(sum(loss_of(model, part).item() for part in parts) / len(parts), 4)
    return losses


def save(model, start, out, record):
    out.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(start / name, out / name)
    weights = {"model." + name: value.half().contiguous() for name, value in model.state_dict().items()}
    # A run that is stopped here leaves the weights before.
    save_file(weights, out / "model.safetensors.new", metadata={"format": "pt"})
    (out / "model.safetensors.new").replace(out / "model.safetensors")
    (out / "training.json").write_text(json.dumps(record, indent=2), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, default=MODELS / "diffusion")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    torch.manual_seed(1)
    torch.set_num_threads(arguments.threads)
    config = json.loads((arguments.start / "config.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(arguments.start / "tokenizer.json"))
    model = Denoiser(config)
    weights = load_file(arguments.start / "model.safetensors")
    model.load_state_dict({name.removeprefix("model."): value.float() for name, value in weights.items()})
    end = config["eos_token_id"]
    with open(MODELS / "train.jsonl", encoding="utf-8") as lines:
        held_out = encode([json.loads(line) for line in itertools.islice(lines, HELD_OUT)], tokenizer, end)
    print("start", held_out_loss(model, config, tokenizer, held_out), flush=True)

    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    start = saved = time.monotonic()
    tokens = recent = 0
    for step, batch in enumerate(Noise(config, tokenizer, seed=1).batches(endless(tokenizer, end, seed=1)), 1):
        done = (time.monotonic() - start) / 60 / arguments.minutes
        rate = RATE * min(1, step / WARM_UP_STEPS) * (1 + math.cos(math.pi * min(1, done))) / 2
        loss = loss_of(model, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        tokens += int(batch[1].sum())
        recent += (loss.item() - recent) * max(0.01, 1 / step)
        if done >= 1 or time.monotonic() - saved > CHECKPOINT_SECONDS:
            saved = time.monotonic()
            minutes = round((saved - start) / 60, 1)
            losses = held_out_loss(model, config, tokenizer, held_out)
            record = {"task": "GSM-mini", "steps": step, "batch": BATCH, "tokens": tokens, "minutes": minutes}
            record["held_out_loss"] = losses
            print(record, "train", round(recent, 4), flush=True)
            save(model, arguments.start, arguments.out, record)
        if done >= 1:
            return


if __name__ == "__main__":
    main()

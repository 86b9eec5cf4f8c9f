"""Writes kv.json: perplexity of SmolLM2-135M-Instruct Q4_1 with quantised keys and values, and groups of numbers with
the codes, scales and zeros that the quantiser must make of them.

The model runs under transformers in float32; rotations and means are float64, the quantiser float32: written from the
papers and from the rules of the formats, dense, without any code of this repository. Queries and softmax weights, which
the kernels round to integers, stay exact here. A row sees as halves what is recent for it, also within a prompt.
Usage: python tests/golden/make_kv.py SmolLM2-135M-Instruct.Q4_1.gguf wikitext-2/test.txt calibration.txt
kv.json was made with the text of models/make-plans.sh: GSM8K's training problems.
"""

import argparse
import hashlib
import math
import types
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

import gguf_model
import make_smollm2
import reference

CONTEXT, WINDOWS, TILE = 1024, 2, 16
CALIBRATION_TOKENS = 16384
FIRST_TOKENS = 4

# clip: of these bits, 1 of all others.
ROTATEKV = dict(
    rope="pre", rotate_keys="group", rotate_values="head", sort=True, clip={2: 0.8}, integer_zero=True, group=64,
    sinks=20,
)  # fmt: skip
BEST = dict(
    rotate_keys="head", rotate_values="head", center="keys", clip_mode="midpoint", clip={2: 0.8, 3: 0.9},
    first_tokens=FIRST_TOKENS, sinks=20, window=32,
)  # fmt: skip
# Where 2 bits cost most, by the divergence of the logits when nothing else is quantised.
THREE_BIT_KEYS, THREE_BIT_VALUES = (3, 5, 6, 7, 8, 9, 10, 14, 17, 18, 20, 21, 23, 24), (8,)
MIXED = [[3 if i in THREE_BIT_KEYS else 2, 3 if i in THREE_BIT_VALUES else 2] for i in range(30)]
PRESETS = {
    "best-2-mixed": dict(BEST, group=64, layer_bits=MIXED),
    "rotatekv-2": dict(ROTATEKV, bits=2),
    "best-2": dict(BEST, group=32, bits=2),
    "best-4": dict(BEST, group=64, bits=4),
    "best-3": dict(BEST, group=64, bits=3),
}

# ---- The quantiser: float32, every operation rounded ------------------------------------------------------------


def scale_bytes(s, up=False):
    """The upper eight bits, without the sign, of the nearest such half, or of the least that is not below s: 5 bits of
    exponent, 3 of fraction."""
    table = np.arange(0xF8, dtype=np.uint16) << 7
    values = table.view(np.float16).astype(np.float64)
    if up:
        return np.searchsorted(values, np.float64(s)).clip(0, len(values) - 1).astype(np.uint8)
    upper = np.searchsorted(values, np.float64(s)).clip(1, len(values) - 1)
    below, above = np.float64(s) - values[upper - 1], values[upper] - np.float64(s)
    even = (upper - 1) % 2 == 0
    return np.where((below < above) | ((below == above) & even), upper - 1, upper).astype(np.uint8)


def scale_values(code):
    return (code.astype(np.uint16) << 7).view(np.float16).astype(np.float32)


def lane_sum(x):
    """Element i in lane i mod 16, lanes added as i + 8, i + 4, i + 2, i + 1."""
    padded = np.zeros((*x.shape[:-1], -(-x.shape[-1] // 16) * 16), np.float32)
    padded[..., : x.shape[-1]] = x
    lanes = np.zeros((*x.shape[:-1], 16), np.float32)
    for start in range(0, padded.shape[-1], 16):
        lanes = lanes + padded[..., start : start + 16]
    for half in (8, 4, 2, 1):
        lanes = lanes[..., :half] + lanes[..., half:]
    return lanes


def lloyd_max(bits):
    """Levels of least squared error for the normal distribution, by Lloyd's iteration; the outer ones at 1 and 63."""
    density = lambda t: math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    below = lambda t: math.erf(t / math.sqrt(2)) / 2
    levels = np.linspace(0.1, 2.5, 1 << (bits - 1))
    for _ in range(20000):
        edges = [0, *((levels[1:] + levels[:-1]) / 2), math.inf]
        cells = list(zip(edges, edges[1:]))
        levels = np.array([(density(a) - (density(b) if b < 9 else 0)) / (below(b) - below(a)) for a, b in cells])
    whole = np.round(32 + 31 * np.concatenate([-levels[::-1], levels]) / levels[-1])
    return whole.astype(np.float32), np.float32(levels[-1] / 31)


def quantize(x, options):
    """x [..., n] float32, one group a row: codes [..., n], scales and zeros [...], and what they stand for."""
    f = np.float32
    bits, top = options["bits"], f((1 << options["bits"]) - 1)
    n = f(x.shape[-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        if options["grid"] == "lloyd":
            levels, factor = lloyd_max(bits)
            byte = scale_bytes(np.sqrt(lane_sum(x * x) / n) * factor)
            s = scale_values(byte)
            thresholds = (levels[1:] + levels[:-1]) / f(2)
            y = x * (f(1) / s) + f(32)
            codes = np.where(s > 0, (thresholds < y[..., None]).sum(-1), 0)
            zeros = np.where(s > 0, 32, 0)
            return codes, byte[..., 0], zeros[..., 0], s * np.where(s > 0, levels[codes] - f(32), f(0))

        unit = f(1 if options["integer_zero"] else 2**bits / 64)

        def encode(step, lo):
            byte = scale_bytes(np.maximum(step, np.abs(lo) / (f(119) * unit)), up=bits == 8)
            s = scale_values(byte)
            inverse = f(1) / s
            zeros = np.where(s > 0, np.clip(np.round((-lo * inverse) / unit), -128, 127), f(0))
            codes = np.where(s > 0, np.round(np.clip(x * inverse + unit * zeros, f(0), top)), f(0))
            return codes, byte, zeros

        clip = f(options["clip"].get(bits, 1))
        lo, hi = x.min(-1, keepdims=True), x.max(-1, keepdims=True)
        if options["clip_mode"] == "midpoint":
            middle, reach = (lo + hi) * f(0.5), ((hi - lo) * f(0.5)) * clip
            lo, hi = middle - reach, middle + reach
        else:
            lo, hi = clip * lo, clip * hi
        codes, byte, zeros = encode(np.maximum((hi - lo) / top, np.abs(hi) / (f(119) * unit)), lo)
        return codes, byte[..., 0], zeros[..., 0], scale_values(byte) * (codes - unit * zeros)


def with_defaults(options):
    defaults = dict(
        rope="post", rotate_keys="none", rotate_values="none", sort=False, center="", grid="uniform",
        clip_mode="range", clip={}, integer_zero=False, balance=False, group=128, first_tokens=0, sinks=0, window=0,
    )  # fmt: skip
    assert options.keys() <= {*defaults, "bits", "layer_bits"}
    return {**defaults, **options}


# ---- The cache --------------------------------------------------------------------------------------------------


def paley(q):
    """Order q + 1, q prime and 3 mod 4: I + S, S skew with Jacobsthal's matrix inside."""
    squares = {a * a % q for a in range(1, q)}
    s = np.zeros((q + 1, q + 1))
    s[0, 1:], s[1:, 0] = -1, 1
    s[1:, 1:] = [[0 if a == b else 1 if (a - b) % q in squares else -1 for b in range(q)] for a in range(q)]
    return s + np.eye(q + 1)


def hadamard(order):
    return np.array([[(-1) ** (i & j).bit_count() for j in range(order)] for i in range(order)])


def rotation(kind, heads, head_dim):
    """Orthogonal, on a layer's channels. Groups are of the largest of 4, 3, 2, 1 heads that divides them."""
    together = next(g for g in (4, 3, 2, 1) if heads % g == 0) if kind == "group" else 1
    order = together * head_dim
    if kind == "none":
        block = np.eye(order)
    elif order & (order - 1) == 0:
        block = hadamard(order) / math.sqrt(order)
    else:
        block = np.kron(paley(11), hadamard(order // 12)) / math.sqrt(order)
    return torch.from_numpy(np.kron(np.eye(heads // together), block))


def halves(x):
    return x.float().clamp(-65504, 65504).half()


def balance(queries, keys, shape):
    """Second moments of queries and keys after RoPE: the factor on a channel of keys, by the geometric mean of a head."""
    log = ((queries / keys).log() / 4).view(shape)
    return (log - log.mean(1, keepdim=True)).exp().clamp(1 / 8, 8).flatten()


class Side:
    """Keys or values of a layer: what a token's channels become in the cache."""

    def __init__(self, options, bits, rotate, mean, sort_by, shape, gain=None):
        heads, head_dim = shape
        self.options, self.rotation = {**options, "bits": bits}, rotation(rotate, *shape)
        self.mean = torch.zeros(heads * head_dim).double() if mean is None else mean.float().double()
        channels = heads * head_dim
        self.gain = torch.ones(channels).double() if gain is None else gain
        self.order = torch.arange(channels)
        group = min(options["group"], channels if sort_by is not None else head_dim)
        if sort_by is not None:
            self.order = torch.argsort((self.rotation @ sort_by).float(), stable=True)
        run = channels if sort_by is not None else head_dim
        self.groups = [
            self.order[start : min(start + group, first + run)]
            for first in range(0, channels, run)
            for start in range(first, first + run, group)
        ]

    def read(self, x):
        """[tokens, channels] as packed tokens and as halves, rotated back, with the mean."""
        kept = halves(((x.double() - self.mean) * self.gain) @ self.rotation.T).float()
        packed = torch.empty_like(kept)
        for group in self.groups:
            packed[:, group] = torch.from_numpy(quantize(kept[:, group].numpy(), self.options)[3])
        return [(y.double() @ self.rotation / self.gain + self.mean).float() for y in (packed, kept)]


class Cache:
    """Attention of a model's layers that reads its keys and values through the cache of `options`."""

    def __init__(self, model, options, means):
        self.options = with_defaults(options)
        self.config = model.config
        shape = (model.config.num_key_value_heads, model.config.head_dim)
        o = self.options
        self.sides = []
        for layer, by_skipped in enumerate(means):
            mean = by_skipped[o["first_tokens"]]
            bits_keys, bits_values = o["layer_bits"][layer] if "layer_bits" in o else (o["bits"], o["bits"])
            keys = mean[o["rope"]] if "keys" in o["center"] else None
            values = mean["values"] if "values" in o["center"] else None
            sort_by = mean["pre"] if o["sort"] else None
            gain = balance(mean["queries"], mean["post squared"] - mean["post"] ** 2, shape) if o["balance"] else None
            self.sides.append((
                Side(o, bits_keys, o["rotate_keys"], keys, sort_by, shape, gain),
                Side(o, bits_values, o["rotate_values"], values, None, shape),
            ))  # fmt: skip

    def sinks(self, hidden):
        """RotateKV: the tokens of the largest magnitudes that enter the layer."""
        found = torch.zeros(hidden.shape[0], dtype=torch.bool)
        found[: self.options["first_tokens"]] = True
        if self.options["sinks"]:
            largest = torch.argsort(-hidden.abs().flatten(), stable=True)[: self.options["sinks"]]
            found[largest // hidden.shape[1]] = True
        return found

    def attend(self, layer, hidden, q, k, v, angles):
        """q, k before RoPE, [heads, tokens, head_dim]; out: [tokens, heads head_dim]."""
        heads, tokens, head_dim = q.shape
        flat = lambda x: x.transpose(0, 1).reshape(tokens, -1)
        back = lambda x: x.view(tokens, -1, head_dim).transpose(0, 1)
        turn = lambda x: apply_rotary_pos_emb(x[None], x[None], *angles)[0][0]
        keys, values = self.sides[layer]
        if self.options["rope"] == "pre":
            k_packed, k_half = (turn(back(x)) for x in keys.read(flat(k)))
        else:
            k_packed, k_half = (back(x) for x in keys.read(flat(turn(k))))
        v_packed, v_half = (back(x) for x in values.read(flat(v)))
        k_packed, k_half, v_packed, v_half = (
            x.repeat_interleave(heads // x.shape[0], 0) for x in (k_packed, k_half, v_packed, v_half)
        )
        q = turn(q)
        row, token = torch.arange(tokens)[:, None], torch.arange(tokens)[None, :]
        half = self.sinks(hidden)[None, :].expand(tokens, tokens)
        if self.options["window"]:
            half = half | (token // TILE >= (row + 1) // TILE - (self.options["window"] // TILE - 1))
        scores = torch.where(half, q @ k_half.mT, q @ k_packed.mT) / math.sqrt(head_dim)
        p = scores.masked_fill(token > row, -math.inf).softmax(-1)
        return flat((p * half) @ v_half + (p * ~half) @ v_packed)


def replace_attention(model, attend):
    """attend(layer, hidden state that enters it, q, k, v, (cos, sin)) instead of every layer's attention."""
    for index, layer in enumerate(model.model.layers):
        entering = {}
        layer.register_forward_pre_hook(lambda _, inputs, entering=entering: entering.update(hidden=inputs[0][0]))

        def forward(self, hidden_states, position_embeddings, *_, index=index, entering=entering, **__):
            split = lambda x: x[0].view(x.shape[1], -1, self.head_dim).transpose(0, 1)
            q, k, v = (split(project(hidden_states)) for project in (self.q_proj, self.k_proj, self.v_proj))
            y = attend(index, entering["hidden"], q, k, v, position_embeddings)
            return self.o_proj(y[None].to(hidden_states.dtype)), None

        layer.self_attn.forward = types.MethodType(forward, layer.self_attn)


def calibrate(model, ids):
    """Means of keys before and after RoPE, of values, and of squares of keys and queries, over windows of CONTEXT, by how
    many first tokens of each window are left out: those that a cache never packs."""
    names, skips = ("pre", "post", "values", "post squared", "queries"), (0, FIRST_TOKENS)
    sums = [{skip: dict.fromkeys(names, 0) for skip in skips} for _ in model.model.layers]

    def attend(layer, _, q, k, v, angles):
        q, turned = (x[0] for x in apply_rotary_pos_emb(q[None], k[None], *angles))
        for skip in skips:
            squares = q.double().square().unflatten(0, (len(k), -1)).mean(1)
            for name, x in zip(names, (k, turned, v, turned.double().square(), squares)):
                sums[layer][skip][name] += x[:, skip:].double().sum(1).flatten()
        y = torch.nn.functional.scaled_dot_product_attention(
            q[None], turned[None], v[None], is_causal=True, enable_gqa=True
        )
        return y[0].transpose(0, 1).flatten(1)

    replace_attention(model, attend)
    windows = len(ids) // CONTEXT
    for window in torch.tensor(ids[: windows * CONTEXT]).view(windows, 1, CONTEXT):
        with torch.no_grad():
            model.model(input_ids=window, use_cache=False)
    tokens = {skip: windows * (CONTEXT - skip) for skip in skips}
    return [
        {skip: {name: total / tokens[skip] for name, total in by_name.items()} for skip, by_name in layer.items()}
        for layer in sums
    ]


# ---- Vectors ----------------------------------------------------------------------------------------------------


def vectors():
    """Groups of halves: normal, shifted, with an outlier, tiny, constant, zero, one-sided, halves;
    4 bits: scales that lie between two bytes, below an even and an odd one."""
    random = np.random.default_rng(5)
    shapes = [
        lambda n: random.standard_normal(n),
        lambda n: random.standard_normal(n) * 3 + 40,
        lambda n: random.standard_normal(n) * np.where(np.arange(n) == 7, 300, 1),
        lambda n: random.standard_normal(n) * 1e-4,
        lambda n: np.full(n, -2.5),
        lambda n: np.zeros(n),
        lambda n: np.abs(random.standard_normal(n)) * 2000,
        lambda n: random.integers(-3, 4, n) / 2,
        lambda n: np.where(np.arange(n) == 3, 15 * (1 + 1 / 16), 0),
        lambda n: np.where(np.arange(n) == 3, 15 * (1 + 3 / 16), 0),
    ]
    kinds = [dict(grid="lloyd", bits=bits) for bits in (2, 3, 4)]
    for bits, clip in [(2, 0.8), (2, 0.7), (2, 1), (3, 0.9), (3, 1), (4, 1), (4, 0.95), (8, 1), (8, 0.5)]:
        kinds.append(dict(bits=bits, clip_mode="midpoint", clip=clip))
    for bits, clip in [(2, 0.8), (2, 0.95), (3, 1), (4, 1), (8, 1)]:
        kinds.append(dict(bits=bits, clip_mode="range", clip=clip, integer_zero=True))
    groups = {n: np.array([make(n) for make in shapes]).astype(np.float16) for n in (32, 64, 128)}
    cases = []
    for kind in kinds:
        for n, x in groups.items():
            options = with_defaults({**kind, "clip": {kind["bits"]: kind.get("clip", 1)}})
            codes, scales, zeros, _ = quantize(x.astype(np.float32), options)
            digits = 1 if kind["bits"] < 8 else 2
            cases.append({
                **kind,
                "n": n,
                "codes": ["".join(f"{int(code):0{digits}x}" for code in row) for row in codes],
                "scales": scales.astype(int).tolist(),
                "zeros": zeros.astype(int).tolist(),
            })  # fmt: skip
    bits = {str(n): ["".join(f"{h:04x}" for h in row.view(np.uint16)) for row in x] for n, x in groups.items()}
    return {"halves": bits, "cases": cases}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("wikitext", type=Path)
    parser.add_argument("calibration", type=Path)
    arguments = parser.parse_args()
    tokenizer = make_smollm2.load_tokenizer(GGUFReader(arguments.model))
    model, _ = gguf_model.load_llama(arguments.model, torch.float32)
    encode = lambda path: tokenizer.encode(path.read_text(encoding="utf-8"), add_special_tokens=False).ids
    evaluated = encode(arguments.wikitext)[: CONTEXT * WINDOWS]
    perplexities = {"f32": make_smollm2.perplexity(model, evaluated, CONTEXT)}

    calibration_ids = encode(arguments.calibration)[:CALIBRATION_TOKENS]
    means = calibrate(model, calibration_ids)
    for name, options in PRESETS.items():
        replace_attention(model, Cache(model, options, means).attend)
        perplexities[name] = {**make_smollm2.perplexity(model, evaluated, CONTEXT), "options": with_defaults(options)}
        print(name, perplexities[name]["perplexity"], flush=True)
    reference.write_json(
        reference.GOLDEN / "kv.json",
        {
            "model_sha256": hashlib.sha256(arguments.model.read_bytes()).hexdigest(),
            "context": CONTEXT,
            "evaluated_tokens": len(evaluated),
            "calibration_sha256": hashlib.sha256(arguments.calibration.read_bytes()).hexdigest(),
            "calibration_tokens": len(calibration_ids),
            "perplexity": perplexities,
            "quantiser": vectors(),
        },
        indent=None,
    )


if __name__ == "__main__":
    main()

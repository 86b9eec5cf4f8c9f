"""What LLaDA's and Dream's code sees of a row of bfloat16 logits, in PyTorch code of ours on the CPU: token, its
confidence, Dream's margin and entropy, Prophet's gap. Writes bf16_statistics.txt: a line for each case,
family temperature top_p top_k guidance banned doubted argmax confidence margin entropy gap cols logits...
and, with guidance, as many unconditional logits; -1: no such token."""

import pathlib

import torch

# family, temperature, top-p, top-k, guidance, which token is banned, which doubted: 0 the best, 1 the second best
CASES = (
    [("llada", 0.0, 1.0, 0, g, b, d) for g in (0.0, 0.7, 1.5) for b, d in ((-1, -1), (0, -1), (-1, 0), (-1, 1), (0, 1))]
    + [("dream", t, p, 0, 0.0, -1, -1) for t in (0.0, 0.2, 0.7, 1.3) for p in (1.0, 0.95, 0.9, 0.5)]
    + [("dream", t, p, k, 0.0, -1, -1) for t in (0.0, 0.4) for p in (1.0, 0.8) for k in (1, 5, 30)]
)
# Small logits lie so close to each other that their probabilities are equal after rounding.
SPREADS = (0.1, 0.4, 2.5)
COLS = 40


def top_p_logits(z, top_p):
    ordered, order = torch.sort(z, descending=True)
    removed = torch.cumsum(torch.softmax(ordered, -1), -1) > top_p
    removed = torch.cat([torch.zeros_like(removed[:1]), removed[:-1]])
    # Which of equal logits go is not defined: they stay together.
    least = ordered[~removed].min()
    return z.masked_fill(z < least, torch.finfo(z.dtype).min)


def statistics(z, temperature, top_p, top_k, doubted, family):
    largest, second = torch.topk(z, 2).values
    x0 = int(z.argmax())
    if doubted >= 0:
        z[doubted] = -torch.inf
    if temperature > 0:
        z = z / temperature
    if top_p < 1:
        z = top_p_logits(z, top_p)
    if 0 < top_k < z.numel():
        z = z.masked_fill(z < torch.topk(z, top_k).values[-1], torch.finfo(z.dtype).min)
    p = torch.softmax(z, -1)
    if family == "dream":
        x0 = int(p.max(-1).indices)
    ordered = torch.sort(p, descending=True).values
    entropy = -torch.sum(p * torch.log(p + 1e-10), -1)
    return x0, float(p[x0]), float(ordered[0] - ordered[1]), float(entropy) + 0.0, float(largest - second)


def case(number, cols, spread, family, temperature, top_p, top_k, guidance, banned, doubted):
    torch.manual_seed(number)
    rows = (spread * torch.randn(2, cols)).bfloat16()
    if number % 4 > 1:  # the best are equal, or as close as bfloat16 has it
        best = rows[0].topk(3).indices.sort(descending=True).values
        value = rows[0, best[0]].clone()
        for id in best:
            rows[0, id] = value
            value = torch.nextafter(value, torch.zeros_like(value)) if number % 4 == 2 else value
    z = rows[0].clone()
    if guidance > 0:
        z = rows[1] + (guidance + 1) * (rows[0] - rows[1])
    ranked = torch.sort(z, descending=True, stable=True).indices
    banned = int(ranked[banned]) if banned >= 0 else -1
    doubted = int(ranked[doubted]) if doubted >= 0 else -1
    if banned >= 0:
        z[banned] = -torch.inf
    answers = statistics(z, temperature, top_p, top_k, doubted, family)
    logits = rows.flatten() if guidance > 0 else rows[0]
    fields = (temperature, top_p, top_k, guidance, banned, doubted, *answers, cols, *logits.tolist())
    return " ".join([family, *map(repr, fields)])


def main():
    cases = [(COLS, spread, *options) for options in CASES for spread in SPREADS]
    cases += [(1500, 2.0, *options) for options in (CASES[0], ("dream", 0.0, 1.0, 0, 0.0, -1, -1))]
    lines = [case(number, *of) for number, of in enumerate(cases)]
    (pathlib.Path(__file__).parent / "bf16_statistics.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

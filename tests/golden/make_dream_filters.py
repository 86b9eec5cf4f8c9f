"""Dream's proposal of a token in PyTorch code of ours, float64: logits / T, top-p, top-k, softmax. Writes
dream_filters.txt: a line for each case,
temperature top_p top_k kept argmax confidence margin entropy cols logits..."""

import pathlib

import torch

CASES = [(t, p, k) for t in (1.0, 0.2, 1.6) for p, k in ((1.0, 5), (0.9, 0), (0.95, 3), (0.5, 7), (0.3, 40), (1.0, 1))]
COLS = 40


def propose(logits, temperature, top_p, top_k):
    z = logits / temperature
    if top_p < 1:
        order = torch.argsort(z, descending=True)
        below = torch.cumsum(torch.softmax(z[order], 0), 0) - torch.softmax(z[order], 0)
        z = z.masked_fill(torch.zeros_like(z, dtype=torch.bool).scatter(0, order, below > top_p), -torch.inf)
    if 0 < top_k < z.numel():
        z = z.masked_fill(z < torch.topk(z, top_k).values[-1], -torch.inf)
    p = torch.softmax(z, 0)
    best = torch.topk(p, 2).values
    entropy = torch.distributions.Categorical(probs=p[p > 0]).entropy()
    return int((p > 0).sum()), int(p.argmax()), float(best[0]), float(best[0] - best[1]), float(entropy)


def main():
    torch.manual_seed(8)
    lines = []
    for number, (temperature, top_p, top_k) in enumerate(CASES):
        logits = (2.5 * torch.randn(COLS)).float()
        if number % 2 == 1 and top_k > 0:  # ties at the k-th largest
            values, ids = torch.topk(logits, top_k + 2)
            logits[ids[top_k - 1 :]] = values[top_k - 1]
        answers = propose(logits.double(), temperature, top_p, top_k)
        lines.append(" ".join(repr(v) for v in (temperature, top_p, top_k, *answers, COLS, *logits.tolist())))
    (pathlib.Path(__file__).parent / "dream_filters.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

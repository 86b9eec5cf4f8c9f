"""Singular values of rearranged matrices by numpy. Writes kron.txt: a line for each case,
m n p q count sigma_1 ... sigma_count of R[(i1, j1)][(i2, j2)] = W[i1 p + i2][j1 q + j2], W by the formula below."""

import pathlib

import numpy

CASES = [(6, 4, 5, 8), (16, 16, 32, 32), (30, 32, 32, 48), (7, 5, 3, 11), (1, 13, 17, 1), (40, 1, 1, 24), (1, 30, 1, 7)]
MOST = 24


def weights(rows, columns):
    """Whole numbers over 1024: exact in float32, and no random generator to agree on."""
    i, j = numpy.arange(rows, dtype=numpy.int64)[:, None], numpy.arange(columns, dtype=numpy.int64)[None, :]
    return ((i * i * 131 + j * j * 37 + i * j * 71 + i * 17 + j * 29) % 2039) / 1024.0 - 1.0


def main():
    lines = []
    for m, n, p, q in CASES:
        w = weights(m * p, n * q)
        r = w.reshape(m, p, n, q).transpose(0, 2, 1, 3).reshape(m * n, p * q)
        sigma = numpy.linalg.svd(r, compute_uv=False)[:MOST]
        lines.append(" ".join([f"{m} {n} {p} {q} {len(sigma)}", *(repr(float(s)) for s in sigma)]))
    pathlib.Path(__file__).with_name("kron.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

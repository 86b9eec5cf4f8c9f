"""Hadamard transforms by SciPy's matrices. Writes hadamard.txt: a line for each case, family n x... y..., integers."""

import functools
import pathlib

import numpy as np
from scipy.linalg import hadamard

SYLVESTER, REGULAR, BLOCKS = 0, 1, 2
REGULAR_4 = np.array([[1, 1, 1, -1], [1, 1, -1, 1], [1, -1, 1, 1], [-1, 1, 1, 1]])
BLOCK = 8

random = np.random.default_rng(4)
matrices = [(SYLVESTER, hadamard(2**k)) for k in range(1, 9)]
matrices += [(REGULAR, functools.reduce(np.kron, [REGULAR_4] * k)) for k in range(1, 5)]
matrices += [(BLOCKS, np.kron(np.eye(m, dtype=int), hadamard(BLOCK))) for m in (2, 3, 12)]
lines = []
for family, matrix in matrices:
    x = random.integers(-9, 10, len(matrix))
    lines.append(" ".join(map(str, [family, len(matrix), *x, *(matrix @ x)])))
pathlib.Path(__file__).with_name("hadamard.txt").write_text("\n".join(lines) + "\n")

"""Blocks of every element type and what gguf's own dequantisation makes of them.

Writes quants/<type>.bin (the blocks, random bits with finite scales) and quants/<type>.f32 (the floats)."""

import pathlib

import numpy as np
from gguf import GGMLQuantizationType as Q
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES

SEED = 300
BLOCKS = 8
# Where a block keeps its f16 scales, by byte offset.
SCALES = {
    Q.Q4_0: [0], Q.Q4_1: [0, 2], Q.Q5_0: [0], Q.Q5_1: [0, 2], Q.Q8_0: [0],
    Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208],
}  # fmt: skip
# Usual, zero, negative, subnormal, smallest, largest.
SPECIAL = np.array([0.0123, 0.0, -1.5, 3e-6, 6e-8, 65504.0, 1.0, -0.001], np.float16)


def main():
    folder = pathlib.Path(__file__).parent / "quants"
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(SEED)
    for type_, offsets in SCALES.items():
        _, size = GGML_QUANT_SIZES[type_]
        blocks = generator.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
        for n, offset in enumerate(offsets):
            blocks[:, offset : offset + 2] = np.roll(SPECIAL, 3 * n).view(np.uint8).reshape(BLOCKS, 2)
        name = type_.name.lower()
        blocks.tofile(folder / f"{name}.bin")
        quants.dequantize(blocks, type_).astype("<f4").tofile(folder / f"{name}.f32")


if __name__ == "__main__":
    main()

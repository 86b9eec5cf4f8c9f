"""Quantisers for Q4_K, Q5_K and Q6_K, which gguf can read but not write. Plain rounding: made for tests, not for
quality.

x is (rows, cols), cols a multiple of 256; the result is the rows' bytes. Layouts are those gguf.quants dequantises."""

import numpy as np
from gguf import GGMLQuantizationType, quants


def _divide(a, b):
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


def _bytes(x):
    return np.ascontiguousarray(x).view(np.uint8).reshape(len(x), -1)


def _asymmetric(x, levels):
    """Sub-blocks of 32: x ~ d * scale * q - dmin * minimum, q in 0..levels, scale and minimum in 0..63."""
    lowest = np.minimum(x.min(axis=-1), 0)
    step, offset = (np.maximum(x.max(axis=-1), 0) - lowest) / levels, -lowest
    d = (step.max(axis=-1, keepdims=True) / 63).astype(np.float16)
    dmin = (offset.max(axis=-1, keepdims=True) / 63).astype(np.float16)
    d32, dmin32 = d.astype(np.float32), dmin.astype(np.float32)
    scale = np.clip(np.rint(_divide(step, np.broadcast_to(d32, step.shape))), 0, 63)
    minimum = np.clip(np.rint(_divide(offset, np.broadcast_to(dmin32, offset.shape))), 0, 63)
    width = np.broadcast_to((d32 * scale)[..., None], x.shape)
    q = np.clip(np.rint(_divide(x + (dmin32 * minimum)[..., None], width)), 0, levels).astype(np.uint8)
    s, m = scale.astype(np.uint8), minimum.astype(np.uint8)
    packed = np.concatenate(
        [s[:, :4] | s[:, 4:] >> 4 << 6, m[:, :4] | m[:, 4:] >> 4 << 6, s[:, 4:] & 15 | (m[:, 4:] & 15) << 4], axis=-1
    )
    return [_bytes(d), _bytes(dmin), packed], q


def _nibbles(q):
    q = q.reshape(len(q), 4, 2, 32) & 15
    return _bytes(q[:, :, 0] | q[:, :, 1] << 4)


def _q4_k(x):
    head, q = _asymmetric(x.reshape(-1, 8, 32), 15)
    return [*head, _nibbles(q)]


def _q5_k(x):
    head, q = _asymmetric(x.reshape(-1, 8, 32), 31)
    high = np.bitwise_or.reduce((q >> 4) << np.arange(8, dtype=np.uint8)[None, :, None], axis=1)
    return [*head, high, _nibbles(q)]


def _q6_k(x):
    x = x.reshape(-1, 16, 16)
    step = np.abs(x).max(axis=-1) / 31
    d = (step.max(axis=-1, keepdims=True) / 127).astype(np.float16)
    d32 = d.astype(np.float32)
    scale = np.clip(np.rint(_divide(step, np.broadcast_to(d32, step.shape))), -128, 127)
    q = np.clip(np.rint(_divide(x, np.broadcast_to((d32 * scale)[..., None], x.shape))), -32, 31)
    q = (q + 32).astype(np.uint8).reshape(-1, 2, 4, 32)
    low = np.concatenate([q[:, :, 0] & 15 | (q[:, :, 2] & 15) << 4, q[:, :, 1] & 15 | (q[:, :, 3] & 15) << 4], axis=-1)
    high = np.bitwise_or.reduce((q >> 4) << np.array([0, 2, 4, 6], np.uint8)[None, None, :, None], axis=2)
    return [_bytes(low), _bytes(high), _bytes(scale.astype(np.int8)), _bytes(d)]


_QUANTIZERS = {GGMLQuantizationType.Q4_K: _q4_k, GGMLQuantizationType.Q5_K: _q5_k, GGMLQuantizationType.Q6_K: _q6_k}
# Rounding alone costs about 1 / (levels * sqrt(12)) of the range; a wrong bit order costs 100 %.
_ERROR = {GGMLQuantizationType.Q4_K: 0.10, GGMLQuantizationType.Q5_K: 0.05, GGMLQuantizationType.Q6_K: 0.03}


def quantize(x, kind):
    """Any type gguf knows, K-quants included."""
    x = np.ascontiguousarray(x, dtype=np.float32)
    if kind not in _QUANTIZERS:
        return quants.quantize(x, kind)
    packed = np.concatenate(_QUANTIZERS[kind](x), axis=-1).reshape(len(x), -1)
    error = np.linalg.norm(quants.dequantize(packed, kind) - x) / np.linalg.norm(x)
    assert error < _ERROR[kind], (kind, error)
    return packed

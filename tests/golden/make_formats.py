"""Writes formats/: files of the gguf and safetensors packages that use every metadata type and tensor type, and what is in
them, for the tests of the loaders.
Usage: python tests/golden/make_formats.py
"""

import hashlib
import json
import pathlib

import numpy as np
from gguf import GGMLQuantizationType as T, GGUFEndian, GGUFValueType as V, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from safetensors import TensorSpec, serialize_file

OUT = pathlib.Path(__file__).parent / "formats"
ARCHITECTURE = dict(block_count=1, context_length=16, embedding_length=8, feed_forward_length=12, head_count=2,
                    head_count_kv=1, layer_norm_rms_eps=1e-5)
VOCABULARY = ["<s>", "</s>", "a", "ü", "日本", "🙂", "\n"]
SHAPES = {  # as transformers has them
    "token_embd.weight": (7, 8), "output_norm.weight": (8,), "blk.0.attn_norm.weight": (8,), "blk.0.attn_q.weight": (8, 8),
    "blk.0.attn_k.weight": (4, 8), "blk.0.attn_v.weight": (4, 8), "blk.0.attn_output.weight": (8, 8),
    "blk.0.ffn_norm.weight": (8,), "blk.0.ffn_gate.weight": (12, 8), "blk.0.ffn_up.weight": (12, 8),
    "blk.0.ffn_down.weight": (8, 12),
}
SCALARS = {  # every scalar type at its limits
    V.UINT8: 255, V.INT8: -128, V.UINT16: 65535, V.INT16: -32768, V.UINT32: 2**32 - 1, V.INT32: -2**31, V.UINT64: 2**63 - 1,
    V.INT64: -2**63, V.FLOAT32: 0.1, V.FLOAT64: 0.1, V.BOOL: True, V.STRING: "żółw 🐢",
}
ARRAYS = {
    V.UINT8: [0, 255], V.INT8: [-128, 127], V.UINT16: [0, 65535], V.INT16: [-32768, 32767], V.UINT32: [0, 2**31 - 1],
    V.INT32: [-2**31, 2**31 - 1], V.FLOAT32: [0.5, -1.25], V.FLOAT64: [0.5, -1.25], V.STRING: ["", "é", "\x00"],
}


def described(name, kind, shape, data):
    return dict(name=name, type=kind, shape=list(shape), sha256=hashlib.sha256(data).hexdigest())


def random_bytes(rng, count):
    return rng.integers(0, 256, count, dtype=np.uint8)


def add_architecture(writer):
    for key, value in ARCHITECTURE.items():
        getattr(writer, "add_" + key)(value)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(VOCABULARY)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_eot_token_id(2)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def every_type(rng):
    """Every value type and every tensor type."""
    writer = GGUFWriter(OUT / "every-type.gguf", "llama")
    add_architecture(writer)
    for kind, value in SCALARS.items():
        writer.add_key_value("test.scalar." + kind.name, value, kind)
    for kind, value in ARRAYS.items():
        writer.add_key_value("test.array." + kind.name, value, V.ARRAY, sub_type=kind)
    tensors = []
    for name, shape in SHAPES.items():
        data = rng.standard_normal(shape, dtype=np.float32)
        writer.add_tensor(name, data)
        tensors.append(described(name, "F32", shape, data.tobytes()))
    for kind, (block_size, block_bytes) in GGML_QUANT_SIZES.items():
        if kind in (T.F32, T.Q8_1):  # no file holds Q8_1, and the package has the size it had long ago
            continue
        data = random_bytes(rng, 3 * 2 * block_bytes).reshape(3, -1)
        writer.add_tensor("test." + kind.name, data, raw_dtype=kind)
        tensors.append(described("test." + kind.name, kind.name, (3, 2 * block_size), data.tobytes()))
    finish(writer)
    return dict(scalars={k.name: v for k, v in SCALARS.items()}, arrays={k.name: v for k, v in ARRAYS.items()},
                vocabulary=VOCABULARY, tensors=tensors)


def variant(name, rng, endian=GGUFEndian.LITTLE, alignment=None):
    writer = GGUFWriter(OUT / name, "llama", endianess=endian)
    if alignment:
        writer.add_custom_alignment(alignment)
    add_architecture(writer)
    tensors = []
    for tensor, shape in SHAPES.items():
        data = rng.standard_normal(shape, dtype=np.float32)
        writer.add_tensor(tensor, data)
        tensors.append(described(tensor, "F32", shape, data.tobytes()))
    finish(writer)
    return dict(tensors=tensors)


def safetensors(rng):
    folder = OUT / "safetensors"
    folder.mkdir(exist_ok=True)
    kinds = {"float64": ("F64", 8), "float32": ("F32", 4), "float16": ("F16", 2), "bfloat16": ("BF16", 2), "int64": ("I64", 8),
             "int32": ("I32", 4), "int16": ("I16", 2), "int8": ("I8", 1), "uint64": ("U64", 8), "uint32": ("U32", 4),
             "uint16": ("U16", 2), "uint8": ("U8", 1), "bool": ("BOOL", 1), "float8_e4m3fn": ("F8_E4M3", 1),
             "float8_e5m2": ("F8_E5M2", 1)}
    arrays, contents, tensors = [], {}, []
    for (dtype, (kind, size)), shape in zip(kinds.items(), [(2, 3), (5,), (), (1, 2, 3), (4, 0)] * 3):
        data = random_bytes(rng, int(np.prod(shape)) * size)
        arrays.append(data)  # a TensorSpec holds but an address
        contents[dtype] = TensorSpec(dtype=dtype, shape=list(shape), data_ptr=data.ctypes.data, data_len=data.nbytes)
        tensors.append(described(dtype, kind, shape, data.tobytes()))
    serialize_file(contents, folder / "model.safetensors", metadata={"format": "pt"})
    config = dict(model_type="llama", num_hidden_layers=1, hidden_size=8, num_attention_heads=2, intermediate_size=12,
                  vocab_size=7, max_position_embeddings=16)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    return dict(tensors=tensors)


def main():
    OUT.mkdir(exist_ok=True)
    rng = np.random.default_rng(20250601)
    expected = {
        "every-type.gguf": every_type(rng),
        "aligned-256.gguf": variant("aligned-256.gguf", rng, alignment=256),
        "safetensors": safetensors(rng),
    }
    variant("big-endian.gguf", rng, endian=GGUFEndian.BIG)
    (OUT / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()

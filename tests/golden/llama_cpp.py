"""llama.cpp's tokenizer, called in the library inside the xllamacpp wheel: it has no Python interface of its own for that."""

import ctypes
from pathlib import Path

import xllamacpp

_LIBRARY = ctypes.CDLL(str(Path(xllamacpp.__file__).parent / "xllamacpp.abi3.so"))


class _ModelParams(ctypes.Structure):
    # Larger than llama_model_params ever was; only the library knows the fields.
    _fields_ = [("bytes", ctypes.c_uint8 * 256)]


# Offset of vocab_only in llama_model_params of the pinned version: after 4 + 4 words of pointers and numbers.
_VOCAB_ONLY = 72

_LIBRARY.llama_model_default_params.restype = _ModelParams
_LIBRARY.llama_model_load_from_file.restype = ctypes.c_void_p
_LIBRARY.llama_model_load_from_file.argtypes = [ctypes.c_char_p, _ModelParams]
_LIBRARY.llama_model_get_vocab.restype = ctypes.c_void_p
_LIBRARY.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
_LIBRARY.llama_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32,
                                    ctypes.c_bool, ctypes.c_bool]
_LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda level, text, data: None)
_LIBRARY.llama_log_set(_LOG, None)
_LIBRARY.llama_backend_init()


class LlamaCpp:
    """The vocabulary of a GGUF file. Models stay loaded."""

    def __init__(self, path):
        params = _LIBRARY.llama_model_default_params()
        params.bytes[_VOCAB_ONLY] = 1
        model = _LIBRARY.llama_model_load_from_file(str(path).encode(), params)
        if not model:
            raise ValueError(f"llama.cpp refuses {path}")
        self.vocab = _LIBRARY.llama_model_get_vocab(model)

    def encode(self, text, add_special=False):
        """Token ids; names of special tokens in the text become those tokens."""
        utf8 = text.encode()
        ids = (ctypes.c_int32 * (len(utf8) + 8))()
        count = _LIBRARY.llama_tokenize(self.vocab, utf8, len(utf8), ids, len(ids), add_special, True)
        if count < 0:
            raise ValueError("llama.cpp needs room for more tokens than bytes")
        return ids[:count]

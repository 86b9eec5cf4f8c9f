"""llama.cpp as one side of compare.py, through the C API as llama-cpp-python binds it.

Usage: python bench/end_to_end/llama_cpp_side.py MODEL.gguf --threads 2 [--flash-attention on|off] [--cache-type f16]
           [--context 4608]
The protocol is described in compare.py.
"""

import argparse
import ctypes
import json
import os
import sys
import time

import llama_cpp as api

CACHE_TYPES = {"f16": 1, "q4_0": 2, "q4_1": 3, "q8_0": 8}  # ggml_type; those of values need flash attention
CHUNK = 512  # n_batch = n_ubatch, llama.cpp's default and llama-bench's


class Engine:
    def __init__(self, arguments):
        self._quiet = api.llama_cpp.llama_log_callback(
            lambda *_: None
        )  # kept alive for as long as llama.cpp may call it
        api.llama_log_set(self._quiet, None)
        api.llama_backend_init()
        self.model = api.llama_model_load_from_file(os.fsencode(arguments.model), api.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"llama_cpp_side.py: cannot load {arguments.model}")
        parameters = api.llama_context_default_params()
        parameters.n_ctx = arguments.context
        parameters.n_batch = parameters.n_ubatch = CHUNK
        parameters.n_threads = parameters.n_threads_batch = arguments.threads
        parameters.flash_attn_type = int(arguments.flash_attention == "on")
        parameters.type_k = parameters.type_v = CACHE_TYPES[arguments.cache_type]
        parameters.no_perf = True
        self.context = api.llama_init_from_model(self.model, parameters)
        self.vocabulary = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self.model))
        self.cached = 0

    def decode(self, count):
        """Feeds the next `count` tokens; llama_batch_get_one asks for the logits of the last."""
        tokens = (ctypes.c_int32 * count)(
            *((i * 7919 + 1) % self.vocabulary for i in range(self.cached, self.cached + count))
        )
        if api.llama_decode(self.context, api.llama_batch_get_one(tokens, count)) != 0:
            raise SystemExit("llama_cpp_side.py: llama_decode failed (is --context large enough?)")
        self.cached += count

    def keep(self, count):
        """Makes the cache hold exactly `count` tokens."""
        if self.cached > count:
            api.llama_memory_seq_rm(api.llama_get_memory(self.context), 0, count, -1)
            self.cached = count
        while self.cached < count:
            self.decode(min(CHUNK, count - self.cached))

    def run(self, mode, size, tokens):
        """Seconds of `prefill size` or of `tokens` steps after `size` cached tokens."""
        self.keep(0 if mode == "prefill" else size)
        api.llama_synchronize(self.context)
        start = time.perf_counter()
        if mode == "prefill":
            self.decode(size)
        else:
            for _ in range(tokens):
                self.decode(1)
        api.llama_synchronize(self.context)
        return time.perf_counter() - start

    def describe(self, arguments):
        base = os.environ.get("LLAMA_CPP_LIB_PATH") or os.path.join(os.path.dirname(api.__file__), "lib")
        return {
            "engine": "llama.cpp",
            "binding": f"llama-cpp-python {api.__version__}",
            "threads": arguments.threads,
            "flash_attention": arguments.flash_attention,
            "cache_type": arguments.cache_type,
            "model": os.path.basename(arguments.model),
            "blas": os.path.exists(os.path.join(base, "libggml-blas.so")),
            "tier": api.llama_print_system_info().decode().strip(" |"),
        }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--flash-attention", choices=("on", "off"), default="on")
    parser.add_argument("--cache-type", choices=CACHE_TYPES, default="f16")
    parser.add_argument("--context", type=int, default=4608)
    arguments = parser.parse_args()
    engine = Engine(arguments)
    print(json.dumps(engine.describe(arguments)), flush=True)
    for line in sys.stdin:
        mode, size, *rest = line.split()
        size = int(size)
        tokens = size if mode == "prefill" else int(rest[0])
        seconds = engine.run(mode, size, tokens)
        print(
            json.dumps({"mode": mode, "size": size, "tokens": tokens, "seconds": seconds, "tok_s": tokens / seconds}),
            flush=True,
        )


if __name__ == "__main__":
    main()

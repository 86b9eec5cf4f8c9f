"""Instructions per element of syl_hadamard_f32, counted by callgrind (which knows AVX2 and not AVX-512).

python3 bench/hadamard/instructions.py [LIBRARY]   the default is build/release/libsylvester.so; needs valgrind
"""

import ctypes
import pathlib
import re
import subprocess
import sys

LENGTHS = (64, 128, 256, 512, 1024, 4096, 16384, 65536)
ELEMENTS = 1 << 18
CALLS = 20


def load(path):
    library = ctypes.CDLL(path)
    library.syl_tier.restype = ctypes.c_char_p
    library.syl_hadamard_f32.argtypes = [ctypes.c_void_p] + [ctypes.c_int64] * 3 + [ctypes.c_double, ctypes.c_void_p]
    return library


def transform(path, n, calls):
    library = load(path)
    rows = (ctypes.c_float * ELEMENTS)()
    for _ in range(calls):
        if library.syl_hadamard_f32(rows, ELEMENTS // n, n, n, 0, None) != 0:
            sys.exit("syl_hadamard_f32 failed")
    print("tier", library.syl_tier().decode())


def collected(path, n, calls):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, __file__, path]
    run = subprocess.run(command + [str(n), str(calls)], capture_output=True, text=True, env={"PYTHONHASHSEED": "0"})
    total = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or not total:
        sys.exit(run.stderr)
    return int(total[1]), run.stdout.split()[-1]


def count(path, n):
    """The calls make the difference between two runs, the start of the interpreter does not."""
    few, tier = collected(path, n, 1)
    many, _ = collected(path, n, 1 + CALLS)
    return (many - few) / CALLS / ELEMENTS, tier


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    path = sys.argv[1] if len(sys.argv) > 1 else str(root / "build" / "release" / "libsylvester.so")
    if len(sys.argv) > 2:
        return transform(path, int(sys.argv[2]), int(sys.argv[3]))
    for n in LENGTHS:
        instructions, tier = count(path, n)
        stages = n.bit_length() - 1
        # What rows in registers are made of: the bound of bench/native/hadamard/yardsticks.h, without loads and stores, 8 floats to a vector.
        arithmetic = (2 * 3 + stages - 3 + 1) / 8
        print(f"n {n:6d}  {instructions:6.3f} instructions per element ({tier}), of them {arithmetic:5.3f} arithmetic")


if __name__ == "__main__":
    main()

"""Hadamard transforms of rows by this library and by others' in one process, one thread each, alternating.

For every case the rows (512 KB by default: the second cache) are transformed by us and by a rival in turns; each turn
repeats its call for about --milliseconds. The table has the median time of a row and the median, smallest and largest
ratio rival / us: above 1 we are faster. Every rival's result is compared with scipy's matrix before it is timed.
We scale by 1 / sqrt(n), as ggml does; the other rivals do not scale, so that their rows become infinite, which costs
the processor no time. Calls go through Python on both sides, about a microsecond for all rows together.

Usage: python bench/hadamard/rivals.py [--library build/release/libsylvester.so] [--n 64 128 ...] [--bytes 524288]
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded

import argparse
import ctypes
import importlib.metadata
import platform
import statistics
import time

import numpy as np
from scipy.linalg import hadamard

DENSE_LIMIT = 4096  # beyond it nobody multiplies by the matrix, and it would not fit
F32, HADAMARD_HINT = 0, 1  # GGML_TYPE_F32, GGML_HINT_SRC0_IS_HADAMARD


class Sylvester:
    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        for name in ("syl_hadamard_f32", "syl_hadamard_f64"):
            function = getattr(self.library, name)
            function.argtypes = [ctypes.c_void_p] + 3 * [ctypes.c_int64] + [ctypes.c_double, ctypes.c_void_p]
        for name in ("syl_version", "syl_tier", "syl_last_error"):
            getattr(self.library, name).restype = ctypes.c_char_p
        self.description = f"sylvester {self.library.syl_version().decode()}, tier {self.library.syl_tier().decode()}"

    def rows(self, x):
        """A call that transforms the rows of x in place."""
        function = self.library.syl_hadamard_f64 if x.dtype == np.float64 else self.library.syl_hadamard_f32
        address, (rows, n) = x.ctypes.data, x.shape

        def call():
            if function(address, rows, n, n, 0.0, None) != 0:
                raise RuntimeError(self.library.syl_last_error().decode())

        return call


# A rival takes rows and returns what is called and where the result lies, or None where it has nothing to offer.


def numpy_matmul(x):
    n = x.shape[1]
    if n > DENSE_LIMIT:
        return None
    h = hadamard(n).astype(x.dtype)
    y = np.empty_like(x)
    return lambda: np.matmul(x, h, out=y), y


def fht_cpu(x):
    import fht_cpu

    return lambda: fht_cpu.fht_2d_f32_rows(x, 1), x


def ffht(x):
    import ffht

    return lambda: ffht.fht_(x, 1), x


def pyfwht_f64(x):
    import pyfwht

    rows = list(x)
    return lambda: pyfwht.vectorized_batch_f64(rows, x.shape[1]), x


class InitParams(ctypes.Structure):
    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


def ggml(x, hint):
    """ggml's product with a matrix, which becomes a fast transform when told that it is Hadamard's."""
    import llama_cpp

    rows, n = x.shape
    if n > DENSE_LIMIT:
        return None
    folder = os.path.join(os.path.dirname(llama_cpp.__file__), "lib")
    base = ctypes.CDLL(os.path.join(folder, "libggml-base.so"), ctypes.RTLD_GLOBAL)
    cpu = ctypes.CDLL(os.path.join(folder, "libggml-cpu.so"), ctypes.RTLD_GLOBAL)
    pointer = ctypes.c_void_p
    base.ggml_init.argtypes, base.ggml_init.restype = [InitParams], pointer
    base.ggml_new_tensor_2d.argtypes = [pointer, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    base.ggml_mul_mat.argtypes = [pointer, pointer, pointer]
    base.ggml_mul_mat_set_hint.argtypes = [pointer, ctypes.c_int]
    base.ggml_new_graph.argtypes = base.ggml_get_data.argtypes = [pointer]
    base.ggml_build_forward_expand.argtypes = [pointer, pointer]
    cpu.ggml_graph_compute_with_ctx.argtypes = [pointer, pointer, ctypes.c_int]
    for function in (base.ggml_new_tensor_2d, base.ggml_mul_mat, base.ggml_new_graph, base.ggml_get_data):
        function.restype = pointer
    cpu.ggml_cpu_init()

    # One graph, computed again and again in a context whose work buffer is taken from the same memory each time.
    context = base.ggml_init(InitParams(2 * x.nbytes + n * n * 4 + (64 << 20), None, False))
    matrix = base.ggml_new_tensor_2d(context, F32, n, n)
    source = base.ggml_new_tensor_2d(context, F32, n, rows)
    result = base.ggml_mul_mat(context, matrix, source)
    if hint:
        base.ggml_mul_mat_set_hint(result, HADAMARD_HINT)
    graph = base.ggml_new_graph(context)
    base.ggml_build_forward_expand(graph, result)
    scaled = (hadamard(n) / np.sqrt(n)).astype(np.float32)
    ctypes.memmove(base.ggml_get_data(matrix), scaled.ctypes.data, scaled.nbytes)
    ctypes.memmove(base.ggml_get_data(source), x.ctypes.data, x.nbytes)
    y = np.ctypeslib.as_array(ctypes.cast(base.ggml_get_data(result), ctypes.POINTER(ctypes.c_float)), x.shape)
    works = [base.ggml_init(InitParams(64 << 20, None, False))]
    base.ggml_reset.argtypes = [pointer]

    def call():
        base.ggml_reset(works[0])
        cpu.ggml_graph_compute_with_ctx(works[0], graph, 1)

    return call, y


RIVALS = {
    "FFHT": ("ffht-unofficial", ffht, np.float32),
    "fht-cpu": ("fht-cpu", fht_cpu, np.float32),
    "ggml, transform": ("llama-cpp-python", lambda x: ggml(x, True), np.float32),
    "ggml, matrix": ("llama-cpp-python", lambda x: ggml(x, False), np.float32),
    "numpy, matrix": ("numpy", numpy_matmul, np.float32),
    "pyfwht, float64": ("pyfwht", pyfwht_f64, np.float64),
}


def is_transform(result, x):
    """Whether result is x H, scaled or not, in the first rows and, of long rows, elements."""
    n = x.shape[1]
    x, result = x[:4].astype(np.float64), result[:4, :DENSE_LIMIT]
    # H of a long row begins with H of a short one, again and again.
    folded = x.reshape(len(x), -1, min(n, DENSE_LIMIT)).sum(axis=1)
    expected = folded @ hadamard(folded.shape[1])
    bound = np.abs(x).sum(axis=1, keepdims=True) * 2**-20
    return any(np.all(np.abs(result * factor - expected) <= bound) for factor in (1.0, np.sqrt(n)))


def seconds_of(call, seconds):
    start = time.perf_counter()
    call()
    repeats = max(1, int(seconds / (time.perf_counter() - start)))
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def compare(ours, rival, n, arguments):
    """Median nanoseconds of a row by us and by the rival, and the ratio's median, minimum and maximum."""
    _, make, dtype = RIVALS[rival]
    rows = max(1, arguments.bytes // n // np.dtype(dtype).itemsize)
    values = np.random.default_rng(1).standard_normal((rows, n)).astype(dtype)
    others = values.copy()
    made = make(others)
    if made is None:
        return None
    call_rival, result = made
    call_rival()
    if not is_transform(result, values):
        raise SystemExit(f"rivals.py: {rival} gives something else than the transform at n = {n}")
    calls = [ours.rows(values), call_rival]
    times = []
    for turn in range(arguments.rounds + 1):
        order = (0, 1) if turn % 2 == 0 else (1, 0)
        pair = {side: seconds_of(calls[side], arguments.milliseconds / 1000) for side in order}
        if turn > 0:  # the first warms up
            times.append((pair[0], pair[1]))
    ratios = [them / us for us, them in times]
    nanoseconds = [statistics.median(side) / rows * 1e9 for side in zip(*times)]
    return *nanoseconds, statistics.median(ratios), min(ratios), max(ratios)


def main():
    parser = argparse.ArgumentParser()
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser.add_argument("--library", default=os.path.join(root, "build", "release", "libsylvester.so"))
    parser.add_argument("--n", type=int, nargs="+", default=[64, 128, 256, 512, 1024, 4096, 16384, 65536, 1 << 20])
    parser.add_argument(
        "--bytes", type=int, default=512 << 10, help="of the rows of a case, or one row if that is more"
    )
    parser.add_argument("--rival", nargs="+", choices=list(RIVALS), default=list(RIVALS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--milliseconds", type=float, default=20, help="of one turn")
    arguments = parser.parse_args()

    ours = Sylvester(arguments.library)
    print(
        f"{ours.description}; {platform.processor() or platform.machine()}, one thread, {arguments.bytes} bytes of rows"
    )
    print(f"{'rival':<18}{'n':>8}{'us, ns/row':>14}{'rival, ns/row':>16}{'ratio':>8}  [min .. max]")
    for rival in arguments.rival:
        package = RIVALS[rival][0]
        try:
            print(f"{rival} is {package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{rival}: {package} is not installed")
            continue
        for n in arguments.n:
            row = compare(ours, rival, n, arguments)
            if row:
                us, them, ratio, low, high = row
                print(f"{rival:<18}{n:>8}{us:>14.1f}{them:>16.1f}{ratio:>8.2f}  [{low:.2f} .. {high:.2f}]", flush=True)


if __name__ == "__main__":
    main()

"""Two inference engines side by side on one machine: the same requests, alternating A B A B, medians and ratios.

Each side is a command that keeps running. It prints one JSON line that describes itself, then answers each request line
with one JSON line that has at least "seconds" and "tok_s":
    prefill N      from an empty cache, N tokens in one go, logits of the last one; tok_s = N / seconds
    decode C T     with C tokens cached, T single-token steps, logits of each, no sampling; tok_s = T / seconds
What fills the cache beforehand is not timed. Token number i is (i * 7919 + 1) mod the size of the vocabulary. The side
ends at the end of its input.

Usage: python bench/end_to_end/compare.py --a './sylvester bench generate --json -m M --threads 2' \\
           --b 'python bench/end_to_end/llama_cpp_side.py M.gguf --threads 2'
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys

REQUESTS = ["prefill 512", "decode 0 64", "decode 1024 64", "decode 4096 64"]


class Side:
    def __init__(self, command):
        self.command = command
        self.process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.description = self._read()

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"compare.py: ended early with status {self.process.wait()}: {self.command}")
        return json.loads(line)

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self._read()["tok_s"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(sides, requests, rounds):
    """tok/s[request][side][round]. The first round warms up and is not kept; who goes first changes every round."""
    results = {request: [[] for _ in sides] for request in requests}
    for request in requests:
        for i in range(rounds + 1):
            order = range(len(sides)) if i % 2 == 0 else reversed(range(len(sides)))
            for s in order:
                speed = sides[s].ask(request)
                if i > 0:
                    results[request][s].append(speed)
    return results


def summarize(speeds):
    return {"median": statistics.median(speeds), "min": min(speeds), "max": max(speeds)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--a", required=True, help="command of our side")
    parser.add_argument("--b", required=True, help="command of the rival")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--request", action="append", help=f"may be repeated; default: {', '.join(REQUESTS)}")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout instead of a table")
    arguments = parser.parse_args()

    sides = [Side(arguments.a), Side(arguments.b)]
    results = measure(sides, arguments.request or REQUESTS, arguments.rounds)
    for side in sides:
        side.close()

    # A pair runs back to back, so a disturbance of the machine hits both: its ratio is steadier than either speed.
    rows = [
        {"request": request, "a": summarize(a), "b": summarize(b), "a/b": summarize([x / y for x, y in zip(a, b)])}
        for request, (a, b) in results.items()
    ]
    if arguments.json:
        json.dump(
            {"a": sides[0].description, "b": sides[1].description, "rounds": arguments.rounds, "rows": rows}, sys.stdout
        )
        print()
        return
    for name, side in zip("AB", sides):
        print(f"{name}: {json.dumps(side.description)}")
    cell = lambda s, digits: f"{s['median']:.{digits}f} [{s['min']:.{digits}f} .. {s['max']:.{digits}f}]"
    print(f"{'tok/s, median [min .. max]':<28}{'A':>28}{'B':>28}{'A/B':>24}")
    for row in rows:
        print(f"{row['request']:<28}{cell(row['a'], 1):>28}{cell(row['b'], 1):>28}{cell(row['a/b'], 2):>24}")


if __name__ == "__main__":
    main()

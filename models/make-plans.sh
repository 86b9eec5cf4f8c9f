#!/usr/bin/env bash
# Makes the plans of packed caches that come with the models; again whenever the presets that need one change.
#   models/make-plans.sh TRAIN.JSONL      GSM8K's training problems (openai/grade-school-math at 3101c7d5)
# SYLVESTER is the command line to use, ./sylvester unless given.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
problems=${1:?GSM8K train.jsonl}
sylvester=${SYLVESTER:-$root/sylvester}
text=$(mktemp)
trap 'rm -f "$text"' EXIT
python3 -c '
import json, sys
for line in open(sys.argv[1], encoding="utf-8"):
    problem = json.loads(line)
    print(problem["question"], problem["answer"], sep="\n", end="\n\n")
' "$problems" >"$text"

# make MODEL TEXT FOLDER
make() {
  mkdir -p "$3"
  for kind in best rotatekv; do
    for bits in 2 3 4; do
      "$sylvester" calibrate -m "$1" -f "$2" --kv $kind --kv-bits $bits --max-tokens 16384 -o "$3/$kind-$bits.kvplan"
    done
  done
}
make gsm-mini "$root/models/gsm-mini/train.jsonl" "$root/models/gsm-mini/target/plans"
make gsm-mini-diffusion "$root/models/gsm-mini/train.jsonl" "$root/models/gsm-mini/diffusion/plans"
make smollm2 "$text" "$root/models/smollm2/plans"

"""Does PEFT read what `sylvester adapt decompose --method lora` and `sylvester adapt export` write? Changes of low rank and
of few Kronecker terms in gsm-mini-draft: prints the largest differences of logits and deltas, and fails above 1e-4 and
1e-6. Needs torch, transformers, peft."""

import pathlib
import shutil
import subprocess
import tempfile

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).parents[2]
BASE = ROOT / "models" / "gsm-mini" / "draft"
RANKS = {"self_attn.q_proj": 3, "mlp.down_proj": 2, "mlp.up_proj": 5}
TERMS = {"self_attn.q_proj": 3, "mlp.up_proj": 2}
TOKENS = torch.tensor([[5, 80, 33, 120, 7, 61, 200, 14]])


def balanced(size):
    return max(d for d in range(1, int(size**0.5) + 1) if size % d == 0)


def low_rank(rows, columns, rank, generator):
    return torch.randn(rows, rank, generator=generator) @ torch.randn(rank, columns, generator=generator)


def kronecker(rows, columns, terms, generator):
    m, n = balanced(rows), balanced(columns)
    pairs = [(torch.randn(m, n, generator=generator), torch.randn(rows // m, columns // n, generator=generator))
             for _ in range(terms)]  # fmt: skip
    return sum(torch.kron(u, v) for u, v in pairs)


def fine_tune(folder, change, sizes):
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BASE / name, folder)
    generator = torch.Generator().manual_seed(0)
    weights = {name: tensor.float() for name, tensor in load_file(BASE / "model.safetensors").items()}
    deltas = {}
    for name, size in sizes.items():
        module = f"model.layers.0.{name}"
        deltas[module] = 0.02 * change(*weights[f"{module}.weight"].shape, size, generator)
        weights[f"{module}.weight"] = weights[f"{module}.weight"] + deltas[module]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return deltas


def sylvester(*arguments):
    subprocess.run([ROOT / "sylvester", "adapt", *arguments], check=True)


def logits(path):
    with torch.no_grad():
        return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)(TOKENS).logits


def check(what, folders, deltas, want):
    """All folders active together in PEFT beside the base, against the fine-tuned model."""
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    names = [f"adapter{k}" for k in range(len(folders))]
    adapted = PeftModel.from_pretrained(model, folders[0], adapter_name=names[0])
    for name, folder in zip(names[1:], folders[1:]):
        adapted.load_adapter(folder, adapter_name=name)
    adapted.base_model.set_adapter(names)
    with torch.no_grad():
        error = (adapted(TOKENS).logits - want).abs().max().item()
    print(f"{what}: logits {error}")
    assert error < 1e-4
    seen = set()
    for name, module in adapted.base_model.model.named_modules():
        if hasattr(module, "get_delta_weight"):
            own = [adapter for adapter in names if adapter in module.r]
            error = (sum(module.get_delta_weight(adapter) for adapter in own) - deltas[name]).abs().max().item()
            print(f"{what}: {name}: ranks {[module.r[adapter] for adapter in own]}, delta {error}")
            assert error < 1e-6
            seen.add(name)
    assert seen == set(deltas)


def main():
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        tuned = folder / "tuned"
        deltas = fine_tune(tuned, low_rank, RANKS)
        want = logits(tuned)
        print("logits of the base:", (logits(BASE) - want).abs().max().item())
        decompose = ["decompose", "-m", tuned, "--base", BASE, "--budget", "100000"]
        sylvester(*decompose, "--method", "lora", "-o", folder / "lora")
        check("decompose, lora", [folder / "lora"], deltas, want)

        tuned = decompose[2] = folder / "tuned-kronecker"
        deltas = fine_tune(tuned, kronecker, TERMS)
        want = logits(tuned)
        print("logits of the base:", (logits(BASE) - want).abs().max().item())
        terms = folder / "terms.safetensors"
        sylvester(*decompose, "-o", terms)
        sylvester("export", terms, "--to", "lokr", "-o", folder / "lokr")
        check("export, lokr", sorted((folder / "lokr").iterdir()), deltas, want)
        sylvester("export", terms, "--to", "lora", "-o", folder / "lora-of-terms")
        check("export, lora", [folder / "lora-of-terms"], deltas, want)


if __name__ == "__main__":
    main()

"""Does PEFT read what `sylvester adapt decompose --method lora` writes? Changes of ranks 3, 2 and 5 in gsm-mini-draft:
prints the largest differences of logits and deltas, and fails above 1e-4 and 1e-6. Needs torch, transformers, peft."""

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


def fine_tune(folder):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BASE / name, folder)
    generator = torch.Generator().manual_seed(0)
    weights = {name: tensor.float() for name, tensor in load_file(BASE / "model.safetensors").items()}
    deltas = {}
    for name, rank in RANKS.items():
        module = f"model.layers.0.{name}"
        rows, columns = weights[f"{module}.weight"].shape
        left, right = torch.randn(rows, rank, generator=generator), torch.randn(rank, columns, generator=generator)
        deltas[module] = 0.02 * left @ right
        weights[f"{module}.weight"] = weights[f"{module}.weight"] + deltas[module]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return deltas


def main():
    with tempfile.TemporaryDirectory() as temporary:
        tuned, lora = pathlib.Path(temporary, "tuned"), pathlib.Path(temporary, "lora")
        tuned.mkdir()
        deltas = fine_tune(tuned)
        subprocess.run([ROOT / "sylvester", "adapt", "decompose", "-m", tuned, "--base", BASE, "--method", "lora",
                        "--budget", "100000", "-o", lora], check=True)  # fmt: skip
        tokens = torch.tensor([[5, 80, 33, 120, 7, 61, 200, 14]])
        with torch.no_grad():
            want = AutoModelForCausalLM.from_pretrained(tuned, dtype=torch.float32)(tokens).logits
            model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
            print("logits of the base:", (model(tokens).logits - want).abs().max().item())
            adapted = PeftModel.from_pretrained(model, lora)
            error = (adapted(tokens).logits - want).abs().max().item()
        print("logits with the adapter:", error)
        assert error < 1e-4
        for name, module in adapted.base_model.model.named_modules():
            if hasattr(module, "get_delta_weight"):
                error = (module.get_delta_weight("default") - deltas.pop(name)).abs().max().item()
                print(f"{name}: rank {module.r['default']}, delta {error}")
                assert error < 1e-6
        assert not deltas


if __name__ == "__main__":
    main()

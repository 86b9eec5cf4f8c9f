"""Adapters as PEFT saves them, and the weights that they come to by its get_delta_weight. Writes adapters/<case>/ with
adapter_config.json, adapter_model.safetensors and reference.safetensors: a delta for each module, without the prefix."""

import json
import pathlib
import shutil

import torch
from peft import LoKrConfig, LoraConfig, get_peft_model
from safetensors.torch import save_file

ROOT = pathlib.Path(__file__).with_name("adapters")
TARGETS = ["q_proj", "up_proj"]
CASES = {
    "lora": LoraConfig(r=4, lora_alpha=6, target_modules=TARGETS),
    "lora-patterns": LoraConfig(r=4, lora_alpha=6, target_modules=TARGETS, use_rslora=True,
                                rank_pattern={"layers.1.q_proj": 2}, alpha_pattern={"up_proj": 5}),
    "lora-bf16": LoraConfig(r=3, lora_alpha=3, target_modules=TARGETS),
    "lokr": LoKrConfig(r=8, alpha=4, target_modules=TARGETS),
    "lokr-split": LoKrConfig(r=2, alpha=3, decompose_factor=2, target_modules=TARGETS),
    "lokr-both": LoKrConfig(r=2, alpha=3, decompose_both=True, target_modules=TARGETS,
                            rank_pattern={"up_proj": 1}, alpha_pattern={"layers.0.up_proj": 7}),
}  # fmt: skip


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj = torch.nn.Linear(24, 20, bias=False)
        self.up_proj = torch.nn.Linear(24, 36, bias=False)


class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList([Layer(), Layer()])


def main():
    for seed, (name, config) in enumerate(CASES.items(), start=700):
        generator = torch.Generator().manual_seed(seed)
        model = get_peft_model(Tiny(), config)
        if name.endswith("bf16"):
            model = model.to(torch.bfloat16)
        with torch.no_grad():
            for parameter_name, parameter in sorted(model.named_parameters()):
                if "lora_" in parameter_name or "lokr_" in parameter_name:
                    parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
        folder = ROOT / name
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder)
        (folder / "README.md").unlink()
        file = folder / "adapter_config.json"
        settings = {k: sorted(v) if isinstance(v, list) else v for k, v in json.loads(file.read_text()).items()}
        file.write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n")
        model = model.to(torch.float32)  # exact sums of what was stored
        deltas = {}
        for module_name, module in model.base_model.model.named_modules():
            if hasattr(module, "get_delta_weight"):
                deltas[module_name] = module.get_delta_weight("default").detach().float().contiguous()
        save_file(deltas, folder / "reference.safetensors")


if __name__ == "__main__":
    main()

"""Adapters as PEFT saves them, and the weights that they come to by its get_delta_weight. Writes adapters/<case>/ with
adapter_config.json, adapter_model.safetensors and reference.safetensors: a delta for each module, without the prefix.
DoRA and PiSSA need the model's own weights, adapters/base.safetensors: there the delta is what PEFT's merging makes of
these, less them. pissa-initial is PiSSA before training, pissa-converted PEFT's conversion of pissa to a LoRA."""

import json
import pathlib
import shutil

import torch
from peft import LoKrConfig, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

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


RELATIVE = {
    "dora": LoraConfig(r=4, lora_alpha=6, target_modules=TARGETS, use_dora=True),
    "pissa": LoraConfig(r=3, lora_alpha=6, target_modules=TARGETS, init_lora_weights="pissa",
                        rank_pattern={"up_proj": 2}, alpha_pattern={"up_proj": 5}),
    "pissa-dora": LoraConfig(r=3, lora_alpha=3, target_modules=TARGETS, init_lora_weights="pissa", use_dora=True),
}  # fmt: skip


def save(model, folder, **arguments):
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, **arguments)
    (folder / "README.md").unlink()
    file = folder / "adapter_config.json"
    settings = {k: sorted(v) if isinstance(v, list) else v for k, v in json.loads(file.read_text()).items()}
    file.write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n")


def base():
    generator = torch.Generator().manual_seed(699)
    model = Tiny()
    with torch.no_grad():
        for parameter in model.parameters():
            # PEFT finds principal terms in float32: its own rounding has to stay below the tests' 1e-6.
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def relative(name, config, seed):
    """The adapter that is read again, merged into the base as it was, less the base."""
    generator = torch.Generator().manual_seed(seed)
    model = get_peft_model(base(), config)
    if name == "pissa":
        save(model, ROOT / "pissa-initial")
    with torch.no_grad():
        for parameter_name, parameter in sorted(model.named_parameters()):
            if "lora_" in parameter_name:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    folder = ROOT / name
    save(model, folder)
    before = base().state_dict()
    merged = PeftModel.from_pretrained(base(), folder).merge_and_unload(safe_merge=True).state_dict()
    deltas = {key.removesuffix(".weight"): merged[key] - before[key] for key in before}
    save_file(deltas, folder / "reference.safetensors")
    if name == "pissa":
        converted = ROOT / "pissa-converted"
        initial = ROOT / "pissa-initial"
        settings = (initial / "adapter_config.json").read_text()
        save(model, converted, path_initial_model_for_weight_conversion=str(initial))
        (initial / "adapter_config.json").write_text(settings)  # the conversion writes another one
        save_file(deltas, converted / "reference.safetensors")


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter_name, parameter in sorted(model.named_parameters()):
            if "lora_" in parameter_name or "lokr_" in parameter_name:
                parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))


def deltas_of(model):
    deltas = {}
    for module_name, module in model.base_model.model.named_modules():
        if hasattr(module, "get_delta_weight"):
            deltas[module_name] = module.get_delta_weight("default").detach().float().contiguous()
    return deltas


def embedding():
    """Of a whole model: beside adapters of embeddings and heads PEFT saves the model's own weights."""
    torch.manual_seed(759)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=1,
                                         num_attention_heads=2, tie_word_embeddings=False))  # fmt: skip
    config = LoraConfig(r=3, lora_alpha=6, target_modules=["embed_tokens", "q_proj", "lm_head"],
                        rank_pattern={"embed_tokens": 2}, alpha_pattern={"embed_tokens": 5})  # fmt: skip
    model = get_peft_model(model, config)
    randomise(model, 760)
    save(model, ROOT / "lora-embedding")
    save_file(deltas_of(model), ROOT / "lora-embedding" / "reference.safetensors")


def main():
    for seed, (name, config) in enumerate(CASES.items(), start=700):
        model = get_peft_model(Tiny(), config)
        if name.endswith("bf16"):
            model = model.to(torch.bfloat16)
        randomise(model, seed)
        folder = ROOT / name
        save(model, folder)
        model = model.to(torch.float32)  # exact sums of what was stored
        save_file(deltas_of(model), folder / "reference.safetensors")
    embedding()
    save_file(base().state_dict(), ROOT / "base.safetensors")
    for seed, (name, config) in enumerate(RELATIVE.items(), start=750):
        relative(name, config, seed)


if __name__ == "__main__":
    main()

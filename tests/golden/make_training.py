"""Gradients of adapters' factors by PyTorch's autograd in float64, through whole models of transformers. Writes
training/<case>.safetensors, the factors as sylvester-kron files have them, training/<case>.gradients.safetensors,
theirs of the answers' negative log-likelihood, and training/cases.json: model, texts, lengths of prompts, likelihood."""

import json
import pathlib

import numpy as np
import torch
import torch.nn.utils.parametrize
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).parent
TARGET = ROOT / "training"
TERMS = 2
BLOCK = 8  # divides every layer of the tiny models
VOCABULARY = 264
# Model, and whether the factors are a LoRA's.
CASES = {
    "llama": ("llama-gqa-tied", False),
    "llama-lora": ("llama-gqa-tied", True),
    "untied": ("llama-mha-untied", False),
    "window": ("mistral-window", False),
    "bias": ("qwen2-bias", True),
    "qk-norm": ("qwen3-qk-norm", False),
    "yarn": ("llama-rope-yarn", True),
}


class Adapted(torch.nn.Module):
    """W + sum_k U_k (x) V_k."""

    def __init__(self, u, v):
        super().__init__()
        self.u = torch.nn.Parameter(u)
        self.v = torch.nn.Parameter(v)

    def forward(self, weight):
        return weight + sum(torch.kron(u, v) for u, v in zip(self.u, self.v))


def adapt(model, lora, generator):
    adapted = {}
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and name.startswith("model.layers."):
            out, width = module.weight.shape
            u_shape, v_shape = ((out, 1), (1, width)) if lora else ((out // BLOCK, width // BLOCK), (BLOCK, BLOCK))
            # Representable as floats, which is how they are written.
            u = 0.25 * torch.randn(TERMS, *u_shape, generator=generator)
            v = 0.25 * torch.randn(TERMS, *v_shape, generator=generator)
            module.weight.requires_grad_(False)
            adapted[name] = Adapted(u.double(), v.double())
            torch.nn.utils.parametrize.register_parametrization(module, "weight", adapted[name])
    return adapted


def main():
    TARGET.mkdir(exist_ok=True)
    described = {}
    for seed, (case, (checkpoint, lora)) in enumerate(CASES.items(), start=800):
        generator = torch.Generator().manual_seed(seed)
        model = AutoModelForCausalLM.from_pretrained(ROOT / "checkpoints" / checkpoint, attn_implementation="eager")
        model = model.double().eval()
        adapted = adapt(model, lora, generator)
        random = np.random.default_rng(seed)
        texts = [{"tokens": random.integers(0, VOCABULARY, n).tolist(), "prompt": p} for n, p in ((23, 9), (14, 1))]
        loss = 0
        for text in texts:
            tokens = torch.tensor([text["tokens"]])
            logits = model(tokens).logits[0, text["prompt"] - 1 : -1].double()
            loss = loss + torch.nn.functional.cross_entropy(logits, tokens[0, text["prompt"] :], reduction="sum")
        loss.backward()
        factors, gradients = {}, {}
        for name, module in adapted.items():
            for key, parameter in (("kron_u", module.u), ("kron_v", module.v)):
                factors[f"{name}.{key}"] = parameter.detach().float().contiguous()
                gradients[f"{name}.{key}"] = parameter.grad.float().contiguous()
        save_file(factors, TARGET / f"{case}.safetensors", {"format": "sylvester-kron", "version": "1"})
        save_file(gradients, TARGET / f"{case}.gradients.safetensors")
        described[case] = {"model": checkpoint, "texts": texts, "loss": loss.item()}
    (TARGET / "cases.json").write_text(json.dumps(described, indent=1) + "\n")


if __name__ == "__main__":
    main()

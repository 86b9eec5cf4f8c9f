"""LoKr as LyCORIS saves it, and its get_weight: what adapters/lycoris/<case>.safetensors comes to is in
<case>-reference.safetensors, by the names that the layers have in the model. (get_diff_weight of this version scales
twice.) Needs torch, safetensors, lycoris-lora 4.1.3."""

import pathlib

import torch
from lycoris import create_lycoris
from safetensors.torch import save_file

ROOT = pathlib.Path(__file__).parent / "adapters" / "lycoris"
CASES = {
    "split": {"linear_dim": 2, "linear_alpha": 3, "factor": 4},
    "both": {"linear_dim": 2, "linear_alpha": 3, "factor": -1, "decompose_both": True, "rs_lora": True},
    "full": {"linear_dim": 8, "linear_alpha": 1, "factor": -1, "full_matrix": True},
}


def module(**children):
    made = torch.nn.Module()
    for name, child in children.items():
        made.add_module(name, child)
    return made


def model():
    layers = [
        module(self_attn=module(q_proj=torch.nn.Linear(24, 20)), mlp=module(up_proj=torch.nn.Linear(24, 36)))
        for _ in range(2)
    ]
    return module(model=module(layers=torch.nn.ModuleList(layers)))


def main():
    ROOT.mkdir(parents=True, exist_ok=True)
    for seed, (name, settings) in enumerate(CASES.items(), start=770):
        generator = torch.Generator().manual_seed(seed)
        net = model()
        network = create_lycoris(net, 1.0, algo="lokr", **settings)
        network.eval()
        with torch.no_grad():
            for _, parameter in sorted(network.named_parameters()):
                parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
        names = {"lycoris_" + key.replace(".", "_"): key for key, _ in net.named_modules()}
        tensors, deltas = {}, {}
        for lora in network.loras:
            for key, value in lora.custom_state_dict().items():
                tensors[f"{lora.lora_name}.{key}"] = value.detach().contiguous()
            deltas[names[lora.lora_name]] = lora.get_weight(lora.shape).detach().contiguous()
        save_file(tensors, ROOT / f"{name}.safetensors")
        save_file(deltas, ROOT / f"{name}-reference.safetensors")


if __name__ == "__main__":
    main()

"""Tiny random models: weights that make every part of a transformer matter, and a tokenizer to go with them."""

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

MERGES = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("i", "n"), ("Ġ", "a"), ("r", "e")]
SPECIAL = ["<s>", "</s>"]
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
VOCABULARY = SPECIAL + ALPHABET + ["".join(m) for m in MERGES]
POSITIONS = 64


def tokenizer():
    """Byte-level BPE: two special tokens, 256 bytes, six merges."""
    core = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(VOCABULARY)}, merges=MERGES))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(SPECIAL)
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", model_max_length=128)


def tokens(seed):
    return np.random.default_rng(seed).integers(0, len(VOCABULARY), POSITIONS).tolist()


def randomize(model, seed):
    """Attention scores spread by about 2 and every block adds about 1 to the residual, so that attention is far from
    uniform and from one-hot, and no part hides behind another."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            noise = torch.randn(p.shape, generator=generator, dtype=torch.float32)
            if name.endswith("norm.weight"):
                p.copy_(1 + 0.25 * noise)
            elif name.endswith("bias"):
                p.copy_(0.3 * noise)
            elif "embed_tokens" in name or "lm_head" in name:
                p.copy_(0.4 * noise)
            else:
                gain = 1.4 if ("q_proj" in name or "k_proj" in name) else 1.0
                p.copy_(gain * p.shape[1] ** -0.5 * noise)

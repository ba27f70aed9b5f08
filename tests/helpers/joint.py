"""State dicts in the names of timm, MAE and our versions until 0.1, whose layers were joined."""

import torch
from torch import Tensor


def joint(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Join ``q`` and ``kv`` of self-attention as ``qkv``, and the halves of pairs' layers."""
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        stem, _, last = name.rpartition(".")
        owner, _, layer = stem.rpartition(".")
        dot = f"{owner}." if owner else ""
        self_attention = owner.endswith("attn") and "interaction" not in owner
        if layer == "q" and self_attention:
            out[f"{dot}qkv.{last}"] = torch.cat((value, state[f"{dot}kv.{last}"]))
        elif layer in ("k_image", "v_image") and last == "weight":
            audio = state[f"{dot}{layer[0]}_audio.weight"]
            bias = "k_image.bias" if layer == "k_image" else "v_bias"
            out[f"{dot}{layer[0]}.weight"] = torch.cat((value, audio), dim=1)
            out[f"{dot}{layer[0]}.bias"] = state[dot + bias]
        elif not (
            (layer == "kv" and self_attention)
            or layer in ("k_audio", "v_audio")
            or name.endswith(("k_image.bias", "v_bias"))
        ):
            out[name] = value
    return out

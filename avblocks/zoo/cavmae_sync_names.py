"""CAV-MAE Sync's published files: sizes and names."""

import re
from typing import Any

import torch

from avblocks.checkpoint.read import State
from avblocks.checkpoint.report import Converted
from avblocks.nn.older import split_qkv
from avblocks.zoo.cavmae_names import cavmae_sizes, from_cavmae
from avblocks.zoo.names import depth_of


def cavmae_sync_sizes(state: State, *, num_heads: int | None = None) -> dict[str, Any]:
    """Arguments of `cavmae_sync_encoder` for a file; heads are 64 wide if not given."""
    registers = state.get("register_tokens")
    heads = "constrative_head_audio."
    return cavmae_sizes(state, num_heads=num_heads) | {
        "registers": 0 if registers is None else len(registers) // 2,
        "class_token": "cls_token_a" in state,
        "contrast_depth": depth_of(state, blocks=heads) if f"{heads}0.norm1.bias" in state else 0,
    }


_APART = ("register_tokens", "cls_token_", "constrative_head_")
_HEAD = re.compile(r"constrative_head_(audio|visual)\.(\d+)\.(.+)")
_LAYER = re.compile(r"fusion_blocks\.(\d+)\.(.+)")


def from_cavmae_sync(state: State) -> Converted:
    """CAV-MAE Sync's names in those of `cavmae_sync_encoder`; its decoder is dropped."""
    base = from_cavmae({n: x for n, x in state.items() if not n.startswith(_APART)})
    towers, joint = depth_of(state, blocks="blocks_a."), depth_of(state, blocks="blocks_u.")
    heads = {n: found for n in state if (found := _HEAD.fullmatch(n))}
    count = len({found[2] for found in heads.values()})
    kept = _prefixes(state)
    for name, value in base.state.items():
        inside = name.removeprefix("encoder.")
        if found := _LAYER.fullmatch(inside):
            shift = count if int(found[1]) == towers + joint else 0
            inside = f"fusion_blocks.{int(found[1]) + shift}.layer.{found[2]}"
        if name.startswith("encoder."):
            kept[inside] = value
    dropped = [*base.dropped, *(n for n in state if n.startswith(("decoder_", "mask_token")))]
    for name, found in heads.items():
        if re.match(r"norm\d_", found[3]):
            dropped.append(name)
        else:
            layer, modality = towers + joint + int(found[2]), _MODALITIES[found[1]]
            kept[f"fusion_blocks.{layer}.layer.{modality}.{found[3]}"] = state[name]
    return Converted(split_qkv(kept), tuple(dropped))


_MODALITIES = {"audio": "audio", "visual": "image"}


def _prefixes(state: State) -> State:
    """Registers, of which the first half is the audio's, and the class token, of each modality."""
    registers = state["register_tokens"] if "register_tokens" in state else torch.empty(0)
    half, prefixes = len(registers) // 2, {}
    for letter, name, own in (("a", "audio", registers[:half]), ("v", "image", registers[half:])):
        parts = [own[None]] if half else []
        parts += [state[f"cls_token_{letter}"]] if f"cls_token_{letter}" in state else []
        if parts:
            prefixes[f"{name}.prefix_tokens"] = torch.cat(parts, dim=1)
    return prefixes

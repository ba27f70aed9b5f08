"""Published ViT weights: MAE's, AudioMAE's and timm's, whose names are nearly ours."""

import math

import torch

from avblocks.checkpoint.load import Converted
from avblocks.checkpoint.read import State
from avblocks.nn.older import split_qkv
from avblocks.shapes import require

_ANCHOR = "patch_embed.proj.weight"
# Not part of a ViT encoder without a class token.
_OTHER_PARTS = ("cls_token", "mask_token", "decoder", "head", "fc_norm", "reg_token", "dist_token")


def from_mae(state: State, *, prefix: str | None = None) -> Converted:
    """MAE's image ViT (`facebookresearch/mae`), its fixed positions recomputed.

    Args:
        state: the file's state dict.
        prefix: what stands before the ViT's names in it; ``None`` finds it.

    Raises:
        ValueError: if no ViT, or more than one, is in the file.
    """
    return _vit(state, prefix=prefix, learned_position=False)


def from_audiomae(state: State, *, prefix: str | None = None) -> Converted:
    """AudioMAE's spectrogram ViT (`facebookresearch/AudioMAE`), its fixed positions recomputed.

    A fine-tuned file has an ``fc_norm`` in place of the final ``norm``: that one stays at
    initialisation, and the load report says so.

    Args:
        state: the file's state dict.
        prefix: what stands before the ViT's names in it; ``None`` finds it.

    Raises:
        ValueError: if no ViT, or more than one, is in the file.
    """
    return _vit(state, prefix=prefix, learned_position=False)


def from_timm(state: State, *, prefix: str | None = None) -> Converted:
    """A timm ViT with learned positions; the class token's position goes with the class token.

    Args:
        state: the file's state dict.
        prefix: what stands before the ViT's names in it; ``None`` finds it.

    Raises:
        ValueError: if no ViT, or more than one, is in the file.
    """
    return _vit(state, prefix=prefix, learned_position=True)


def _vit(state: State, *, prefix: str | None, learned_position: bool) -> Converted:
    prefix = _find_prefix(state, prefix)
    kept, dropped = {}, []
    for key, value in state.items():
        name = key.removeprefix(prefix)
        if not key.startswith(prefix) or name.startswith(_OTHER_PARTS):
            dropped.append(key)
        elif name != "pos_embed":
            kept[name] = value
        elif learned_position:
            kept["pos_embed.table"] = _patch_positions(state, prefix, value)
        else:
            dropped.append(key)
    return Converted(split_qkv(kept), tuple(dropped))


def _find_prefix(state: State, wanted: str | None) -> str:
    found = [key.removesuffix(_ANCHOR) for key in state if key.endswith(_ANCHOR)]
    if wanted is not None:
        require(wanted in found, "prefix", wanted, f"one of the file's {found}")
        return wanted
    if len(found) != 1:
        raise ValueError(
            f"expected one ViT in the file ('...{_ANCHOR}'), found {len(found)}: {found}; "
            "give its prefix"
        )
    return found[0]


def _patch_positions(state: State, prefix: str, pos_embed: torch.Tensor) -> torch.Tensor:
    extra = [state[k] for k in (f"{prefix}cls_token", f"{prefix}reg_token") if k in state]
    count = sum(tokens.shape[1] for tokens in extra)
    table = pos_embed.flatten(0, -2)
    # timm's `no_embed_class` models have positions for the patches alone, which then fill a square.
    patches_alone = _is_square(table.shape[0]) and not _is_square(table.shape[0] - count)
    return table if patches_alone else table[count:]


def _is_square(count: int) -> bool:
    return math.isqrt(count) ** 2 == count

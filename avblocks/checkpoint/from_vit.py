"""Conversion of published ViT weights of MAE, AudioMAE and timm.

Class token, distillation token and registers, with their positions added, are loaded into the
prefix tokens of a model such as ``vit_base(prefix_tokens=1)``; for other models they are dropped.
"""

import math
import re
from dataclasses import replace

import torch
from torch import Tensor

from avblocks.checkpoint.read import State
from avblocks.checkpoint.report import Converted
from avblocks.nn.older import split_qkv
from avblocks.nn.sincos import fixed_grid
from avblocks.shapes import require

_ANCHOR, _TABLE = "patch_embed.proj.weight", "pos_embed.table"
_POSITION = re.compile(r"(?!.*decoder)(.*\.)?pos_embed")
_MELS = 128  # of AudioMAE
# In the order of the prefix tokens.
_PREFIX_TOKENS = ("cls_token", "dist_token", "reg_token", "register_tokens")
_OTHER_PARTS = (*_PREFIX_TOKENS, "mask_token", "decoder", "head", "fc_norm")


def from_mae(state: State, *, prefix: str | None = None) -> Converted:
    """Convert the image ViT of MAE (`facebookresearch/mae`); fixed positions are recomputed.

    Positions with other values were trained, as in fine-tuned files. They are kept, and a model
    with fixed positions raises an error for them.

    Args:
        state: state dict of the file.
        prefix: prefix of the names of the ViT; detected if ``None``.

    Raises:
        ValueError: if no ViT, or more than one, is in the file.
    """
    return _vit(state, prefix=prefix, learned_position=not _has_fixed_position(state))


def from_audiomae(
    state: State,
    *,
    prefix: str | None = None,
    turned: bool = False,
    learned_position: bool = False,
) -> Converted:
    """Convert the spectrogram ViT of AudioMAE (`facebookresearch/AudioMAE`).

    AudioMAE reads spectrograms of (frames, mel bins). The reference loads its kernels unchanged
    over (mel bins, frames) and recomputes the positions (``models/vits.py`` of
    stoneMo/DeepAVFusion), and so does this function. With ``turned`` the model computes what
    AudioMAE computes: patches are transposed, and with fixed positions, which have the mel bins in
    the first half of the channels where `SinCosPosition` has the frames, the halves of the channels
    are swapped in all weights.

    Fine-tuned files have an ``fc_norm`` instead of the final ``norm``, which then stays at
    initialization and is listed in the load report.

    Args:
        state: state dict of the file.
        prefix: prefix of the names of the ViT; detected if ``None``.
        turned: whether to turn the weights to (mel bins, frames).
        learned_position: whether the positions of the model are learned; then they are loaded from
            the file, and no channels are swapped.

    Raises:
        ValueError: if no ViT, or more than one, is in the file.
    """
    found = _vit(state, prefix=prefix, learned_position=learned_position)
    return _turn(found, learned_position=learned_position) if turned else found


def _turn(found: Converted, *, learned_position: bool) -> Converted:
    """Turn weights over (frames, mel bins) to (mel bins, frames)."""
    kernel = found.state[_ANCHOR]
    turned = found.state | {_ANCHOR: kernel.transpose(2, 3).contiguous()}
    if learned_position:
        grid = turned[_TABLE].unflatten(0, (-1, _MELS // kernel.shape[3]))
        turned[_TABLE] = grid.transpose(0, 1).flatten(0, 1).contiguous()
        return replace(found, state=turned)
    parts = (turned, found.prefix_tokens)
    swapped = [{name: _swap_halves(name, x) for name, x in part.items()} for part in parts]
    return replace(found, state=swapped[0], prefix_tokens=swapped[1])


def _swap_halves(name: str, x: Tensor) -> Tensor:
    """Swap the halves of a parameter along its axis of the tokens' channels, if it has one."""
    if name.endswith(("q.bias", "kv.bias", "fc1.bias")):
        return x
    axis = -1 if name.endswith(("q.weight", "kv.weight", "fc1.weight", "prefix_tokens")) else 0
    return x.roll(x.shape[axis] // 2, axis)


def from_timm(state: State, *, prefix: str | None = None) -> Converted:
    """Convert a timm ViT with learned positions, including those of class token and registers.

    Args:
        state: state dict of the file.
        prefix: prefix of the names of the ViT; detected if ``None``.

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
            kept[_TABLE] = value.flatten(0, -2)[_extra_positions(state, prefix) :]
        else:
            dropped.append(key)
    names = tuple(prefix + name for name in _PREFIX_TOKENS if prefix + name in state)
    tokens = {"prefix_tokens": _prefix_tokens(state, prefix, names)} if names else {}
    return Converted(split_qkv(kept), tuple(dropped), tokens, names)


def _has_fixed_position(state: State) -> bool:
    """Return whether the positions are those of MAE for a grid of any sides."""
    table = next((x for name, x in state.items() if _POSITION.fullmatch(name)), None)
    if table is None:
        return True
    rows = table.flatten(0, -2)
    return any(fixed_grid(patches) is not None for patches in (rows, rows[1:]))


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


def _prefix_tokens(state: State, prefix: str, names: tuple[str, ...]) -> torch.Tensor:
    """Return class token, distillation token and registers, with positions added if present."""
    tokens = torch.cat([state[name].flatten(0, -2) for name in names])
    count = _extra_positions(state, prefix) if f"{prefix}pos_embed" in state else 0
    position = torch.zeros_like(tokens)
    if count:
        position[:count] = state[f"{prefix}pos_embed"].flatten(0, -2)[:count]
    return (tokens + position)[None]


def _extra_positions(state: State, prefix: str) -> int:
    """Count the positions of prefix tokens, which come before those of the patches."""
    tokens = [state[prefix + name] for name in _PREFIX_TOKENS if prefix + name in state]
    count, rows = sum(x.shape[-2] for x in tokens), state[f"{prefix}pos_embed"].shape[-2]
    if state[prefix + _ANCHOR].shape[1] == 1:
        return count  # a spectrogram, which need not be square
    # timm's `no_embed_class` models have positions only for patches, and the registers of DINOv2
    # have none; the patches then form a square.
    if _is_square(rows) and not _is_square(rows - count):
        return 0
    return 1 if _is_square(rows - 1) and not _is_square(rows - count) else count


def _is_square(count: int) -> bool:
    return math.isqrt(count) ** 2 == count

"""Conversion of published MBT files, with names and layouts of flax, and their sizes."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from avblocks.shapes import require
from avblocks.zoo.names import depth_of, join_keys_and_values

_OURS = tuple(
    (re.compile(theirs), ours)
    for theirs, ours in (
        (r"^Transformer\.(encoderblock_\d+|posembed_input)_spectrogram\.", r"encoder.audio.\1."),
        (r"^Transformer\.(encoderblock_\d+|posembed_input)\.", r"encoder.image.\1."),
        (r"\bencoderblock_(\d+)\.", r"blocks.\1."),
        (r"\bposembed_input\.pos_embedding$", "pos_embed"),
        (r"^embedding_spectrogram\.", "encoder.audio.patch_embed.proj."),
        (r"^embedding\.", "encoder.image.patch_embed.proj."),
        (r"^clsspectrogram$", "encoder.audio.cls"),
        (r"^cls$", "encoder.image.cls"),
        (r"^bottleneck$", "encoder.fusion_tokens"),
        (r"^Transformer\.encoder_norm\.", "norm."),
        (r"^output_projection\.", "head."),
        (r"\bLayerNorm_0\.", "norm1."),
        (r"\bLayerNorm_1\.", "norm2."),
        (r"\bMlpBlock_0\.Dense_0\.", "mlp.fc1."),
        (r"\bMlpBlock_0\.Dense_1\.", "mlp.fc2."),
        (r"\bMultiHeadDotProductAttention_0\.query\.", "attn.q."),
        (r"\bMultiHeadDotProductAttention_0\.key\.", "attn.k."),
        (r"\bMultiHeadDotProductAttention_0\.value\.", "attn.v."),
        (r"\bMultiHeadDotProductAttention_0\.out\.", "attn.proj."),
        (r"\.scale$", ".weight"),
    )
)


def from_mbt(state: Mapping[str, Tensor], *, mels: int = 128) -> dict[str, Tensor]:
    """Convert the tensors of MBT, with spectrograms as (mel bins, frames).

    Bottlenecks have no final norm in MBT; the norm of the converted model is at initialization.

    Args:
        state: parameters of flax, with names joined by dots or slashes.
        mels: mel bins, which are not in the file.

    Raises:
        ValueError: if the file has a layer before its classifier, or its positions do not match the
            mel bins.
    """
    named = join_keys_and_values(dict(_converted(*item) for item in state.items()))
    before = [name for name in named if name.startswith("pre_logits")]
    require(not before, "pre_logits", before, "absent: no layer stands before our classifier")
    for stream in ("encoder.image.", "encoder.audio."):
        _place_prefix(named, stream)
        named |= {f"{stream}norm.{kind}": named[f"norm.{kind}"] for kind in ("weight", "bias")}
    _turn_spectrogram(named, mels)
    scale, shift = named.pop("norm.weight"), named.pop("norm.bias")
    named.setdefault("encoder.fusion_tokens", scale.new_empty(1, 0, len(scale)))
    if named["encoder.fusion_tokens"].shape[1] == 0:
        return named
    norm = {"weight": torch.ones_like(scale), "bias": torch.zeros_like(shift)}
    return named | {f"encoder.fusion_norm.{kind}": x for kind, x in norm.items()}


def mbt_sizes(
    state: Mapping[str, Tensor],
    *,
    image_size: int | tuple[int, int] = 224,
    mels: int = 128,
    fusion_layer: int = 8,
) -> dict[str, Any]:
    """Return the arguments of `mbt` for a file.

    Args:
        state: parameters of flax, with names joined by dots or slashes.
        image_size: default side of the video, or (height, width), which are not in the file.
        mels: mel bins, which are not in the file.
        fusion_layer: first layer with fusion, which is not in the file.

    Raises:
        ValueError: if the positions in the file do not match these sizes.
    """
    named = from_mbt(state, mels=mels)
    dim, _, *patch = named["encoder.image.patch_embed.proj.weight"].shape
    height, width = image_size if isinstance(image_size, tuple) else (image_size, image_size)
    frames = _along(
        named["encoder.image.pos_embed.table"], height // patch[1] * (width // patch[2])
    )
    columns = _along(named["encoder.audio.pos_embed.table"], mels // patch[1])
    query = next(x for name, x in state.items() if re.search(r"\bquery[./]kernel$", name))
    return {
        "dim": dim,
        "depth": depth_of(named, blocks="encoder.image.blocks."),
        "num_heads": query.shape[1],
        "image_size": (frames * patch[0], height, width),
        "audio_size": (mels, columns * patch[1]),
        "patch": tuple(patch),
        "fusion_layer": fusion_layer,
        "num_bottlenecks": named["encoder.fusion_tokens"].shape[1],
        "class_tokens": "encoder.image.prefix_tokens" in named,
        "num_classes": named["head.bias"].shape[0],
        "mlp_ratio": named["encoder.image.blocks.0.mlp.fc1.bias"].shape[0] / dim,
    }


def _converted(name: str, x: Tensor) -> tuple[str, Tensor]:
    """Convert a name, and a tensor to PyTorch's layout."""
    name = name.replace("/", ".").removeprefix("params.")
    for theirs, ours in _OURS:
        name = theirs.sub(ours, name)
    if not name.endswith(".kernel"):
        return name, x.flatten() if name.endswith(".bias") else x
    name = f"{name.removesuffix('kernel')}weight"
    if "patch_embed" in name:
        x = x.permute(-1, -2, *range(x.ndim - 2))
        frames_alone = name.startswith("encoder.image.") and x.ndim == 4
        return name, (x[:, :, None] if frames_alone else x).contiguous()
    joined = x.flatten(0, -2) if ".attn.proj." in name else x.flatten(1)
    return name, joined.T.contiguous()


def _place_prefix(named: dict[str, Tensor], stream: str) -> None:
    """Add its position, the first of the table, to the class token of a stream, if there is one."""
    table = named.pop(f"{stream}pos_embed")
    if f"{stream}cls" in named:
        named[f"{stream}prefix_tokens"] = named.pop(f"{stream}cls") + table[:, :1]
        table = table[:, 1:]
    named[f"{stream}pos_embed.table"] = table[0].clone()


def _turn_spectrogram(named: dict[str, Tensor], mels: int) -> None:
    """Swap the axes of the patches of the spectrogram and of their grid."""
    kernel, table = "encoder.audio.patch_embed.proj.weight", "encoder.audio.pos_embed.table"
    named[kernel] = named[kernel].transpose(2, 3).contiguous()
    rows = mels // named[kernel].shape[2]
    _along(named[table], rows)
    named[table] = rearrange(named[table], "(t m) d -> (m t) d", m=rows).contiguous()


def _along(table: Tensor, others: int) -> int:
    """Return the number of patches along time, given the number along the other axes."""
    count = table.shape[0]
    fits = others > 0 and count % others == 0
    require(fits, "positions", count, f"a multiple of {others} patches: give the file's own sizes")
    return count // others

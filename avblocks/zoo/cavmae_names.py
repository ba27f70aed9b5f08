"""CAV-MAE's published files: sizes and names."""

import math
import re
from typing import Any

from avblocks.checkpoint.read import State
from avblocks.checkpoint.report import Converted
from avblocks.nn.older import split_qkv
from avblocks.zoo.cavmae import cavmae_encoder
from avblocks.zoo.cavmae_classifier import CAVMAEClassifier
from avblocks.zoo.cavmae_pretraining import CAVMAE, cavmae_mae
from avblocks.zoo.names import depth_of, heads_of

_MELS = 128


def cavmae_sizes(state: State, *, num_heads: int | None = None) -> dict[str, Any]:
    """Arguments of `cavmae_encoder` for a file; heads are 64 wide if not given, as published.

    Raises:
        ValueError: if the heads must be given.
    """
    dim, _, patch, _ = state["patch_embed_a.proj.weight"].shape
    side = math.isqrt(state["pos_embed_v"].shape[1]) * patch
    columns = state["pos_embed_a"].shape[1] // (_MELS // patch)
    return {
        "dim": dim,
        "depth": depth_of(state, blocks="blocks_a."),
        "joint_depth": depth_of(state, blocks="blocks_u."),
        "num_heads": num_heads or heads_of(dim),
        "image_size": side,
        "audio_size": (_MELS, columns * patch),
        "patch": patch,
        "mlp_ratio": state["blocks_a.0.mlp.fc1.weight"].shape[0] / dim,
    }


def cavmae_pretraining_sizes(
    state: State, *, num_heads: int | None = None, decoder_heads: int | None = None
) -> dict[str, Any]:
    """Arguments of `cavmae` for a file; the decoder's heads are 32 wide if not given.

    Raises:
        ValueError: if the heads must be given.
    """
    dim = state["decoder_embed.weight"].shape[0]
    depth = depth_of(state, blocks="decoder_blocks.")
    decoder: dict[str, Any] = {"decoder_dim": dim, "decoder_depth": depth}
    heads: dict[str, Any] = {"decoder_heads": decoder_heads or heads_of(2 * dim)}
    return cavmae_sizes(state, num_heads=num_heads) | decoder | heads


def cavmae(
    dim: int = 768,
    *,
    decoder_dim: int = 512,
    decoder_depth: int = 8,
    decoder_heads: int = 16,
    contrast_weight: float = 0.01,
    temperature: float = 0.05,
    normalize_targets: bool = True,
    **sizes: Any,
) -> CAVMAE:
    """CAV-MAE for pre-training; takes the other arguments of `cavmae_encoder`."""
    return cavmae_mae(
        cavmae_encoder(dim, **sizes),
        dim=decoder_dim,
        depth=decoder_depth,
        num_heads=decoder_heads,
        contrast_weight=contrast_weight,
        temperature=temperature,
        normalize_targets=normalize_targets,
    )


def cavmae_classifier_sizes(state: State, *, num_heads: int | None = None) -> dict[str, Any]:
    """Arguments of `cavmae_classifier` for a file."""
    classes = state["mlp_head.1.weight"].shape[0]
    return cavmae_sizes(state, num_heads=num_heads) | {"num_classes": classes}


def cavmae_classifier(dim: int = 768, *, num_classes: int = 527, **sizes: Any) -> CAVMAEClassifier:
    """CAV-MAE fine-tuned; takes the other arguments of `cavmae_encoder`."""
    return CAVMAEClassifier(cavmae_encoder(dim, **sizes), num_classes=num_classes)


_MODALITY = {"a": "audio", "v": "image"}


def from_cavmae(state: State) -> Converted:
    """CAV-MAE's names (`YuanGongND/cav-mae`) in those of `cavmae` or `cavmae_classifier`.

    The blocks of the towers and of the decoder have norms of other modalities in the file, which
    nothing reads: they are dropped.
    """
    towers, joint = depth_of(state, blocks="blocks_a."), depth_of(state, blocks="blocks_u.")

    def rename(name: str) -> str | None:
        if re.match(r"(blocks_[av]|decoder_blocks)\.\d+\.norm\d_[av]\.", name):
            return None
        if found := re.fullmatch(r"blocks_u\.(\d+)\.(.+)", name):
            inside = re.sub(r"^(norm\d)\.", r"\1.both.", found[2])
            inside = re.sub(r"^(norm\d)_([av])\.", lambda m: f"{m[1]}.{_MODALITY[m[2]]}.", inside)
            return f"encoder.fusion_blocks.{towers + int(found[1])}.{inside}"
        if found := re.fullmatch(r"norm(?:_([av]))?\.(.+)", name):
            kind = _MODALITY.get(found[1], "both")
            return f"encoder.fusion_blocks.{towers + joint}.norm.{kind}.{found[2]}"
        return next((re.sub(old, new, name) for old, new in _RENAMES if re.match(old, name)), name)

    flat = {n: x.flatten(0, -2) if "pos_embed" in n else x for n, x in state.items()}
    flat |= {n: x.flatten() for n, x in state.items() if "modality_" in n}
    names = {name: rename(name) for name in flat}
    kept = {new: flat[old] for old, new in names.items() if new is not None}
    return Converted(split_qkv(kept), tuple(old for old, new in names.items() if new is None))


_RENAMES = [
    (rf"^{decoder}{old}{letter}{end}", rf"{place}{name}{new}")
    for letter, name in _MODALITY.items()
    for decoder, place, old, new, end in (
        ("", "encoder.", "patch_embed_", ".patch_embed.", r"\."),
        ("", "encoder.", "pos_embed_", ".pos_embed.position.table", "$"),
        ("", "encoder.", "modality_", ".pos_embed.modality", "$"),
        ("", "encoder.", "blocks_", ".blocks.", r"\."),
        ("decoder_", "decoder.", "pos_embed_", "_position.position.table", "$"),
        ("decoder_", "decoder.", "modality_", "_position.modality", "$"),
        ("decoder_", "decoder.", "pred_", "_pred.", r"\."),
    )
] + [
    (r"^decoder_", "decoder."),
    (r"^mask_token$", "decoder.mask_token"),
    (r"^mlp_head\.0\.", "norm."),
    (r"^mlp_head\.1\.", "linear."),
]

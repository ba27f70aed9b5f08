"""`Model`: sizes of the encoder and its decoders."""

from dataclasses import dataclass, replace
from typing import Literal

from avblocks import (
    AVMAE,
    AVEncoder,
    BandMask,
    BlockMask,
    Masker,
    RandomMask,
    TubeMask,
    av_mae,
    av_vit,
)
from avblocks.zoo import cavmae_encoder
from recipes.common.data_settings import Data

MaskName = Literal["random", "block", "tube", "time", "frequency"]
"""Kind of masking, see `--mask` of `paper_pretrain`."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """Sizes of the encoder and the decoders; the defaults are the paper's VGGSound model."""

    dim: int = 768
    """Width of the encoder tokens."""

    depth: int = 12
    """Blocks of each ViT."""

    heads: int = 12
    """Attention heads of the encoder."""

    patch: int = 16
    """Side of a patch, of images and of spectrograms."""

    image_embed: Literal["linear", "conv"] = "linear"
    """Patch embedding of the image: one linear map as in the paper, or small convolutions, which
    need fewer images to learn from."""

    tubelet: int = 2
    """Frames in a patch of a video."""

    fusion: Literal["token", "dense", "factorized", "bottleneck", "joint"] = "factorized"
    """Interaction of the fusion tokens with the two modalities; MBT's bottleneck, which consists of
    all `num_tokens`; or CAV-MAE's joint layer after the ViTs, without fusion tokens."""

    fusion_layers: Literal["all", "none"] | tuple[int, ...] = "all"
    """Layers with fusion, from 0."""

    num_tokens: tuple[int, int, int] = (16, 8, 8)
    """Fusion tokens, image aggregation tokens, audio aggregation tokens."""

    attn_ratio: float = 0.25
    """Width of the attention of the fusion, relative to that of the tokens."""

    mlp_ratio: float = 1.0
    """Hidden width of the MLPs of the fusion blocks, relative to that of the tokens."""

    decoder: Literal["full", "reading"] = "full"
    """Decoders of the paper, or decoders whose masked patches only read the encoder tokens."""

    decoder_dim: int = 512
    """Width of the decoder tokens."""

    decoder_depth: int = 8
    """Blocks of each decoder."""

    decoder_heads: int = 16
    """Attention heads of the decoders."""

    normalize_targets: bool = True
    """Normalize each target patch to zero mean and unit variance."""

    checkpointing: bool = False
    """Recompute blocks in the backward pass: less memory, about a third more time."""


SMALL = Model(
    dim=128,
    depth=4,
    heads=4,
    patch=8,
    num_tokens=(8, 4, 4),
    decoder_dim=64,
    decoder_depth=2,
    decoder_heads=4,
    # Normalizing a patch of uniform color discards the color, which identifies classes in scenes:
    # with it, the probe accuracy of fusion tokens did not exceed that of audio alone.
    normalize_targets=False,
)
"""2.8 M parameters, for scenes: trains in minutes on two CPU cores."""

COMPOSED_MODEL = replace(SMALL, image_embed="conv", normalize_targets=True)
"""As small, for photographs, of which there are few."""


def check_sizes(model: Model, data: Data) -> None:
    """Raise a ValueError that names the option unless all sizes are multiples of the patch."""
    data.check()
    mels, frames = data.audio_size
    if data.frames > 1 and (model.tubelet < 1 or data.frames % model.tubelet):
        raise ValueError(
            f"--data.frames {data.frames} is not a multiple of --model.tubelet {model.tubelet}"
        )
    for option, value, length in (
        ("--data.size", data.size, data.size),
        ("--data.mels", data.mels, mels),
        ("--data.seconds", data.seconds, frames),
    ):
        if length < 1 or model.patch < 2 or length % model.patch:
            raise ValueError(
                f"{option} {value} makes a side of {length}, not a multiple of --model.patch "
                f"{model.patch}, which is at least 2"
            )


def patch_grids(model: Model, data: Data) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the numbers of patches along each axis of an image, or a video, and a spectrogram.

    >>> patch_grids(SMALL, Data(name="scenes", size=64, mels=64, seconds=1.0, frames=4))
    ((2, 8, 8), (8, 8))
    """
    image, audio = (
        tuple(side // model.patch for side in sides)
        for sides in ((data.size, data.size), data.audio_size)
    )
    return image if data.frames == 1 else (data.frames // model.tubelet, *image), audio


def maskers(
    kind: MaskName, *, image: float, audio: float, frames: int = 1
) -> tuple[Masker, Masker]:
    """Make the maskers of images or videos and of spectrograms with the given mask ratios."""
    match kind:
        case "block":
            blocks = BlockMask(image)
            return blocks if frames == 1 else TubeMask(blocks), BlockMask(audio)
        case "tube":
            return TubeMask(RandomMask(image)), RandomMask(audio)
        case "time" | "frequency":
            return RandomMask(image), BandMask(audio, axis=kind)
        case "random":
            return RandomMask(image), RandomMask(audio)


def build_encoder(model: Model, data: Data, *, drop_path: float = 0.0) -> AVEncoder:
    """Build the encoder for the sizes of the clips."""
    build = _joint if model.fusion == "joint" else _early
    encoder = build(model, data, drop_path)
    encoder.checkpointing = model.checkpointing
    return encoder


def _early(model: Model, data: Data, drop_path: float) -> AVEncoder:
    assert model.fusion != "joint"
    return av_vit(
        model.dim,
        depth=model.depth,
        num_heads=model.heads,
        image_size=data.format.image_size,
        audio_size=data.audio_size,
        patch=model.patch if data.frames == 1 else (model.tubelet, model.patch, model.patch),
        fusion=model.fusion,
        fusion_layers=model.fusion_layers,
        num_tokens=model.num_tokens,
        attn_ratio=model.attn_ratio,
        mlp_ratio=model.mlp_ratio,
        drop_path=drop_path,
        image_embed=model.image_embed,
    )


def _joint(model: Model, data: Data, drop_path: float) -> AVEncoder:
    if data.frames > 1:
        raise ValueError("--model.fusion joint is for one image: leave --data.frames out")
    if model.image_embed != "linear":
        raise ValueError("--model.fusion joint needs --model.image-embed linear")
    if drop_path:
        raise ValueError("--model.fusion joint has no stochastic depth: pass --drop-path 0")
    return cavmae_encoder(
        model.dim,
        depth=model.depth,
        num_heads=model.heads,
        image_size=data.size,
        audio_size=data.audio_size,
        patch=model.patch,
    )


def build_autoencoder(model: Model, data: Data) -> AVMAE:
    """Build the masked autoencoder around an encoder."""
    mae = av_mae(
        build_encoder(model, data),
        dim=model.decoder_dim,
        depth=model.decoder_depth,
        num_heads=model.decoder_heads,
        normalize_targets=model.normalize_targets,
        decoder=model.decoder,
    )
    for decoder in (mae.image_decoder, mae.audio_decoder):
        decoder.checkpointing = model.checkpointing
    return mae

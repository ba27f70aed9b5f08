"""The architecture of an encoder or of a masked autoencoder."""

import math
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from typing import cast

from torch import nn

from avblocks.decoder import Decoder
from avblocks.diagram.drawing import Drawing, Lines
from avblocks.encoder import AVEncoder
from avblocks.fusion import DenseFusion, FactorizedFusion, FusionBlock, TokenFusion
from avblocks.mae import AVMAE
from avblocks.nn.block import Block
from avblocks.nn.vit import ViT


def architecture(model: AVEncoder | AVMAE) -> str:
    """Draw a model from its modules, as an SVG with a white background.

    Image, fusion and audio are drawn from left to right, the layers downwards; neighboring layers
    of the same structure are drawn once. An arrow from one stream to another shows what a block
    reads besides its stream's tokens: at a fusion layer, the tokens before it.

    Args:
        model: an encoder, or a masked autoencoder with its decoders, on any device, even "meta".

    Returns:
        The text of an SVG file.

    Raises:
        ValueError: if the model is of another kind.

    Example:
        >>> from avblocks import av_vit
        >>> svg = architecture(av_vit(64, depth=4, num_heads=4, fusion_layers=[3]))
        >>> "layers 0 to 2" in svg, "layer 3" in svg
        (True, True)
    """
    if not isinstance(model, AVEncoder | AVMAE):
        raise ValueError(f"only an AVEncoder or an AVMAE is drawn, got a {type(model).__name__}")
    encoder, masked = (model.encoder, True) if isinstance(model, AVMAE) else (model, False)
    drawing = Drawing()
    drawing.row(_inputs(encoder))
    for layers, boxes in _alike(encoder):
        label = f"layers {layers[0]} to {layers[-1]}" if len(layers) > 1 else f"layer {layers[0]}"
        drawing.layers(label, boxes, copies=len(layers))
    drawing.row(_norms(encoder, masked=masked), gap=30)
    if isinstance(model, AVMAE):
        image, audio = model.image_decoder, model.audio_decoder
        drawing.decoders(image=_decoder("image", image), audio=_decoder("audio", audio))
    return drawing.svg(_caption(model, encoder))


def _inputs(encoder: AVEncoder) -> dict[str, Lines]:
    _, n_f, dim = encoder.fusion_tokens.shape
    blocks = cast("list[FusionBlock]", list(encoder.fusion_blocks.values()))
    fusions = [block.interaction for block in blocks]
    splits = {fuse.num_tokens for fuse in fusions if isinstance(fuse, FactorizedFusion)}
    parts = [f"{n} fusion + {v} image + {a} audio" for n, v, a in splits if len(splits) == 1]
    return {
        "image": ("image", *_input(encoder.image)),
        "fusion": ("fusion tokens", f"{n_f} learned, of width {dim:,}", *parts),
        "audio": ("spectrogram", *_input(encoder.audio)),
    }


def _input(vit: ViT) -> Lines:
    sides = [side * p for side, p in zip(vit.pos_embed.grid, vit.patch, strict=True)]
    size = _times(vit.patch_embed.channels, *sides)
    return size, f"{_patches(vit)} patches of {_times(*vit.patch)}"


def _alike(encoder: AVEncoder) -> Iterator[tuple[list[int], dict[str, Lines]]]:
    """Runs of layers of the same structure, and their boxes."""
    for boxes, layers in groupby(range(encoder.depth), partial(_layer, encoder)):
        yield list(layers), boxes


def _layer(encoder: AVEncoder, layer: int) -> dict[str, Lines]:
    boxes: dict[str, Lines] = {}
    for stream, vit in (("image", encoder.image), ("audio", encoder.audio)):
        if layer < len(vit.blocks):
            block = cast(Block, vit.blocks[layer])
            built = f"{block.attn.num_heads} heads, MLP of {block.mlp.fc1.out_features:,}"
            boxes[stream] = (f"{stream} block", built, _size(block))
    if str(layer) in encoder.fusion_blocks:
        fuse = cast(FusionBlock, encoder.fusion_blocks[str(layer)])
        reads = _reads(fuse.interaction, _patches(encoder.image), _patches(encoder.audio))
        boxes["fusion"] = (type(fuse.interaction).__name__, reads, _size(fuse))
    return boxes


def _reads(interaction: nn.Module, n_v: int, n_a: int) -> str:
    match interaction:
        case FactorizedFusion(num_tokens=(_, v, a)):
            return f"reads {v} x {a} aggregate pairs"
        case DenseFusion():
            return f"reads {n_v} x {n_a} token pairs"
        case TokenFusion():
            return f"reads {n_v} + {n_a} tokens"
    return "reads image and audio tokens"


def _norms(encoder: AVEncoder, *, masked: bool) -> dict[str, Lines]:
    image, audio = ("kept" if masked else _patches(vit) for vit in (encoder.image, encoder.audio))
    tokens = {"image": image, "fusion": encoder.fusion_tokens.shape[1], "audio": audio}
    return {
        name: ("norm", f"{n} tokens of width {encoder.image.dim:,}") for name, n in tokens.items()
    }


def _decoder(stream: str, decoder: Decoder) -> Lines:
    blocks = cast("list[Block]", list(decoder.blocks))
    width, heads = decoder.mask_token.shape[-1], blocks[0].attn.num_heads
    return (
        f"{stream} decoder",
        "over [fusion; kept; masked] tokens",
        f"{len(blocks)} blocks of width {width:,}, {heads} heads",
        f"{decoder.pred.out_features:,} values of each masked patch",
        _size(decoder),
    )


def _caption(model: AVEncoder | AVMAE, encoder: AVEncoder) -> str:
    fusion = _count(encoder) - _count(encoder.image) - _count(encoder.audio)
    counts = {"image": _count(encoder.image), "fusion": fusion, "audio": _count(encoder.audio)}
    if isinstance(model, AVMAE):
        counts["decoders"] = _count(model) - _count(encoder)
    parts = ", ".join(f"{name} {_short(count)}" for name, count in counts.items())
    return f"{type(model).__name__}, {_size(model)}: {parts}"


def _patches(vit: ViT) -> int:
    return math.prod(vit.pos_embed.grid)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _size(module: nn.Module) -> str:
    return f"{_short(_count(module))} parameters"


def _short(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count:,}"


def _times(*sides: int) -> str:
    return " x ".join(map(str, sides))

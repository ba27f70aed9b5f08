"""Architecture diagram of an encoder or a masked autoencoder."""

import math
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from typing import Any

from torch import nn

from avblocks.decoder import Decoder
from avblocks.diagram.drawing import Drawing, Lines
from avblocks.encoder import AVEncoder
from avblocks.fusion import DenseFusion, FactorizedFusion, FusionBlock, TokenFusion
from avblocks.mae import AVMAE
from avblocks.nn.attention import Attention
from avblocks.nn.block import Block
from avblocks.nn.mlp import Mlp
from avblocks.nn.stream import usual_size
from avblocks.nn.vit import ViT
from avblocks.reading import ReadingDecoder


def architecture(model: AVEncoder | AVMAE) -> str:
    """Draw the architecture of a model as an SVG with a transparent background.

    The columns are image, fusion and audio, and layers go downwards; consecutive layers of the same
    structure are drawn once. An arrow from one stream to another marks tokens that a block reads
    in addition to those of its stream: at a fusion layer, the tokens before the layer.

    Args:
        model: an encoder, or a masked autoencoder with its decoders, on any device, also "meta".

    Returns:
        The text of an SVG file.

    Raises:
        ValueError: if the model is neither.

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
    blocks = encoder.fusion_blocks.values()
    fusions = [block.interaction for block in blocks if isinstance(block, FusionBlock)]
    splits = {fuse.num_tokens for fuse in fusions if isinstance(fuse, FactorizedFusion)}
    parts = [f"{n} fusion + {v} image + {a} audio" for n, v, a in splits if len(splits) == 1]
    return {
        "image": ("image", *_input(encoder.image)),
        "fusion": ("fusion tokens", f"{n_f} learned, of width {dim:,}", *parts),
        "audio": ("spectrogram", *_input(encoder.audio)),
    }


def _input(stream: Any) -> Lines:
    if not isinstance(stream, ViT):
        return (type(stream).__name__,)
    prefix = f", {stream.num_prefix} prefix tokens" if stream.num_prefix else ""
    size = _times(stream.channels, *usual_size(stream))
    return size, f"{_patches(stream)} patches of {_times(*stream.patch)}{prefix}"


def _alike(encoder: AVEncoder) -> Iterator[tuple[list[int], dict[str, Lines]]]:
    """Yield runs of layers of the same structure, and their boxes."""
    for boxes, layers in groupby(range(encoder.depth), partial(_layer, encoder)):
        yield list(layers), boxes


def _layer(encoder: AVEncoder, layer: int) -> dict[str, Lines]:
    boxes: dict[str, Lines] = {}
    for name, stream in (("image", encoder.image), ("audio", encoder.audio)):
        blocks = list(stream.blocks)
        if layer < len(blocks):
            boxes[name] = (f"{name} block", _built(blocks[layer]), _size(blocks[layer]))
    fuse = dict(encoder.fusion_blocks.items()).get(str(layer))
    if isinstance(fuse, FusionBlock):
        reads = _reads(fuse.interaction, _patches(encoder.image), _patches(encoder.audio))
        boxes["fusion"] = (type(fuse.interaction).__name__, reads, _size(fuse))
    elif fuse is not None:
        boxes["fusion"] = (type(fuse).__name__, "exchanges tokens with both", _size(fuse))
    return boxes


def _built(block: nn.Module) -> str:
    """Describe the parts of a `Block`, or name the class of another block."""
    match block:
        case Block(attn=Attention() as attn, mlp=Mlp() as mlp):
            return f"{attn.num_heads} heads, MLP of {mlp.fc1.out_features:,}"
        case Block(attn=attn, mlp=mlp):
            return f"{type(attn).__name__}, {type(mlp).__name__}"
    return type(block).__name__


def _reads(interaction: nn.Module, n_v: int | str, n_a: int | str) -> str:
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
    return {name: ("norm", f"{n} tokens of width {encoder.dim:,}") for name, n in tokens.items()}


def _decoder(stream: str, decoder: Decoder | ReadingDecoder) -> Lines:
    blocks, width = list(decoder.blocks), decoder.mask_token.shape[-1]
    reads = isinstance(decoder, ReadingDecoder)
    first: Any = blocks[0].cross_attn if reads else blocks[0].attn
    heads = first.num_heads
    return (
        f"{stream} decoder",
        "masked patches read [fusion; kept]" if reads else "over [fusion; kept; masked] tokens",
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


def _patches(stream: Any) -> int | str:
    return math.prod(stream.usual_grid) if hasattr(stream, "usual_grid") else "its"


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _size(module: nn.Module) -> str:
    return f"{_short(_count(module))} parameters"


def _short(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count:,}"


def _times(*sides: int) -> str:
    return " x ".join(map(str, sides))

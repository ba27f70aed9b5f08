r"""Floating-point operations (FLOPs) per sample, counted from the sizes of a model.

Only matrix products are counted, with multiplications and additions: :math:`2 n d e` for a linear
layer from width :math:`d` to :math:`e` over :math:`n` tokens, and :math:`2 n m (d_k + d_v)` for the
attention of :math:`n` tokens to :math:`m` tokens with keys and values of these widths. Norms,
softmaxes, activations and the heads of downstream tasks are excluded.

The counts are the operations that the model requires, not those that a device executes: masked
patches, unused outputs and pairs of tokens are not counted, nor is recomputation (checkpointing,
memory-efficient attention). The backward pass counts twice the forward pass, except for the
gradient of the pixels, which is not needed.
"""

from typing import Any, cast

from torch import nn

from avblocks.decoder import Decoder
from avblocks.encoder import AVEncoder
from avblocks.fusion import DenseFusion, FactorizedFusion, FusionBlock, FusionLayer, TokenFusion
from avblocks.mae import AVMAE
from avblocks.nn.attention import Attention, CrossAttention
from avblocks.nn.block import Block
from avblocks.nn.mlp import Mlp, SwiGLU
from avblocks.nn.patch import PatchEmbed
from avblocks.nn.reading import ReadingBlock
from avblocks.nn.stream import prefix_of
from avblocks.reading import ReadingDecoder


def encoder_flops(encoder: AVEncoder, *, image: int, audio: int, training: bool = False) -> int:
    """Count the operations of an encoder per sample.

    Args:
        encoder: the encoder.
        image: number of image tokens, 0 if the image is missing.
        audio: number of audio tokens, 0 if the audio is missing.
        training: include the backward pass.

    Raises:
        ValueError: if a part is not of this package and has no method ``flops``.

    Example:
        >>> import torch
        >>> from avblocks import av_vit_base
        >>> with torch.device("meta"):
        ...     encoder = av_vit_base()
        >>> round(encoder_flops(encoder, image=196, audio=96) / 1e9)
        64
    """
    counts = {
        "fusion": encoder.fusion_tokens.shape[1],
        "image": image + prefix_of(encoder.image) if image else 0,
        "audio": audio + prefix_of(encoder.audio) if audio else 0,
    }
    embed = _embed(encoder.image, image) + _embed(encoder.audio, audio)
    layers = sum(_layer(encoder, layer, counts) for layer in range(encoder.depth))
    return 2 * embed + 3 * layers if training else embed + layers


def _layer(encoder: AVEncoder, layer: int, counts: dict[str, int]) -> int:
    fuse = dict(encoder.fusion_blocks.items()).get(str(layer))
    blocks = {
        name: list(stream.blocks)[layer]
        for name, stream in (("image", encoder.image), ("audio", encoder.audio))
        if counts[name] and layer < len(list(stream.blocks))
    }
    if isinstance(fuse, FusionLayer):
        return _own_count(fuse, **counts, blocks=blocks)
    context = 0 if fuse is None else counts["fusion"]
    streams = sum(block_flops(block, counts[n], context=context) for n, block in blocks.items())
    return streams + (fusion_flops(fuse, **counts) if isinstance(fuse, FusionBlock) else 0)


def mae_flops(
    model: AVMAE, *, image: tuple[int, int], audio: tuple[int, int], training: bool = False
) -> int:
    """Count the operations of a masked autoencoder per sample.

    Args:
        model: the masked autoencoder.
        image: numbers of image patches kept and predicted (all masked ones unless
            `AVMAE.predict` is below 1).
        audio: numbers of audio patches kept and predicted.
        training: include the backward pass.

    Example:
        >>> import torch
        >>> from avblocks import av_mae, av_vit_base
        >>> with torch.device("meta"):
        ...     model = av_mae(av_vit_base())
        >>> round(mae_flops(model, image=(49, 147), audio=(19, 77), training=True) / 1e9)
        108
    """
    n_f = model.encoder.fusion_tokens.shape[1]
    streams = ((model.image_decoder, image), (model.audio_decoder, audio))
    decoders = sum(_decoder(part, n_f, *patches) for part, patches in streams)
    encoder = encoder_flops(model.encoder, image=image[0], audio=audio[0], training=training)
    return encoder + (3 if training else 1) * decoders


def block_flops(block: nn.Module, n: int, *, context: int = 0) -> int:
    """Count the forward operations of a block over ``n`` tokens with ``context`` further keys.

    Raises:
        ValueError: if the block, its attention or its MLP is not of this package and has no method
            ``flops``.
    """
    if not isinstance(block, Block):
        return _own_count(block, n, context=context)
    attn, mlp = block.attn, block.mlp
    if isinstance(attn, Attention):
        own = linear_flops(attn.q, n) + linear_flops(attn.proj, n)
        keys_and_values = linear_flops(attn.kv, n + context)
        read = own + keys_and_values + attention_flops(n, n + context, widths=2 * attn.dim)
    else:
        read = _own_count(attn, n, context=context)
    return read + _mlp(mlp, n)


def fusion_flops(block: FusionBlock, *, fusion: int, image: int, audio: int) -> int:
    """Count the forward operations of a fusion block; 0 tokens for a missing modality.

    Raises:
        ValueError: if the interaction is not of this package and has no method ``flops``.
    """
    return _interaction(block.interaction, fusion, image, audio) + _mlp(block.mlp, fusion)


def _own_count(module: nn.Module, *args: Any, **kwargs: Any) -> int:
    """Return the count of a part with a method ``flops``."""
    count = getattr(module, "flops", None)
    if count is None:
        given = ", ".join([*("n" for _ in args), *kwargs])
        name = type(module).__name__
        raise ValueError(f"{name} is not of avblocks: give it a method flops({given}) to count it")
    return count(*args, **kwargs)


def linear_flops(layer: nn.Linear, n: int) -> int:
    """Count the operations of a linear layer over ``n`` tokens."""
    return 2 * n * layer.in_features * layer.out_features


def attention_flops(n: int, m: int, *, widths: int) -> int:
    """Count the operations of attention of ``n`` tokens to ``m``, for the widths of key + value."""
    return 2 * n * m * widths


def _interaction(module: nn.Module, fusion: int, image: int, audio: int) -> int:
    if isinstance(module, TokenFusion):
        return _cross(module.attn, fusion, image + audio)
    if isinstance(module, DenseFusion):
        return _dense(module, fusion, image, audio)
    if isinstance(module, FactorizedFusion):
        own, of_image, of_audio = module.num_tokens
        read = _cross(module.image_aggregator.attn, of_image, image)
        read += _cross(module.audio_aggregator.attn, of_audio, audio)
        pairs = of_image if image else 0, of_audio if audio else 0
        return read + _dense(module.pairs, own, *pairs)
    return _own_count(module, fusion=fusion, image=image, audio=audio)


def _cross(attn: CrossAttention, n: int, source: int) -> int:
    if not source:
        return 0
    own = linear_flops(attn.q, n) + linear_flops(attn.proj, n)
    seen = attention_flops(n, source, widths=attn.kv.out_features)
    return own + linear_flops(attn.kv, source) + seen


def _dense(dense: DenseFusion, n: int, image: int, audio: int) -> int:
    halves = linear_flops(dense.k_image, image) + linear_flops(dense.v_image, image)
    halves += linear_flops(dense.k_audio, audio) + linear_flops(dense.v_audio, audio)
    widths = dense.k_image.out_features + dense.v_image.out_features
    seen = attention_flops(n, image + audio, widths=widths)
    return linear_flops(dense.q, n) + halves + seen + linear_flops(dense.proj, n)


def _decoder(decoder: nn.Module, fusion: int, kept: int, masked: int) -> int:
    """Count the forward operations of a decoder that predicts ``masked`` patches."""
    if isinstance(decoder, ReadingDecoder):
        reads = sum(_reading(block, masked, fusion + kept) for block in decoder.blocks)
        return reads + linear_flops(decoder.pred, masked)
    assert isinstance(decoder, Decoder)
    *blocks, last = cast(list[Block], decoder.blocks)
    seen = fusion + kept
    embed = decoder.embed
    before = linear_flops(embed, seen) if isinstance(embed, nn.Linear) else _own_count(embed, seen)
    before += sum(block_flops(block, seen + masked) for block in blocks)
    return before + block_flops(last, masked, context=seen) + linear_flops(decoder.pred, masked)


def _reading(block: nn.Module, n: int, source: int) -> int:
    assert isinstance(block, ReadingBlock)
    return _cross(block.cross_attn, n, source) + _mlp(block.mlp, n)


def _mlp(mlp: nn.Module, n: int) -> int:
    if not isinstance(mlp, Mlp | SwiGLU):
        return _own_count(mlp, n)
    return sum(linear_flops(layer, n) for layer in mlp.children() if isinstance(layer, nn.Linear))


def _embed(stream: Any, n: int) -> int:
    embed = getattr(stream, "patch_embed", stream)
    if not isinstance(embed, PatchEmbed):
        return _own_count(embed, n)
    return 2 * n * embed.proj.weight.numel()

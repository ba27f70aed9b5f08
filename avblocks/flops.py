r"""Useful floating-point operations of a sample, counted from the sizes of a model.

Matrix products alone are counted, a multiplication and an addition each: :math:`2 n d e` for a
linear layer from width :math:`d` to :math:`e` over :math:`n` tokens, and :math:`2 n m (d_k + d_v)`
for the attention of :math:`n` tokens to :math:`m` with keys and values of those widths. Norms,
softmaxes, activations and the heads of downstream tasks are left out.

These are the operations that the model requires, not those that a device executes: masked patches,
unused outputs and pairs that need not be formed cost nothing, and recomputation (checkpointing,
memory-efficient attention) is not counted. The backward pass costs twice the forward pass, except
for the gradient of the pixels, which is not needed.
"""

from typing import cast

from torch import nn

from avblocks.decoder import Decoder
from avblocks.encoder import AVEncoder
from avblocks.fusion import DenseFusion, FactorizedFusion, FusionBlock, TokenFusion
from avblocks.mae import AVMAE
from avblocks.nn.attention import CrossAttention
from avblocks.nn.block import Block
from avblocks.nn.mlp import Mlp
from avblocks.nn.vit import ViT


def encoder_flops(encoder: AVEncoder, *, image: int, audio: int, training: bool = False) -> int:
    """Operations for the tokens of one sample.

    Args:
        encoder: the encoder.
        image: number of image tokens, 0 if the image is missing.
        audio: number of audio tokens, 0 if the audio is missing.
        training: count the backward pass too.

    Raises:
        ValueError: if a fusion is none of the three of the package.

    Example:
        >>> import torch
        >>> from avblocks import av_vit_base
        >>> with torch.device("meta"):
        ...     encoder = av_vit_base()
        >>> round(encoder_flops(encoder, image=196, audio=96) / 1e9)
        64
    """
    n_f = encoder.fusion_tokens.shape[1]
    embed = _embed(encoder.image, image) + _embed(encoder.audio, audio)
    layers = 0
    for layer in range(encoder.depth):
        fused = str(layer) in encoder.fusion_blocks
        if fused:
            fuse = cast(FusionBlock, encoder.fusion_blocks[str(layer)])
            layers += fusion_flops(fuse, fusion=n_f, image=image, audio=audio)
        for vit, n in ((encoder.image, image), (encoder.audio, audio)):
            if n and layer < len(vit.blocks):
                block = cast(Block, vit.blocks[layer])
                layers += block_flops(block, n, context=n_f if fused else 0)
    return 2 * embed + 3 * layers if training else embed + layers


def mae_flops(
    model: AVMAE, *, image: tuple[int, int], audio: tuple[int, int], training: bool = False
) -> int:
    """Operations for the loss of one sample.

    Args:
        model: the masked autoencoder.
        image: image patches kept and masked.
        audio: audio patches kept and masked.
        training: count the backward pass too.

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


def block_flops(block: Block, n: int, *, context: int = 0) -> int:
    """Operations of a block's forward pass over ``n`` tokens with ``context`` further keys."""
    attn = block.attn
    own = linear_flops(attn.qkv, n) + linear_flops(attn.proj, n)
    keys_and_values = 2 * linear_flops(attn.qkv, context) // 3
    seen = attention_flops(n, n + context, widths=2 * attn.dim)
    return own + keys_and_values + seen + _mlp(block.mlp, n)


def fusion_flops(block: FusionBlock, *, fusion: int, image: int, audio: int) -> int:
    """Operations of a fusion block's forward pass, 0 tokens being a missing modality.

    Raises:
        ValueError: if its interaction is none of the package's three.
    """
    return _interaction(block.interaction, fusion, image, audio) + _mlp(block.mlp, fusion)


def linear_flops(layer: nn.Linear, n: int) -> int:
    """Operations of a linear layer over ``n`` tokens."""
    return 2 * n * layer.in_features * layer.out_features


def attention_flops(n: int, m: int, *, widths: int) -> int:
    """Operations of the attention of ``n`` tokens to ``m``, given the keys' and values' widths."""
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
    raise ValueError(f"{type(module).__name__} is none of the three fusions that can be counted")


def _cross(attn: CrossAttention, n: int, source: int) -> int:
    if not source:
        return 0
    own = linear_flops(attn.q, n) + linear_flops(attn.proj, n)
    seen = attention_flops(n, source, widths=attn.kv.out_features)
    return own + linear_flops(attn.kv, source) + seen


def _dense(dense: DenseFusion, n: int, image: int, audio: int) -> int:
    # A pair's halves: each token of a modality meets half of the columns.
    halves = (linear_flops(dense.k, image + audio) + linear_flops(dense.v, image + audio)) // 2
    widths = dense.k.out_features + dense.v.out_features
    seen = attention_flops(n, image + audio, widths=widths)
    return linear_flops(dense.q, n) + halves + seen + linear_flops(dense.proj, n)


def _decoder(decoder: Decoder, fusion: int, kept: int, masked: int) -> int:
    *blocks, last = cast(list[Block], decoder.blocks)
    seen = fusion + kept
    before = linear_flops(decoder.embed, seen)
    before += sum(block_flops(block, seen + masked) for block in blocks)
    return before + block_flops(last, masked, context=seen) + linear_flops(decoder.pred, masked)


def _mlp(mlp: Mlp, n: int) -> int:
    return linear_flops(mlp.fc1, n) + linear_flops(mlp.fc2, n)


def _embed(vit: ViT, n: int) -> int:
    return 2 * n * vit.patch_embed.proj.weight.numel()

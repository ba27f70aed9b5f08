"""Naive implementation of encoder and masked autoencoder, as in papers and in the reference.

All patches are embedded before some are dropped; the block of each stream runs over
``[fusion; stream]`` and updates both, although the fusion tokens are discarded; dense fusion
computes every pair; the last block and the prediction of the decoders run on all tokens; attention
weights are materialized. It uses the weights of the model, and its results are equal.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from avblocks import (
    AVMAE,
    AVEncoder,
    AVTokens,
    Decoder,
    DenseFusion,
    FactorizedFusion,
    FusionBlock,
    Mask,
    ViT,
    masked_mse,
    patchify,
)
from avblocks.nn import attend


class AttentionWrittenOut(TorchFunctionMode):
    """Compute attention with materialized weights, in the current precision, as the reference."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace torch's attention function."""
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        (q, k, v), scale = args, (kwargs or {}).get("scale") or args[0].shape[-1] ** -0.5
        return (q @ k.transpose(-2, -1) * scale).softmax(dim=-1) @ v


def plain_encode(
    encoder: AVEncoder,
    *,
    image: Tensor,
    audio: Tensor,
    image_mask: Mask | None = None,
    audio_mask: Mask | None = None,
) -> AVTokens:
    """Encode a batch like `AVEncoder`, for both modalities and ViTs of equal depth."""
    with AttentionWrittenOut():
        v, a = encoder.image.embed(image), encoder.audio.embed(audio)
        v = v if image_mask is None else image_mask.kept(v)
        a = a if audio_mask is None else audio_mask.kept(a)
        f = encoder.fusion_tokens.expand(len(v), -1, -1)
        blocks = {int(layer): cast(FusionBlock, b) for layer, b in encoder.fusion_blocks.items()}
        for layer in range(encoder.depth):
            context = f if layer in blocks else f[:, :0]
            fused = _fuse(blocks[layer], f, v, a) if layer in blocks else f
            v = _beside(encoder.image.blocks[layer], context, v)
            a = _beside(encoder.audio.blocks[layer], context, a)
            f = fused
        return AVTokens(
            image=encoder.image.norm(v), audio=encoder.audio.norm(a), fusion=encoder.fusion_norm(f)
        )


def plain_loss(
    model: AVMAE, *, image: Tensor, audio: Tensor, image_mask: Mask, audio_mask: Mask
) -> Tensor:
    """Compute the loss of a batch like `AVMAE`."""
    tokens = plain_encode(
        model.encoder, image=image, audio=audio, image_mask=image_mask, audio_mask=audio_mask
    )
    assert tokens.image is not None and tokens.audio is not None
    with AttentionWrittenOut():
        pred_image = _decode(model.image_decoder, tokens.image, tokens.fusion, image_mask)
        pred_audio = _decode(model.audio_decoder, tokens.audio, tokens.fusion, audio_mask)
        return _loss(model, model.encoder.image, pred_image, image, image_mask) + _loss(
            model, model.encoder.audio, pred_audio, audio, audio_mask
        )


def _beside(block: nn.Module, context: Tensor, x: Tensor) -> Tensor:
    return block(torch.cat((context, x), dim=1))[:, context.shape[1] :]


def _fuse(block: FusionBlock, fusion: Tensor, image: Tensor, audio: Tensor) -> Tensor:
    f, v, a = block.norm_fusion(fusion), block.norm_image(image), block.norm_audio(audio)
    f = f + block.drop_path(_read(block.interaction, f, v, a))
    return f + block.drop_path(block.mlp(block.norm_mlp(f)))


def _read(interaction: nn.Module, fusion: Tensor, image: Tensor, audio: Tensor) -> Tensor:
    if isinstance(interaction, DenseFusion):
        return _all_pairs(interaction, fusion, image, audio)
    if isinstance(interaction, FactorizedFusion):
        own, of_image, of_audio = fusion.split(interaction.num_tokens, dim=1)
        of_image = interaction.image_aggregator(of_image, image)
        of_audio = interaction.audio_aggregator(of_audio, audio)
        own = _all_pairs(interaction.pairs, own, of_image, of_audio)
        return torch.cat((own, of_image, of_audio), dim=1)
    return interaction(fusion, image=image, audio=audio)


def _all_pairs(dense: DenseFusion, fusion: Tensor, image: Tensor, audio: Tensor) -> Tensor:
    n_v, n_a = image.shape[1], audio.shape[1]
    left = image[:, :, None].expand(-1, -1, n_a, -1)
    right = audio[:, None].expand(-1, n_v, -1, -1)
    pairs = torch.cat((left, right), dim=-1).flatten(1, 2)
    k, v = (
        F.linear(pairs, torch.cat((image_half.weight, audio_half.weight), dim=1), bias)
        for image_half, audio_half, bias in (
            (dense.k_image, dense.k_audio, dense.k_image.bias),
            (dense.v_image, dense.v_audio, dense.v_bias),
        )
    )
    read = attend(dense.q(fusion), k, v, num_heads=dense.num_heads, scale=dense.scale)
    return dense.proj(read)


def _decode(decoder: nn.Module, kept: Tensor, fusion: Tensor, mask: Mask) -> Tensor:
    if not isinstance(decoder, Decoder):
        raise ValueError("the plain formula is of the paper's decoder")
    shown = decoder.embed(kept)
    blank = decoder.mask_token.to(shown.dtype).expand(len(kept), mask.ids_masked.shape[1], -1)
    patches = mask.restore(kept=shown, masked=blank) + decoder.pos_embed(decoder.pos_embed.grid)
    tokens = torch.cat((decoder.embed(fusion), patches), dim=1)
    for block in decoder.blocks:
        tokens = block(tokens)
    return decoder.pred(decoder.norm(tokens))[:, fusion.shape[1] :]


def _loss(model: AVMAE, vit: ViT, pred: Tensor, x: Tensor, mask: Mask) -> Tensor:
    target = mask.masked(patchify(x, patch=vit.patch))
    return masked_mse(mask.masked(pred), target, normalize=model.normalize_targets)

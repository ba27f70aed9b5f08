"""The audio-visual early-fusion encoder: two ViTs and the fusion blocks between them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from avblocks.fusion.block import FusionBlock
from avblocks.nn.mask import Mask
from avblocks.nn.norm import layer_norm
from avblocks.nn.vit import ViT
from avblocks.shapes import require, require_positive


@dataclass(frozen=True)
class AVTokens:
    """Tokens of the two modalities, ``None`` where one is missing, and of their fusion."""

    image: Float[Tensor, "b n_v d"] | None
    audio: Float[Tensor, "b n_a d"] | None
    fusion: Float[Tensor, "b n_f d"]


torch.export.register_dataclass(AVTokens)


class AVEncoder(nn.Module):
    """Early fusion (paper, section 3): fusion tokens travel beside the two ViTs and feed them.

    At a fusion layer, from the tokens before it: the image block runs over ``[fusion; image]`` and
    the audio block over ``[fusion; audio]``, each updating its own tokens alone, and the fusion
    block updates the fusion tokens from both. At other layers each stream goes through its block
    and the fusion tokens stay. ViTs may differ in depth: a stream whose blocks are used up keeps
    its tokens, which the fusion blocks go on reading.

    A missing modality (``None``, for the whole batch) contributes nothing: its stream is ``None``
    in the output, its mask is not looked at, and the fusion tokens attend to the other one alone.

    Args:
        image: ViT of the image.
        audio: ViT of the spectrogram.
        fusion: for each layer up to the greater depth, a fusion block or ``None``.
        num_tokens: number of fusion tokens, aggregation tokens included.
        norm_eps: epsilon of the fusion tokens' final norm (reference: 1e-5).
        checkpointing: keep only the tokens between layers for the backward pass, which computes
            each layer again: the same gradients, less memory, about a third more work.

    Raises:
        ValueError: if the widths differ or ``fusion`` has not one entry a layer.

    Example:
        >>> from avblocks import av_vit
        >>> encoder = av_vit(64, depth=2, num_heads=4, image_size=32, audio_size=(32, 48))
        >>> out = encoder(image=torch.zeros(2, 3, 32, 32), audio=torch.zeros(2, 1, 32, 48))
        >>> out.image.shape, out.audio.shape, out.fusion.shape
        (torch.Size([2, 4, 64]), torch.Size([2, 6, 64]), torch.Size([2, 32, 64]))
    """

    def __init__(
        self,
        *,
        image: ViT,
        audio: ViT,
        fusion: Sequence[FusionBlock | None],
        num_tokens: int,
        norm_eps: float = 1e-5,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        require_positive(num_tokens=num_tokens)
        require(image.dim == audio.dim, "audio", audio.dim, f"as wide as the image's {image.dim}")
        self.depth = max(len(image.blocks), len(audio.blocks))
        self.checkpointing = checkpointing
        require(len(fusion) == self.depth, "fusion", len(fusion), f"{self.depth} entries")
        for layer, block in enumerate(fusion):
            if block is not None:
                fits = isinstance(block, FusionBlock)
                require(fits, f"fusion[{layer}]", type(block).__name__, "a FusionBlock or None")
                width = block.norm_fusion.normalized_shape[0]
                takes = f"as wide as the other parts' {image.dim}"
                require(width == image.dim, f"fusion[{layer}]", width, takes)
        self.image, self.audio = image, audio
        self.fusion_blocks = nn.ModuleDict(
            {str(layer): block for layer, block in enumerate(fusion) if block is not None}
        )
        self.fusion_tokens = nn.Parameter(torch.empty(1, num_tokens, image.dim))
        self.fusion_norm = layer_norm(image.dim, norm_eps=norm_eps)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Fusion tokens start normal with a deviation of 0.02."""
        nn.init.normal_(self.fusion_tokens, std=0.02)

    def embed(
        self,
        *,
        image: Float[Tensor, "b c *size"] | None,
        audio: Float[Tensor, "b 1 m t"] | None,
        image_mask: Mask | None = None,
        audio_mask: Mask | None = None,
    ) -> AVTokens:
        """Tokens before the first layer; with a mask, those of the kept patches alone.

        Raises:
            ValueError: if both modalities are missing or their batches differ.
        """
        given = [x for x in (image, audio) if x is not None]
        require(len(given) > 0, "image and audio", None, "not both missing")
        batch = given[0].shape[0]
        other = given[-1].shape[0]
        require(other == batch, "audio", other, "a batch of {}", batch)
        return AVTokens(
            image=_embed(self.image, image, image_mask),
            audio=_embed(self.audio, audio, audio_mask),
            fusion=self.fusion_tokens.expand(batch, -1, -1),
        )

    def layer(self, tokens: AVTokens, layer: int) -> AVTokens:
        """Tokens after one layer."""
        fusion, context = tokens.fusion, None
        if str(layer) in self.fusion_blocks:
            fuse, context = self.fusion_blocks[str(layer)], tokens.fusion
            fusion = fuse(tokens.fusion, image=tokens.image, audio=tokens.audio)
        return AVTokens(
            image=_advance(self.image, layer, tokens.image, context),
            audio=_advance(self.audio, layer, tokens.audio, context),
            fusion=fusion,
        )

    def normalize(self, tokens: AVTokens) -> AVTokens:
        """The final norm of each stream."""
        return AVTokens(
            image=None if tokens.image is None else self.image.norm(tokens.image),
            audio=None if tokens.audio is None else self.audio.norm(tokens.audio),
            fusion=self.fusion_norm(tokens.fusion),
        )

    def intermediates(
        self, *, image: Float[Tensor, "b c *size"] | None, audio: Float[Tensor, "b 1 m t"] | None
    ) -> tuple[AVTokens, ...]:
        """Tokens after every layer, before the final norms."""
        tokens, outputs = self.embed(image=image, audio=audio), []
        for layer in range(self.depth):
            tokens = self._run(tokens, layer)
            outputs.append(tokens)
        return tuple(outputs)

    def forward(
        self,
        *,
        image: Float[Tensor, "b c *size"] | None,
        audio: Float[Tensor, "b 1 m t"] | None,
        image_mask: Mask | None = None,
        audio_mask: Mask | None = None,
    ) -> AVTokens:
        """Encode a batch; with masks, the kept patches alone.

        Raises:
            ValueError: if both modalities are missing, batches differ or a size does not fit.
        """
        tokens = self.embed(image=image, audio=audio, image_mask=image_mask, audio_mask=audio_mask)
        for layer in range(self.depth):
            tokens = self._run(tokens, layer)
        return self.normalize(tokens)

    def _run(self, tokens: AVTokens, layer: int) -> AVTokens:
        if not self.checkpointing:
            return self.layer(tokens, layer)
        return checkpoint(self.layer, tokens, layer, use_reentrant=False)


def _embed(
    vit: ViT, x: Float[Tensor, "b c *size"] | None, mask: Mask | None
) -> Float[Tensor, "b n d"] | None:
    if x is None:
        return None
    if mask is None:
        return vit.embed(x)
    n = math.prod(vit.grid(x))
    require(mask.num_tokens == n, "mask", mask.num_tokens, "over the input's {} patches", n)
    return vit.embed(x, ids_keep=mask.ids_keep)


def _advance(
    vit: ViT,
    layer: int,
    tokens: Float[Tensor, "b n d"] | None,
    context: Float[Tensor, "b n_f d"] | None,
) -> Float[Tensor, "b n d"] | None:
    if tokens is None or layer >= len(vit.blocks):
        return tokens
    return vit.blocks[layer](tokens, context=context)

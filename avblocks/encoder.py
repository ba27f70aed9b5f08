"""The audio-visual early-fusion encoder: two streams and the fusion blocks between them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from avblocks.fusion.block import FusionBlock
from avblocks.fusion.layer import FusionLayer, require_alike
from avblocks.nn.init import normal
from avblocks.nn.mask import Mask
from avblocks.nn.norm import layer_norm
from avblocks.nn.stream import (
    Stream,
    ValidPatches,
    advance,
    block_of,
    embed_kept,
    kept_valid,
    layers_of,
    prefix_of,
    require_stream,
    require_width,
)
from avblocks.shapes import as_dtype, require
from avblocks.tokens import AVTokens as AVTokens
from avblocks.tokens import sources, with_prefix, without_prefix

Image = Float[Tensor, "b c *image_size"] | None
Audio = Float[Tensor, "b *audio_size"] | None


class AVEncoder(nn.Module):
    r"""Audio-visual early-fusion encoder (paper, section 3): two ViTs and fusion tokens.

    A fusion layer works on the tokens of the layer before. The image block runs over
    ``[fusion; image]`` and the audio block over ``[fusion; audio]``; each updates only the tokens
    of its own stream. The fusion block updates the fusion tokens from both streams. At other
    layers, the fusion tokens do not change. ViTs may differ in depth: a stream without further
    blocks keeps its tokens, and the fusion blocks still read them.

    If a modality is missing for the whole batch (``None``), its stream is ``None`` in the output,
    its mask is ignored, and the fusion tokens attend to the other modality only. Padding is ignored
    too: ``image_valid`` and ``audio_valid`` mark the valid patches or, with one boolean per sample,
    the samples that have the modality.

    Args:
        image: ViT of the image or the video, or another `Stream`.
        audio: ViT of the spectrogram, or another `Stream`.
        fusion: a `FusionBlock`, a `FusionLayer` or ``None`` for each layer up to the greater depth;
            further layers, beyond the blocks of both streams, are `FusionLayer`\ s.
        num_tokens: number of fusion tokens, including aggregation tokens; 0 for fusions without.
        norm_eps: epsilon of the final norm of the fusion tokens (reference: 1e-5).
        checkpointing: recompute each layer in the backward pass from the tokens between layers:
            equal gradients, less memory, about a third more computation.

    Raises:
        ValueError: if the widths differ, ``fusion`` does not have one entry per layer, or a stream
            lacks a part.

    Example:
        >>> from avblocks import av_vit
        >>> encoder = av_vit(64, depth=2, num_heads=4, image_size=32, audio_size=(32, 48))
        >>> out = encoder(image=torch.zeros(2, 3, 32, 32), audio=torch.zeros(2, 1, 32, 48))
        >>> out.image.shape, out.audio.shape, out.fusion.shape
        (torch.Size([2, 4, 64]), torch.Size([2, 6, 64]), torch.Size([2, 32, 64]))
    """

    image: Any  # a module that is a Stream, which Python's types cannot express
    audio: Any

    def __init__(
        self,
        *,
        image: Stream,
        audio: Stream,
        fusion: Sequence[nn.Module | None],
        num_tokens: int,
        norm_eps: float = 1e-5,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        fits = isinstance(num_tokens, int) and num_tokens >= 0
        require(fits, "num_tokens", num_tokens, "an integer, 0 or more")
        for name, stream in (("image", image), ("audio", audio)):
            require_stream(name, stream)
        self.dim, self.checkpointing = image.dim, checkpointing
        require(audio.dim == self.dim, "audio", audio.dim, f"as wide as the image's {self.dim}")
        deepest = max(len(list(stream.blocks)) for stream in (image, audio))
        self.image, self.audio = image, audio
        _require_fusion(fusion, depth=deepest, dim=self.dim)
        self.depth = len(fusion)
        self.fusion_blocks = nn.ModuleDict(
            {str(layer): block for layer, block in enumerate(fusion) if block is not None}
        )
        self.fusion_tokens = nn.Parameter(torch.empty(1, num_tokens, self.dim))
        norm = layer_norm(self.dim, norm_eps=norm_eps)
        self.fusion_norm = norm if num_tokens > 0 else nn.Identity()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the fusion tokens from a normal distribution with a standard deviation of 0.02."""
        normal(self.fusion_tokens)

    def param_layers(self) -> dict[str, int]:
        """Layer of each parameter by name, for layer-wise learning rates.

        Layer 0 contains embeddings, prefix and fusion tokens, i + 1 block i of both streams and of
        the fusion, ``depth + 1`` the final norms.
        """
        top = self.depth + 1
        layers = layers_of(self.image, top=top) | layers_of(self.audio, top=top)
        for layer, block in self.fusion_blocks.items():
            layers |= {id(p): int(layer) + 1 for p in block.parameters()}
        layers |= {id(p): top for p in self.fusion_norm.parameters()}
        return {name: layers.get(id(p), 0) for name, p in self.named_parameters()}

    def embed(
        self,
        *,
        image: Image,
        audio: Audio,
        image_mask: Mask | None = None,
        audio_mask: Mask | None = None,
        image_valid: ValidPatches = None,
        audio_valid: ValidPatches = None,
    ) -> AVTokens:
        """Tokens before the first layer; with a mask, only those of the kept patches.

        Raises:
            TypeError: if one is no tensor.
            ValueError: if both modalities are missing, their batch sizes differ, or the data type
                of one differs from that of the weights.
        """
        dtype = self.fusion_tokens.dtype
        image = None if image is None else as_dtype(dtype, image=image)
        audio = None if audio is None else as_dtype(dtype, audio=audio)
        inputs = [x for x in (image, audio) if x is not None]
        require(len(inputs) > 0, "image and audio", None, "not both missing")
        shapes = [tuple(x.shape) for x in inputs]
        alike = shapes[0][:1] == shapes[-1][:1] != ()
        require(alike, "image and audio", shapes, "batches of as many clips")
        batch = inputs[0].shape[0]
        whole = AVTokens(
            image=embed_kept(self.image, image, image_mask, image_valid),
            audio=embed_kept(self.audio, audio, audio_mask, audio_valid),
            fusion=self.fusion_tokens.expand(batch, -1, -1),
            image_valid=kept_valid(self.image, image, image_mask, image_valid),
            audio_valid=kept_valid(self.audio, audio, audio_mask, audio_valid),
        )
        return without_prefix(whole, **self._prefixes)

    def layer(self, tokens: AVTokens, layer: int) -> AVTokens:
        """Tokens after one layer.

        Raises:
            ValueError: if a block or a fusion returns other shapes than those of its tokens.
        """
        tokens = with_prefix(tokens)
        out = self._advance(tokens, layer)
        require_alike(tokens, out)
        return without_prefix(out, **self._prefixes)

    def _advance(self, tokens: AVTokens, layer: int) -> AVTokens:
        image, audio = block_of(self.image, layer), block_of(self.audio, layer)
        fusion, context = tokens.fusion, None
        if str(layer) in self.fusion_blocks:
            fuse, context = self.fusion_blocks[str(layer)], tokens.fusion
            if isinstance(fuse, FusionLayer):
                return fuse(tokens, image=image, audio=audio)
            fusion = fuse(tokens.fusion, **sources(tokens))
        return replace(
            tokens,
            image=advance(image, tokens.image, context, tokens.image_valid),
            audio=advance(audio, tokens.audio, context, tokens.audio_valid),
            fusion=fusion,
        )

    def normalize(self, tokens: AVTokens) -> AVTokens:
        """The final norm of each stream."""
        tokens = with_prefix(tokens)
        out = replace(
            tokens,
            image=None if tokens.image is None else self.image.norm(tokens.image),
            audio=None if tokens.audio is None else self.audio.norm(tokens.audio),
            fusion=self.fusion_norm(tokens.fusion),
        )
        return without_prefix(out, **self._prefixes)

    def intermediates(
        self,
        *,
        image: Image,
        audio: Audio,
        image_valid: ValidPatches = None,
        audio_valid: ValidPatches = None,
    ) -> tuple[AVTokens, ...]:
        """Tokens after every layer, before the final norms."""
        tokens = self.embed(
            image=image, audio=audio, image_valid=image_valid, audio_valid=audio_valid
        )
        outputs = []
        for layer in range(self.depth):
            tokens = self._run(tokens, layer)
            outputs.append(tokens)
        return tuple(outputs)

    def forward(
        self,
        *,
        image: Image,
        audio: Audio,
        image_mask: Mask | None = None,
        audio_mask: Mask | None = None,
        image_valid: ValidPatches = None,
        audio_valid: ValidPatches = None,
    ) -> AVTokens:
        """Encode a batch; with masks, only the kept patches.

        Args:
            image: images or videos, ``None`` if the batch has none.
            audio: spectrograms, ``None`` if the batch has none.
            image_mask: mask of the image patches.
            audio_mask: mask of the audio patches.
            image_valid: False at samples without an image, or at padded image patches.
            audio_valid: False at samples without audio, or at padded audio patches.

        Raises:
            ValueError: if both modalities are missing, batch sizes differ or a size does not match.
        """
        tokens = self.embed(
            image=image,
            audio=audio,
            image_mask=image_mask,
            audio_mask=audio_mask,
            image_valid=image_valid,
            audio_valid=audio_valid,
        )
        for layer in range(self.depth):
            tokens = self._run(tokens, layer)
        return self.normalize(tokens)

    @property
    def _prefixes(self) -> dict[str, int]:
        return {"image": prefix_of(self.image), "audio": prefix_of(self.audio)}

    def _run(self, tokens: AVTokens, layer: int) -> AVTokens:
        if not self.checkpointing:
            return self.layer(tokens, layer)
        return checkpoint(self.layer, tokens, layer, use_reentrant=False)


def _require_fusion(fusion: Sequence[nn.Module | None], *, depth: int, dim: int) -> None:
    further = all(isinstance(layer, FusionLayer) for layer in fusion[depth:])
    require(len(fusion) >= depth and further, "fusion", len(fusion), f"{depth} entries")
    for layer, block in enumerate(fusion):
        if block is not None:
            fits = isinstance(block, FusionBlock | FusionLayer)
            takes = "a FusionBlock (around an interaction), a FusionLayer or None"
            require(fits, f"fusion[{layer}]", type(block).__name__, takes)
            require_width(f"fusion[{layer}]", block, dim)

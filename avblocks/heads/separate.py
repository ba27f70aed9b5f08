"""Sound separation head: a spectrogram mask of the source that an image shows."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.builder import builder
from avblocks.encoder import AVTokens
from avblocks.heads.pool import MeanPool, Pooling, pool_of
from avblocks.heads.unet import ConvPair, Lateral, Upscale, kaiming
from avblocks.shapes import expect, given, require, require_positive


class Separator(nn.Module):
    """U-Net over the audio tokens of several encoder depths, conditioned on the image.

    The condition is the mean of the normalized image tokens of the last depth (reference:
    `models/avsrcsep.py`), or what another pooling makes of them. The coarsest map, on the grid of
    the audio tokens, comes from the first of ``depths``; each upsampling step is then merged with
    the lateral of the next depth.

    Args:
        laterals: one per depth, from the coarsest to the finest.
        top: convolutions over the coarsest lateral.
        ups: upsampling steps between the laterals.
        pred: convolution of the finest map to one channel.
        depths: encoder layers of the laterals.
        pool: pooling of the image tokens, such as `AttentivePool`; `MeanPool` if not given.

    Raises:
        ValueError: if the numbers of parts do not match.

    Example:
        >>> from avblocks import av_vit
        >>> encoder = av_vit(32, depth=4, num_heads=4, image_size=32, audio_size=(32, 48), patch=8)
        >>> image, audio = torch.zeros(2, 3, 32, 32), torch.zeros(2, 1, 32, 48)
        >>> layers = encoder.intermediates(image=image, audio=audio)
        >>> head = separator(32, patch=8, num_layers=4)
        >>> head(layers, grid=encoder.audio.grid(audio)).shape
        torch.Size([2, 1, 32, 48])
    """

    def __init__(
        self,
        *,
        laterals: Sequence[Lateral],
        top: ConvPair,
        ups: Sequence[Upscale],
        pred: nn.Conv2d,
        depths: Sequence[int],
        pool: nn.Module | None = None,
    ) -> None:
        super().__init__()
        require(len(laterals) > 0, "laterals", len(laterals), "at least one")
        require(len(ups) == len(laterals) - 1, "ups", len(ups), f"{len(laterals) - 1} of them")
        _require_depths(depths, count=len(laterals))
        self.depths = tuple(depths)
        self.image_norm = nn.LayerNorm(laterals[0].condition.in_features)
        self.laterals, self.ups = nn.ModuleList(laterals), nn.ModuleList(ups)
        self.top, self.pred = top, pred
        self.pool = MeanPool() if pool is None else pool
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Kaiming-normal weights of the last convolution."""
        kaiming(self.pred)

    def forward(
        self, layers: Sequence[AVTokens], *, grid: tuple[int, int]
    ) -> Float[Tensor, "b 1 m t"]:
        """Logits of the mask, above zero in bins of the source in the image.

        Args:
            layers: tokens after every layer, from `AVEncoder.intermediates`.
            grid: patches of the spectrogram along mels and frames, ``encoder.audio.grid(audio)``.

        Raises:
            ValueError: if a modality or a depth is missing, or the tokens do not fit the grid.
        """
        deepest = max(self.depths)
        require(
            len(layers) > deepest, "layers", len(layers), "more than {} for the depths", deepest
        )
        image = self.image_norm(_given(layers[-1].image, "image"))
        condition = self.pool(image, **given(valid=layers[-1].image_valid))
        first, *rest = [
            lateral(self._audio(layers[depth], grid), condition=condition, grid=grid)
            for depth, lateral in zip(self.depths, self.laterals, strict=True)
        ]
        x = self.top(first)
        for up, skip in zip(self.ups, rest, strict=True):
            x = up(x, skip=skip)
        return self.pred(x)

    def _audio(self, tokens: AVTokens, grid: tuple[int, int]) -> Float[Tensor, "b n_a d"]:
        audio = _given(tokens.audio, "audio")
        expect(audio=(audio, "b n_a d"), n_a=grid[0] * grid[1])
        return audio


def _given(tokens: Float[Tensor, "b n d"] | None, name: str) -> Float[Tensor, "b n d"]:
    if tokens is None:
        raise ValueError(f"{name} must be given: separation needs both modalities")
    return tokens


def _require_depths(depths: Sequence[int], *, count: int) -> None:
    """Raise a ``ValueError`` unless there are ``count`` layer indices."""
    fits = len(depths) == count and all(isinstance(d, int) and d >= 0 for d in depths)
    require(fits, "depths", depths, f"{count} layer indices from 0")


@builder
def separator(
    dim: int,
    *,
    patch: int = 16,
    num_layers: int = 12,
    depths: Sequence[int] | None = None,
    pooling: Pooling = "mean",
    num_heads: int = 12,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Separator:
    """Build a separator for an encoder, with upsampling steps of 2x up to single bins.

    Args:
        dim: width of the tokens of the encoder, a multiple of ``patch``.
        patch: side of the audio patches, a power of two; 16 uses five depths, 8 four.
        num_layers: layers of the encoder.
        depths: layers to read, that of the coarsest map first; by default evenly spaced from the
            first to the last (paper: 0, 2, 5, 8, 11).
        pooling: pooling of the image tokens (paper: mean). Where an object is small, attentive
            pooling finds it.
        num_heads: heads of the attentive pooling.
        device: device of the weights.
        dtype: data type of the weights.

    Raises:
        ValueError: if the pooling is unknown or a number is out of range.
    """
    require_positive(dim=dim, patch=patch, num_layers=num_layers)
    steps = patch.bit_length() - 1
    require(patch == 2**steps and steps > 0, "patch", patch, "a power of two above 1")
    require(dim % patch == 0, "dim", dim, f"a multiple of the patch {patch}")
    if depths is None:
        depths = [step * (num_layers - 1) // steps for step in range(steps + 1)]
    _require_depths(depths, count=steps + 1)
    require(max(depths) < num_layers, "depths", depths, f"below {num_layers}, the layers")
    factors = [2**step for step in range(steps + 1)]
    return Separator(
        laterals=[Lateral(dim, factor=factor) for factor in factors],
        top=ConvPair(2 * dim, out_channels=dim),
        ups=[
            Upscale(dim // coarse, factor=2, skip_channels=2 * dim // fine)
            for coarse, fine in pairwise(factors)
        ],
        pred=nn.Conv2d(dim // patch, 1, 3, padding=1),
        depths=depths,
        pool=pool_of(pooling, dim, num_heads=num_heads),
    )

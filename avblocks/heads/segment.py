"""Audio-visual segmentation head: an image mask from image tokens and mean audio tokens."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.builder import builder
from avblocks.encoder import AVTokens
from avblocks.heads.pool import mean_tokens
from avblocks.heads.pyramid import Pyramid, kaiming_unbiased
from avblocks.nn.init import xavier
from avblocks.nn.norm import layer_norm
from avblocks.shapes import expect, require, require_positive


class Segmenter(nn.Module):
    """Pyramid over image tokens of several depths, conditioned on the audio (paper, section 4).

    The condition of each level is a normalized and averaged projection of the audio tokens after
    the last layer (reference, ``models/avsegm.py``). The fusion tokens are not used.
    Both modalities are required: without audio, pass the spectrogram of a silent waveform.

    Args:
        pyramid: pyramid over the image tokens, with as many levels as depths.
        num_classes: 1 for a binary mask, otherwise the number of classes with the background, class
            0.
        depths: layers whose image tokens are read, that of the coarsest level first.
        patch: side of an image patch in pixels.
        hidden: channels between the last two convolutions.
        norm_eps: epsilon of the norms (reference: 1e-5).

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> import torch
        >>> from avblocks import av_vit
        >>> encoder = av_vit(16, depth=4, num_heads=4, image_size=32, audio_size=(32, 48))
        >>> image, audio = torch.zeros(2, 3, 32, 32), torch.zeros(2, 1, 32, 48)
        >>> layers = encoder.intermediates(image=image, audio=audio)
        >>> head = Segmenter(pyramid=Pyramid(16, widths=(16, 8)), num_classes=5, depths=(1, 3))
        >>> head(layers, grid=encoder.image.grid(image)).shape
        torch.Size([2, 5, 32, 32])
    """

    def __init__(
        self,
        *,
        pyramid: Pyramid,
        num_classes: int,
        depths: Sequence[int],
        patch: int = 16,
        hidden: int = 128,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        require_positive(num_classes=num_classes, patch=patch, hidden=hidden)
        dim, widths = pyramid.dim, pyramid.widths
        fits = len(depths) == len(widths) and all(isinstance(d, int) and d >= 0 for d in depths)
        require(fits, "depths", depths, f"{len(widths)} layer indices from 0, one a level")
        self.depths, self.patch = tuple(depths), patch
        self.norm_image = nn.ModuleList(layer_norm(dim, norm_eps=norm_eps) for _ in widths)
        self.project_audio = nn.ModuleList(nn.Linear(dim, width) for width in widths)
        self.norm_audio = nn.ModuleList(layer_norm(width, norm_eps=norm_eps) for width in widths)
        self.pyramid = pyramid
        self.hidden = nn.Conv2d(widths[-1], hidden, kernel_size=3, padding=1)
        self.pred = nn.Conv2d(hidden, num_classes, kernel_size=3, padding=1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform projections, Kaiming-normal convolutions, zero biases."""
        xavier(*(layer for layer in self.project_audio if isinstance(layer, nn.Linear)))
        kaiming_unbiased(self.hidden, self.pred)

    def forward(
        self, layers: Sequence[AVTokens], *, grid: tuple[int, ...]
    ) -> Float[Tensor, "b classes height width"]:
        """Logits of each pixel of the image.

        Args:
            layers: tokens after every layer, from ``AVEncoder.intermediates``.
            grid: image patches along each axis.

        Raises:
            ValueError: if a modality is missing or the tokens do not match the grid.
        """
        deepest = max(self.depths)
        require(
            len(layers) > deepest, "layers", len(layers), "more than {} for the depths", deepest
        )
        audio = _given("audio", layers[-1].audio)
        expect(audio=(audio, "b n d"), d=self.pyramid.dim)
        maps = self._maps(layers, grid=grid, batch=audio.shape[0])
        conditions = [
            mean_tokens(norm(project(audio)), layers[-1].audio_valid)
            for norm, project in zip(self.norm_audio, self.project_audio, strict=True)
        ]
        x = self.hidden(self.pyramid(maps, conditions=conditions))
        size = [side * self.patch for side in grid]
        return self.pred(F.interpolate(x, size=size, mode="bilinear", align_corners=False))

    def _maps(
        self, layers: Sequence[AVTokens], *, grid: tuple[int, ...], batch: int
    ) -> list[Float[Tensor, "b d rows columns"]]:
        require(len(grid) == 2, "grid", grid, "rows and columns: masks are of one image")
        rows, columns = grid
        maps = []
        for norm, depth in zip(self.norm_image, self.depths, strict=True):
            image = _given("image", layers[depth].image)
            expect(image=(image, "b n d"), b=batch, n=rows * columns, d=self.pyramid.dim)
            maps.append(rearrange(norm(image), "b (i j) d -> b d i j", i=rows, j=columns))
        return maps


def _given(name: str, tokens: Float[Tensor, "b n d"] | None) -> Float[Tensor, "b n d"]:
    if tokens is None:
        raise ValueError(f"{name} is missing: segmentation needs both (silence: a silent waveform)")
    return tokens


@builder
def segmenter(
    dim: int,
    *,
    num_classes: int,
    patch: int = 16,
    num_layers: int = 12,
    depths: Sequence[int] | None = None,
    min_width: int = 128,
    hidden: int = 128,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Segmenter:
    """Build a segmentation head whose width halves per level (reference, ``models/avsegm.py``).

    Args:
        dim: width of the encoder's tokens.
        num_classes: 1 for a binary mask (AVSBench S4 and MS3), otherwise the number of classes with
            the background (AVSS: 71).
        patch: side of an image patch in pixels; log2 of it is the number of levels unless
            ``depths`` is given.
        num_layers: layers of the encoder.
        depths: layers to read, that of the coarsest level first; by default evenly spaced from the
            first to the last (paper: 0, 3, 7, 11).
        min_width: smallest width of a level; widths are ``dim``, ``dim // 2``, ``dim // 4``, ...
        hidden: channels between the last two convolutions.
        device: device of the weights.
        dtype: data type of the weights.

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> segmenter(768, num_classes=71).pyramid.widths
        (768, 384, 192, 128)
        >>> segmenter(128, num_classes=1, patch=8, num_layers=4, min_width=32).depths
        (0, 1, 3)
    """
    require_positive(dim=dim, num_layers=num_layers, min_width=min_width)
    if depths is None:
        require(patch > 1, "patch", patch, "above 1 where no depths are given")
        levels = round(math.log2(patch))
        depths = [level * (num_layers - 1) // max(levels - 1, 1) for level in range(levels)]
    deepest = max(depths, default=0)
    require(deepest < num_layers, "depths", depths, f"below {num_layers}, the layers")
    return Segmenter(
        pyramid=Pyramid(dim, widths=[max(min_width, dim // 2**i) for i in range(len(depths))]),
        num_classes=num_classes,
        depths=depths,
        patch=patch,
        hidden=hidden,
    )

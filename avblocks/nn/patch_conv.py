"""Patch embedding by a small residual network of convolutions."""

import math
from typing import cast

from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from avblocks.nn.conv import ResidualConv, norm_conv, normed
from avblocks.nn.mask import gather_tokens
from avblocks.shapes import expect, grid_of, require, require_positive, sides


class ConvPatchEmbed(nn.Module):
    """Embed patches by a small residual network instead of one linear map.

    A token depends on the pixels around its patch too, and in the same way everywhere in the image.
    This helps where training data are few. Patches that are not kept are blank before the first
    convolution, so that the kept tokens contain nothing of them; the norms count their blank
    pixels. Padded patches (``image_valid`` of `AVEncoder`) are outside of the image for norms and
    convolutions, so that an image has the same tokens with and without padding.

    Args:
        dim: width of a token.
        patch: the two equal sides of a patch, a power of two.
        channels: channels of the input.
        width: channels after the first convolution, a multiple of 8. They double with each halving
            of the image.

    Raises:
        ValueError: if a number is out of range.

    Source: Xiao et al., "Early Convolutions Help Transformers See Better" (NeurIPS 2021), with a
    `ResidualConv` at each resolution, whose norms do not depend on the batch.

    Example:
        >>> import torch
        >>> ConvPatchEmbed(64, patch=(8, 8))(torch.zeros(2, 3, 32, 48)).shape
        torch.Size([2, 24, 64])
    """

    reads_across = True
    """Whether a token depends on other patches too: `ViT` then gives it the valid ones."""

    def __init__(
        self, dim: int, *, patch: tuple[int, ...] = (16, 16), channels: int = 3, width: int = 24
    ) -> None:
        super().__init__()
        require_positive(dim=dim, channels=channels, width=width)
        self.dim, self.patch, self.channels = dim, sides(patch, axes=2, name="patch"), channels
        side = self.patch[0]
        halvings = side.bit_length() - 1
        fits = len(set(self.patch)) == 1 and side == 2**halvings and halvings > 0
        require(fits, "patch", self.patch, "two equal sides, a power of two above 1")
        self.stride = self.patch
        widths = [width * 2**i for i in range(halvings)]
        self.stages = nn.ModuleList(
            [
                norm_conv(channels, width, stride=2),
                nn.ReLU(),
                ResidualConv(width, width),
                *(ResidualConv(w // 2, w, stride=2) for w in widths[1:]),
                ResidualConv(widths[-1], widths[-1]),
            ]
        )
        self.proj = nn.Conv2d(widths[-1], dim, kernel_size=1)

    def grid(self, x: Float[Tensor, "b c height width"]) -> tuple[int, ...]:
        """Patches along each axis of an input.

        Raises:
            ValueError: if the channels differ or a side is not a multiple of the patch's.
        """
        expect(input=(x, "b c height width"), c=self.channels)
        return grid_of(tuple(x.shape[2:]), self.patch)

    def forward(
        self,
        x: Float[Tensor, "b c height width"],
        *,
        ids_keep: Int64[Tensor, "b k"] | None = None,
        valid: Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b n_out d"]:
        """Embed all patches, or only those of ``ids_keep``, from the pixels of these alone.

        Args:
            x: images.
            ids_keep: indices of the patches to embed.
            valid: False at padded patches, whose tokens have no meaning.

        Raises:
            ValueError: if the input does not match the patch.
        """
        grid = self.grid(x)
        if ids_keep is not None:
            kept = x.new_zeros(x.shape[0], math.prod(grid)).scatter(1, ids_keep, 1.0)
            x = _blank(x, self._pixels(kept.bool(), grid))
        seen = None
        if valid is not None:
            expect(valid=(valid, "b n"), b=x.shape[0], n=math.prod(grid))
            seen = self._pixels(valid, grid)
            x = _blank(x, seen)
        first, relu, *blocks = self.stages
        x = relu(normed(cast(nn.ModuleList, first), x, seen=seen))
        for block in blocks:
            x = block(x, seen=seen)
        tokens = self.proj(x).flatten(2).transpose(1, 2)
        return tokens if ids_keep is None else gather_tokens(tokens, ids_keep)

    def _pixels(
        self, patches: Bool[Tensor, "b n"], grid: tuple[int, ...]
    ) -> Bool[Tensor, "b 1 height width"]:
        flags = patches.view(-1, 1, *grid)
        return flags.repeat_interleave(self.patch[0], 2).repeat_interleave(self.patch[1], 3)


def _blank(
    x: Float[Tensor, "b c height width"], pixels: Bool[Tensor, "b 1 height width"]
) -> Float[Tensor, "b c height width"]:
    """Set all other pixels to zero, also those that are not finite."""
    return x.masked_fill(~pixels, 0.0)

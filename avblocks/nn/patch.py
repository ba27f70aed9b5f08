"""Patches of images, spectrograms and video: patchify, unpatchify, embed."""

import math
from typing import Any

from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor, nn

from avblocks.nn.mask import gather_tokens
from avblocks.shapes import (
    expect,
    grid_of,
    require,
    require_positive,
    sides,
    strided_grid,
)


def _require_patch(patch: tuple[int, ...]) -> None:
    fits = isinstance(patch, tuple) and len(patch) in (2, 3) and min(patch) > 0
    require(fits, "patch", patch, "two or three positive sides")


def patchify(x: Float[Tensor, "b c *size"], *, patch: tuple[int, ...]) -> Float[Tensor, "b n v"]:
    """Cut an image ``(p, q)`` or a video ``(t, p, q)`` into patches, values in the order ``p q c``.

    Args:
        x: image, spectrogram or video.
        patch: sides of a patch, one per axis of ``size``.

    Returns:
        Patches in row-major order of the grid, ``v = prod(patch) * c`` values each.

    Raises:
        ValueError: if a side of ``x`` is not a multiple of the patch's.

    Example:
        >>> import torch
        >>> patchify(torch.zeros(2, 3, 32, 48), patch=(16, 16)).shape
        torch.Size([2, 6, 768])
    """
    _require_patch(patch)
    grid_of(tuple(x.shape[2:]), patch)
    if len(patch) == 2:
        p, q = patch
        return rearrange(x, "b c (i p) (j q) -> b (i j) (p q c)", p=p, q=q)
    t, p, q = patch
    return rearrange(x, "b c (k t) (i p) (j q) -> b (k i j) (t p q c)", t=t, p=p, q=q)


def unpatchify(
    patches: Float[Tensor, "b n v"], *, patch: tuple[int, ...], grid: tuple[int, ...]
) -> Float[Tensor, "b c *size"]:
    """Reassemble patches, the exact inverse of `patchify`.

    Args:
        patches: patches in row-major order of the grid.
        patch: sides of a patch.
        grid: patches along each axis.

    Raises:
        ValueError: if ``patch`` does not have two or three sides, or ``grid`` a different number.
        einops.EinopsError: if the number of patches or of values does not match.
    """
    _require_patch(patch)
    if len(patch) == 2:
        (p, q), (i, j) = patch, grid
        return rearrange(patches, "b (i j) (p q c) -> b c (i p) (j q)", p=p, q=q, i=i, j=j)
    (t, p, q), (k, i, j) = patch, grid
    return rearrange(
        patches, "b (k i j) (t p q c) -> b c (k t) (i p) (j q)", t=t, p=p, q=q, k=k, i=i, j=j
    )


class PatchEmbed(nn.Module):
    """Linear embedding of patches: 2-D for images and spectrograms, 3-D for video tubelets.

    Only the patches of ``ids_keep`` are embedded, so masked patches need no computation.

    Args:
        dim: width of a token.
        patch: sides of a patch; two numbers make a 2-D, three a 3-D embedder.
        channels: channels of the input.
        stride: steps from patch to patch; ``None`` means ``patch``. With smaller steps, patches
            overlap (AST: 10), and a rest at the end of an axis is dropped.

    Raises:
        ValueError: if a number is not positive, ``patch`` does not have two or three sides, or
            ``stride`` has a different number of them.

    Example:
        >>> import torch
        >>> PatchEmbed(64, patch=(16, 16), channels=1)(torch.zeros(2, 1, 128, 192)).shape
        torch.Size([2, 96, 64])
    """

    def __init__(
        self,
        dim: int,
        *,
        patch: tuple[int, ...] = (16, 16),
        channels: int = 3,
        stride: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        require_positive(dim=dim, channels=channels)
        _require_patch(patch)
        self.dim, self.patch, self.channels = dim, tuple(patch), channels
        steps = patch if stride is None else stride
        self.stride = sides(steps, axes=len(patch), name="stride")
        conv = nn.Conv2d if len(patch) == 2 else nn.Conv3d
        kernel: Any = self.patch  # as many sides as the convolution has axes
        step: Any = self.stride
        self.proj = conv(channels, dim, kernel_size=kernel, stride=step)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialize like a linear layer over flattened patches (MAE)."""
        weight = self.proj.weight  # in any memory format, such as channels_last
        bound = math.sqrt(3.0) * math.sqrt(2.0 / (weight[0].numel() + len(weight)))
        nn.init.uniform_(weight, -bound, bound)
        if self.proj.bias is not None:
            nn.init.zeros_(self.proj.bias)

    def grid(self, x: Float[Tensor, "b c *size"]) -> tuple[int, ...]:
        """Patches along each axis of an input.

        Raises:
            ValueError: if the channels differ or a side is not a multiple of the patch's.
        """
        axes = "b c height width" if len(self.patch) == 2 else "b c t height width"
        expect(input=(x, axes), c=self.channels)
        return strided_grid(tuple(x.shape[2:]), self.patch, stride=self.stride)

    def forward(
        self, x: Float[Tensor, "b c *size"], *, ids_keep: Int64[Tensor, "b k"] | None = None
    ) -> Float[Tensor, "b n d"]:
        """Embed all patches, or only those of ``ids_keep``.

        Returns:
            Tokens in row-major order of the grid, or in the order of ``ids_keep``.

        Raises:
            ValueError: if the input does not match the patch, or ``ids_keep`` the input.
        """
        self.grid(x)
        remedy = "floating: scale and normalize its values first, as FrontEnd does"
        require(x.is_floating_point(), "input", x.dtype, remedy)
        if ids_keep is not None and self.stride == self.patch:
            x = _side_by_side(gather_tokens(patchify(x, patch=self.patch), ids_keep), self.patch)
            ids_keep = None
        tokens = self.proj(x).flatten(2).transpose(1, 2)
        return tokens if ids_keep is None else gather_tokens(tokens, ids_keep)


def _side_by_side(
    patches: Float[Tensor, "b n v"], patch: tuple[int, ...]
) -> Float[Tensor, "b c *size"]:
    """Arrange patches in one row, as an input of the convolution."""
    return unpatchify(patches, patch=patch, grid=(1,) * (len(patch) - 1) + (patches.shape[1],))

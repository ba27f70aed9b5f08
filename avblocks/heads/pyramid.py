"""Feature pyramid over tokens of several depths, each level conditioned on the other modality."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.heads.unet import ConvPair, kaiming
from avblocks.shapes import require, require_positive


def kaiming_unbiased(*convolutions: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Kaiming-normal weights and zero biases, as in the reference."""
    kaiming(*convolutions)
    for convolution in convolutions:
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)


class Rise(nn.Module):
    """Upsample a map by a transposed convolution and merge it with others of the new size.

    Args:
        channels: channels of the map, at least ``factor``; ``channels // factor`` after it.
        width: channels of the output.
        joins: total channels of the maps that are merged in.
        factor: factor of the upsampling.

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> rise = Rise(8, width=6, joins=3)
        >>> rise(torch.zeros(2, 8, 2, 3), torch.zeros(2, 3, 4, 6)).shape
        torch.Size([2, 6, 4, 6])
    """

    def __init__(self, channels: int, *, width: int, joins: int = 0, factor: int = 2) -> None:
        super().__init__()
        require_positive(factor=factor)
        require(channels >= factor, "channels", channels, f"at least the factor {factor}")
        kept = channels // factor
        self.up = nn.ConvTranspose2d(channels, kept, kernel_size=factor, stride=factor)
        self.conv = ConvPair(kept + joins, out_channels=width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Kaiming-normal weights, zero bias."""
        kaiming_unbiased(self.up)

    def forward(
        self, x: Float[Tensor, "b c height width"], *joins: Float[Tensor, "b _ rise_h rise_w"]
    ) -> Float[Tensor, "b d rise_h rise_w"]:
        """The upsampled map, merged with the others."""
        return self.conv(torch.cat((self.up(x), *joins), dim=1))


class Pyramid(nn.Module):
    """Upsampling feature pyramid over token maps of several depths, all of the same grid.

    The first map is the coarsest level. Each further map is upsampled to twice the sides of the
    level before, and merged with the condition of its level (one vector for the whole map) and the
    output of the level before. The deepest tokens enter at the finest level (reference,
    ``models/avsegm.py``).

    Args:
        dim: width of the tokens.
        widths: channels of each level, and of its condition, from the top down.

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> pyramid = Pyramid(16, widths=(16, 8, 4))
        >>> maps = [torch.zeros(2, 16, 2, 3)] * 3
        >>> conditions = [torch.zeros(2, width) for width in (16, 8, 4)]
        >>> pyramid(maps, conditions=conditions).shape
        torch.Size([2, 4, 8, 12])
    """

    def __init__(self, dim: int, *, widths: Sequence[int]) -> None:
        super().__init__()
        require(len(widths) > 0, "widths", widths, "at least one level")
        self.dim, self.widths = dim, tuple(widths)
        self.top = ConvPair(dim + widths[0], out_channels=widths[0])
        self.laterals = nn.ModuleList(
            Rise(dim, width=width, factor=2**level) for level, width in enumerate(widths[1:], 1)
        )
        self.rises = nn.ModuleList(
            Rise(above, width=width, joins=2 * width) for above, width in pairwise(widths)
        )

    def forward(
        self,
        maps: Sequence[Float[Tensor, "b d height width"]],
        *,
        conditions: Sequence[Float[Tensor, "b _"]],
    ) -> Float[Tensor, "b c fine_h fine_w"]:
        """The map of the finest level.

        Raises:
            ValueError: if there is not one map and one condition for each level.
        """
        x = self.top(torch.cat((maps[0], _spread(conditions[0], maps[0])), dim=1))
        levels = zip(self.laterals, self.rises, maps[1:], conditions[1:], strict=True)
        for lateral, rise, tokens, condition in levels:
            side = lateral(tokens)
            x = rise(x, side, _spread(condition, side))
        return x


def _spread(
    condition: Float[Tensor, "b c"], over: Float[Tensor, "b _ height width"]
) -> Float[Tensor, "b c height width"]:
    return condition[:, :, None, None].expand(-1, -1, *over.shape[2:])

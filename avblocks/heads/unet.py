"""Parts of a U-Net over tokens: convolutions, upsampling, and conditioned laterals."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.nn.init import xavier
from avblocks.nn.norm import layer_norm
from avblocks.shapes import require, require_positive


def kaiming(*convolutions: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Kaiming-normal weights by fan-out, as in the reference."""
    for convolution in convolutions:
        if not convolution.weight.is_meta:  # there torch would import its compiler
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")


class ConvPair(nn.Module):
    """Two blocks of 3x3 convolution, batch norm and ReLU.

    Args:
        in_channels: channels of the input.
        out_channels: output channels of both convolutions.

    Raises:
        ValueError: if a number is not positive.

    Example:
        >>> ConvPair(8, out_channels=4)(torch.zeros(2, 8, 6, 5)).shape
        torch.Size([2, 4, 6, 5])
    """

    def __init__(self, in_channels: int, *, out_channels: int) -> None:
        super().__init__()
        require_positive(in_channels=in_channels, out_channels=out_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Kaiming-normal weights."""
        kaiming(self.conv1, self.conv2)

    def forward(self, x: Float[Tensor, "b c height width"]) -> Float[Tensor, "b out height width"]:
        """Apply both blocks; the size of the map does not change."""
        return self.norm2(self.conv2(self.norm1(self.conv1(x)).relu())).relu()


class Upscale(nn.Module):
    """Upsample a map by a factor, divide its channels by it, and merge it with another map.

    Args:
        channels: channels of the input, a multiple of ``factor``.
        factor: factor of the upsampling.
        skip_channels: channels of the map that is merged in, 0 for none.

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> up = Upscale(8, factor=2, skip_channels=6)
        >>> up(torch.zeros(2, 8, 3, 5), skip=torch.zeros(2, 6, 6, 10)).shape
        torch.Size([2, 4, 6, 10])
    """

    def __init__(self, channels: int, *, factor: int, skip_channels: int = 0) -> None:
        super().__init__()
        require_positive(channels=channels, factor=factor)
        require(channels % factor == 0, "channels", channels, f"a multiple of {factor}")
        require(skip_channels >= 0, "skip_channels", skip_channels, "0 or more")
        out = channels // factor
        self.up = nn.ConvTranspose2d(channels, out, factor, stride=factor)
        self.conv = ConvPair(out + skip_channels, out_channels=out)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Kaiming-normal weights."""
        kaiming(self.up)

    def forward(
        self,
        x: Float[Tensor, "b c height width"],
        *,
        skip: Float[Tensor, "b c_skip up_height up_width"] | None = None,
    ) -> Float[Tensor, "b out up_height up_width"]:
        """The upsampled map."""
        x = self.up(x)
        return self.conv(x if skip is None else torch.cat((x, skip), dim=1))


class Lateral(nn.Module):
    """Map of the tokens of one depth, ``factor`` times finer than their grid, with a condition.

    Args:
        dim: width of a token, a multiple of ``factor``.
        factor: factor of the upsampling; map and condition have ``dim // factor`` channels each.
        norm_eps: epsilon of the norm (reference: 1e-5).

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> lateral, condition = Lateral(32, factor=4), torch.zeros(2, 32)
        >>> lateral(torch.zeros(2, 6, 32), condition=condition, grid=(2, 3)).shape
        torch.Size([2, 16, 8, 12])
    """

    def __init__(self, dim: int, *, factor: int, norm_eps: float = 1e-5) -> None:
        super().__init__()
        self.norm = layer_norm(dim, norm_eps=norm_eps)
        self.up = nn.Identity() if factor == 1 else Upscale(dim, factor=factor)
        self.condition = nn.Linear(dim, dim // factor)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights."""
        xavier(self.condition)

    def forward(
        self,
        tokens: Float[Tensor, "b n d"],
        *,
        condition: Float[Tensor, "b d"],
        grid: tuple[int, int],
    ) -> Float[Tensor, "b c height width"]:
        """The map, concatenated with the condition at each position.

        Raises:
            einops.EinopsError: if the number of tokens does not match the grid.
        """
        x = rearrange(self.norm(tokens), "b (y x) d -> b d y x", y=grid[0], x=grid[1])
        x = self.up(x)
        beside = self.condition(condition)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return torch.cat((x, beside), dim=1)

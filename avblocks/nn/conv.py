"""Convolutions with standardized weights, and a residual block of them."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avblocks.nn.norm import GroupNorm
from avblocks.shapes import require, require_positive, sides


class StandardizedConv2d(nn.Module):
    """2-D convolution whose kernels have zero mean, and a variance of 1 over their size.

    Group norms of few images train slowly, and batch norms depend on the other images of the
    batch. With standardized weights, group norms train as fast as batch norms.

    It is not a `torch.nn.Conv2d`, whose output is linear in its weight. Tools that change weights,
    such as the adapters of peft (LoRA), would merge an adapter into kernels that are standardized
    afterwards, so that the merged layer is another one. They refuse this class instead: leave it
    out of their target modules, or list it among the modules to train (``modules_to_save``).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the kernels, or (height, width).
        stride: steps of the kernels.
        padding: zeros at each side of the input.
        dilation: steps within a kernel.
        groups: groups of channels that do not meet.
        bias: whether a bias is added.

    Raises:
        ValueError: if a number of channels is not a multiple of the groups, or a kernel is a single
            value, which standardization would turn into zero.

    Source: Qiao et al., "Micro-Batch Training with Batch-Channel Normalization and Weight
    Standardization" (2019); scaled by the size of the kernel as in Brock et al. (ICLR 2021).

    Example:
        >>> conv = StandardizedConv2d(3, 8, 3)
        >>> bool(conv.standardized().sum(dim=(1, 2, 3)).abs().max() < 1e-5)
        True
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        require_positive(in_channels=in_channels, out_channels=out_channels, groups=groups)
        for channels in (in_channels, out_channels):
            require(channels % groups == 0, "channels", channels, f"a multiple of {groups} groups")
        kernel = sides(kernel_size, axes=2, name="kernel_size")
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, *kernel))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.stride, self.padding = stride, padding
        self.dilation, self.groups = dilation, groups
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialize as `torch.nn.Conv2d` does."""
        values = self.weight.shape[1:].numel()
        require(values > 1, "kernel", values, "of more than one value")
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -(values**-0.5), values**-0.5)

    def extra_repr(self) -> str:
        """Sizes and numbers, as they are printed."""
        numbers = ("stride", "padding", "dilation", "groups")
        shown = ", ".join(f"{name}={getattr(self, name)}" for name in numbers)
        return f"{tuple(self.weight.shape)}, {shown}, bias={self.bias is not None}"

    def standardized(self) -> Float[Tensor, "out per_group height width"]:
        """The kernels that are applied."""
        kernels = self.weight.flatten(1)
        var, mean = torch.var_mean(kernels, dim=1, correction=0, keepdim=True)
        scale = (var * kernels.shape[1] + _EPS).rsqrt()
        return ((kernels - mean) * scale).view_as(self.weight)

    def forward(
        self, x: Float[Tensor, "b channels height width"]
    ) -> Float[Tensor, "b out rows columns"]:
        """Apply the standardized kernels."""
        numbers = (self.stride, self.padding, self.dilation, self.groups)
        return F.conv2d(x, self.standardized(), self.bias, *numbers)


class ResidualConv(nn.Module):
    """Two 3x3 convolutions beside a shortcut, with group norms.

    Args:
        channels: channels of the input.
        width: channels of the output, a multiple of 8.
        stride: 2 to halve the image.

    Raises:
        ValueError: if a number is not positive, the width not a multiple of 8, or a shortcut from
            one channel needs weights.

    Source: He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), with group norms
    and `StandardizedConv2d`.

    Example:
        >>> ResidualConv(8, 16, stride=2)(torch.zeros(1, 8, 6, 6)).shape
        torch.Size([1, 16, 3, 3])
    """

    def __init__(self, channels: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        require_positive(channels=channels, width=width, stride=stride)
        self.first = norm_conv(channels, width, stride=stride)
        self.second = norm_conv(width, width)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and channels == width
            else StandardizedConv2d(channels, width, kernel_size=1, stride=stride, bias=False)
        )

    def forward(
        self, x: Float[Tensor, "b c h w"], *, seen: Bool[Tensor, "b 1 height width"] | None = None
    ) -> Float[Tensor, "b d rows columns"]:
        """Apply the block; with ``seen`` as in `GroupNorm`, to an input that is zero elsewhere."""
        hidden = F.relu(normed(self.first, x, seen=seen))
        return F.relu(normed(self.second, hidden, seen=seen) + self.shortcut(x))


def norm_conv(channels: int, width: int, *, stride: int = 1) -> nn.ModuleList:
    """3x3 convolution and group norm, for `normed`."""
    conv = StandardizedConv2d(channels, width, 3, stride=stride, padding=1, bias=False)
    return nn.ModuleList([conv, GroupNorm(GROUPS, width)])


def normed(
    parts: nn.ModuleList,
    x: Float[Tensor, "b c h w"],
    *,
    seen: Bool[Tensor, "b 1 height width"] | None = None,
) -> Float[Tensor, "b d rows columns"]:
    """Apply a convolution and its norm over the pixels that are seen."""
    conv, norm = parts
    return norm(conv(x), seen=seen)


GROUPS = 8
_EPS = 1e-4

"""Convolutions with standardized weights, and a residual block of them."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.shapes import require, require_positive


class StandardizedConv2d(nn.Conv2d):
    """2-D convolution whose kernels have zero mean, and a variance of 1 over their size.

    Group norms of few images train slowly, and batch norms depend on the other images of the
    batch. With standardized weights, group norms train as fast as batch norms. The arguments are
    those of `torch.nn.Conv2d`.

    Raises:
        ValueError: if a kernel is a single value, which standardization would turn into zero.

    Source: Qiao et al., "Micro-Batch Training with Batch-Channel Normalization and Weight
    Standardization" (2019); scaled by the size of the kernel as in Brock et al. (ICLR 2021).

    Example:
        >>> conv = StandardizedConv2d(3, 8, 3)
        >>> bool(conv.standardized().sum(dim=(1, 2, 3)).abs().max() < 1e-5)
        True
    """

    def reset_parameters(self) -> None:
        """Initialize as `torch.nn.Conv2d` does, which calls this."""
        values = self.weight.shape[1:].numel()
        require(values > 1, "kernel", values, "of more than one value")
        super().reset_parameters()

    def standardized(self) -> Float[Tensor, "out per_group height width"]:
        """The kernels that are applied."""
        kernels = self.weight.flatten(1)
        var, mean = torch.var_mean(kernels, dim=1, correction=0, keepdim=True)
        scale = (var * kernels.shape[1] + _EPS).rsqrt()
        return ((kernels - mean) * scale).view_as(self.weight)

    def forward(
        self, input: Float[Tensor, "b channels height width"]
    ) -> Float[Tensor, "b out rows columns"]:
        """Apply the standardized kernels."""
        return self._conv_forward(input, self.standardized(), self.bias)


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

    def forward(self, x: Float[Tensor, "b c height width"]) -> Float[Tensor, "b d rows columns"]:
        """Apply the block."""
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


def norm_conv(channels: int, width: int, *, stride: int = 1) -> nn.Sequential:
    """3x3 convolution and group norm."""
    require(width % GROUPS == 0, "width", width, f"a multiple of {GROUPS}")
    return nn.Sequential(
        StandardizedConv2d(channels, width, 3, stride=stride, padding=1, bias=False),
        nn.GroupNorm(GROUPS, width),
    )


GROUPS = 8
_EPS = 1e-4

"""Layer norms of a checked width and epsilon, and group norms that leave padding out."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avblocks.shapes import require, require_above_zero, require_positive


def layer_norm(dim: int, *, norm_eps: float) -> nn.LayerNorm:
    """A layer norm over the width of a token.

    Raises:
        ValueError: if the width is not a positive integer or the epsilon not above zero.

    Example:
        >>> layer_norm(64, norm_eps=1e-6)
        LayerNorm((64,), eps=1e-06, elementwise_affine=True, bias=True)
    """
    require_positive(dim=dim)
    require_above_zero(norm_eps=norm_eps)
    return nn.LayerNorm(dim, eps=norm_eps)


class GroupNorm(nn.Module):
    """Group norm of feature maps; with a mask, over the pixels of the mask, and zero elsewhere.

    Without a mask it is `torch.nn.GroupNorm`.

    Args:
        groups: groups of channels.
        width: channels, a multiple of the groups.
        norm_eps: epsilon of the norm.

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> x = torch.tensor([1.0, 3.0, 9.0]).expand(1, 2, 1, 3)
        >>> GroupNorm(2, 2)(x, seen=torch.tensor([[[[True, True, False]]]]))[0, 0].round()
        tensor([[-1.,  1.,  0.]], grad_fn=<RoundBackward0>)
    """

    def __init__(self, groups: int, width: int, *, norm_eps: float = 1e-5) -> None:
        super().__init__()
        require_positive(groups=groups, width=width)
        require_above_zero(norm_eps=norm_eps)
        require(width % groups == 0, "width", width, f"a multiple of {groups}")
        self.groups, self.norm_eps = groups, norm_eps
        self.weight, self.bias = nn.Parameter(torch.empty(width)), nn.Parameter(torch.empty(width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Ones and zeros."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(
        self, x: Float[Tensor, "b c h w"], *, seen: Bool[Tensor, "b 1 height width"] | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Normalize each group of channels.

        Args:
            x: feature maps.
            seen: pixels that count; of the same size, or larger by a whole factor.
        """
        if seen is None:
            return F.group_norm(x, self.groups, self.weight, self.bias, self.norm_eps)
        step = seen.shape[2] // x.shape[2]
        inside = seen[:, None, :, ::step, ::step]
        groups = x.to(torch.promote_types(x.dtype, torch.float32)).unflatten(1, (self.groups, -1))
        axes, count = (2, 3, 4), inside.sum((2, 3, 4), keepdim=True) * groups.shape[2]
        centered = groups - (groups * inside).sum(axes, keepdim=True) / count.clamp(min=1)
        variance = (centered.square() * inside).sum(axes, keepdim=True) / count.clamp(min=1)
        scaled = (centered * (variance + self.norm_eps).rsqrt()).flatten(1, 2)
        y = scaled * self.weight[:, None, None] + self.bias[:, None, None]
        return (y * inside[:, 0]).to(x.dtype)

"""Layer norms of a checked width and epsilon."""

from torch import nn

from avblocks.shapes import require_above_zero, require_positive


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

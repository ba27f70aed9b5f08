"""The pre-norm transformer block."""

from jaxtyping import Float
from torch import Tensor, nn

from avblocks.nn.attention import Attention
from avblocks.nn.drop import DropPath
from avblocks.nn.mlp import Mlp
from avblocks.nn.norm import layer_norm


class Block(nn.Module):
    """Pre-norm attention and MLP, each with a residual; early fusion enters through ``context``.

    Args:
        dim: width of a token.
        num_heads: number of heads, a divisor of ``dim``.
        mlp_ratio: hidden width of the MLP as a multiple of ``dim``.
        qkv_bias: whether queries, keys and values have a bias.
        drop_path: share of the samples whose residual branches are dropped in training.
        norm_eps: epsilon of the norms (MAE's ViT: 1e-6).

    Raises:
        ValueError: if a number is impossible.

    Example:
        >>> import torch
        >>> block = Block(64, num_heads=4)
        >>> block(torch.zeros(2, 10, 64), context=torch.zeros(2, 32, 64)).shape
        torch.Size([2, 10, 64])
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        drop_path: float = 0.0,
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.norm1 = layer_norm(dim, norm_eps=norm_eps)
        self.attn = Attention(dim, num_heads=num_heads, qkv_bias=qkv_bias)
        self.norm2 = layer_norm(dim, norm_eps=norm_eps)
        self.mlp = Mlp(dim, ratio=mlp_ratio)
        self.drop_path = DropPath(drop_path)

    def forward(
        self, x: Float[Tensor, "b n d"], *, context: Float[Tensor, "b n_c d"] | None = None
    ) -> Float[Tensor, "b n d"]:
        """Attend over ``[context; x]`` and update ``x`` alone."""
        normed = None if context is None else self.norm1(context)
        x = x + self.drop_path(self.attn(self.norm1(x), context=normed))
        return x + self.drop_path(self.mlp(self.norm2(x)))

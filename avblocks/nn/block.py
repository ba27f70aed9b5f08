"""The transformer block."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from avblocks.nn.attention import Attention
from avblocks.nn.drop import DropPath
from avblocks.nn.mlp import Mlp
from avblocks.nn.norm import layer_norm
from avblocks.shapes import given, require


class Block(nn.Module):
    """Transformer block: attention and MLP, each with norm and residual.

    Early fusion passes the fusion tokens as ``context``. Parts that are not given are those of
    MAE's ViT. A part may be shared by several blocks.

    Args:
        dim: width of a token.
        num_heads: heads of the default attention, a divisor of ``dim``.
        mlp_ratio: hidden width of the default MLP as a multiple of ``dim``.
        qkv_bias: whether queries, keys and values of the default attention have a bias.
        drop_path: fraction of the samples whose residual branches are dropped in training.
        norm_eps: epsilon of the default norms (MAE's ViT: 1e-6).
        norm1: norm of the attention.
        attn: attention, with the signature of `Attention`.
        norm2: norm of the MLP.
        mlp: MLP, such as `SwiGLU`.
        ls1: layer scale of the attention's branch, such as `LayerScale`.
        ls2: layer scale of the MLP's branch.
        post_norm: normalize after each residual (BERT, data2vec 2) and not in each branch.

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> import torch
        >>> block = Block(64, num_heads=4, norm1=nn.RMSNorm(64), norm2=nn.RMSNorm(64))
        >>> block(torch.zeros(2, 10, 64), context=torch.zeros(2, 32, 64)).shape
        torch.Size([2, 10, 64])
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int | None = None,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        drop_path: float = 0.0,
        norm_eps: float = 1e-6,
        norm1: nn.Module | None = None,
        attn: nn.Module | None = None,
        norm2: nn.Module | None = None,
        mlp: nn.Module | None = None,
        ls1: nn.Module | None = None,
        ls2: nn.Module | None = None,
        post_norm: bool = False,
    ) -> None:
        super().__init__()
        self.dim, self.post_norm = dim, post_norm
        if attn is None:
            require(num_heads is not None, "num_heads", num_heads, "given where no attn is")
            attn = Attention(dim, num_heads=num_heads or 0, qkv_bias=qkv_bias)
        self.norm1 = layer_norm(dim, norm_eps=norm_eps) if norm1 is None else norm1
        self.attn = attn
        self.ls1 = nn.Identity() if ls1 is None else ls1
        self.norm2 = layer_norm(dim, norm_eps=norm_eps) if norm2 is None else norm2
        self.mlp = Mlp(dim, ratio=mlp_ratio) if mlp is None else mlp
        self.ls2 = nn.Identity() if ls2 is None else ls2
        self.drop_path = DropPath(drop_path)

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        *,
        context: Float[Tensor, "b n_c d"] | None = None,
        valid: Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """Attend over the context and the ``valid`` tokens of ``x``, and update ``x``."""
        if self.post_norm:
            read = self.attn(x, context=context, **given(valid=valid))
            x = self.norm1(x + self._branch(self.ls1, read))
            return self.norm2(x + self._branch(self.ls2, self.mlp(x)))
        normed = None if context is None else self.norm1(context)
        read = self.attn(self.norm1(x), context=normed, **given(valid=valid))
        x = x + self._branch(self.ls1, read)
        return x + self._branch(self.ls2, self.mlp(self.norm2(x)))

    def _branch(self, scale: nn.Module, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        return self.drop_path(scale(x))

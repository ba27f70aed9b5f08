"""Blocks of a decoder whose tokens cross-attend to encoder tokens, without self-attention."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avblocks.nn.attention import CrossAttention
from avblocks.nn.init import normal
from avblocks.nn.mlp import Mlp
from avblocks.nn.norm import layer_norm
from avblocks.shapes import require, require_positive


class ReadingBlock(nn.Module):
    """Cross-attention to tokens of another width, and an MLP, each with norm and residual.

    Args:
        dim: width of the query tokens.
        source_dim: width of the source tokens.
        num_heads: heads of the attention.
        mlp_ratio: hidden width of the MLP as a multiple of ``dim``.
        norm_eps: epsilon of the norms.

    Example:
        >>> block = ReadingBlock(32, source_dim=64, num_heads=4)
        >>> block(torch.zeros(2, 6, 32), torch.zeros(2, 20, 64)).shape
        torch.Size([2, 6, 32])
    """

    def __init__(
        self,
        dim: int,
        *,
        source_dim: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.norm1 = layer_norm(dim, norm_eps=norm_eps)
        self.cross_attn = CrossAttention(dim, num_heads=num_heads, source_dim=source_dim)
        self.norm2 = layer_norm(dim, norm_eps=norm_eps)
        self.mlp = Mlp(dim, ratio=mlp_ratio)

    def forward(
        self,
        x: Float[Tensor, "b u d"],
        source: Float[Tensor, "b n d_s"],
        *,
        valid: Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b u d"]:
        """Update ``x`` from the ``valid`` tokens of ``source``."""
        x = x + self.cross_attn(self.norm1(x), source, valid=valid)
        return x + self.mlp(self.norm2(x))


class LayerMixture(nn.Module):
    """Weighted sums of the layers of an encoder, one for each block of a decoder, each with a norm.

    Args:
        num_layers: layers of the encoder, including the input of the first one.
        readers: number of sums, one per block of the decoder.
        dim: width of the encoder's tokens.
        norm_eps: epsilon of the norms.

    Source: CrossMAE (TMLR 2025).

    Example:
        >>> mixture = LayerMixture(3, readers=2, dim=8)
        >>> [x.shape for x in mixture([torch.zeros(2, 5, 8)] * 3)]
        [torch.Size([2, 5, 8]), torch.Size([2, 5, 8])]
    """

    def __init__(self, num_layers: int, *, readers: int, dim: int, norm_eps: float = 1e-6) -> None:
        super().__init__()
        require_positive(num_layers=num_layers, readers=readers, dim=dim)
        self.linear = nn.Linear(num_layers, readers, bias=False)
        self.norms = nn.ModuleList(layer_norm(dim, norm_eps=norm_eps) for _ in range(readers))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights of the layers from a normal distribution."""
        normal(self.linear.weight, std=self.linear.in_features**-0.5)

    def forward(self, layers: Sequence[Float[Tensor, "b n d"]]) -> list[Float[Tensor, "b n d"]]:
        """Compute the weighted sums of the layers.

        Raises:
            ValueError: if the number of layers differs.
        """
        count = self.linear.in_features
        require(len(layers) == count, "layers", len(layers), "the mixture's {}", count)
        sums = self.linear(torch.stack(list(layers), dim=-1)).unbind(dim=-1)
        return [norm(x) for norm, x in zip(self.norms, sums, strict=True)]

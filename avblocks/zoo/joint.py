"""Joint layers of the CAV-MAE family: one attention and MLP with three sets of norms."""

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avblocks.fusion.layer import FusionLayer
from avblocks.nn.attention import Attention
from avblocks.nn.init import normal
from avblocks.nn.mlp import Mlp
from avblocks.nn.norm import layer_norm
from avblocks.nn.position import LearnedPosition
from avblocks.nn.sincos import sincos_position
from avblocks.tokens import AVTokens, joined_valid

Kind = Literal["both", "image", "audio"]
"""Set of norms: of both modalities together, or of one alone."""


class ModalityNorm(nn.Module):
    """A layer norm for both modalities together and one for each alone.

    Example:
        >>> ModalityNorm(8)(torch.zeros(2, 5, 8), "audio").shape
        torch.Size([2, 5, 8])
    """

    def __init__(self, dim: int, *, norm_eps: float = 1e-5) -> None:
        super().__init__()
        self.both = layer_norm(dim, norm_eps=norm_eps)
        self.image = layer_norm(dim, norm_eps=norm_eps)
        self.audio = layer_norm(dim, norm_eps=norm_eps)

    def forward(self, x: Float[Tensor, "b n d"], kind: Kind) -> Float[Tensor, "b n d"]:
        """Normalize tokens with the norm of a kind."""
        norms = {"both": self.both, "image": self.image, "audio": self.audio}
        return norms[kind](x)


class ModalityPosition(nn.Module):
    """Learned positions, initialized with sine-cosine positions, plus one vector per modality.

    Args:
        dim: width of a token.
        grid: default number of patches along each axis.

    Example:
        >>> ModalityPosition(32, grid=(8, 5))((8, 5)).shape
        torch.Size([40, 32])
    """

    def __init__(self, dim: int, *, grid: tuple[int, ...]) -> None:
        super().__init__()
        self.dim, self.grid = dim, tuple(grid)
        self.position = LearnedPosition(dim, grid=grid)
        self.modality = nn.Parameter(torch.empty(dim))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Sine-cosine positions; normal vector with a standard deviation of 0.02."""
        self.position.table.copy_(sincos_position(self.dim, self.grid))
        normal(self.modality)

    def forward(self, grid: tuple[int, ...]) -> Float[Tensor, "n d"]:
        """Positions of ``grid`` in its row-major order."""
        return self.position(grid) + self.modality


class JointLayer(FusionLayer):
    """Attention and MLP over the tokens of both modalities, or of a single modality.

    Args:
        dim: width of a token.
        num_heads: heads of the attention.
        mlp_ratio: hidden width of the MLP as a multiple of ``dim``.
        norm_eps: epsilon of the norms.
        alone: whether a single modality passes the layer; else its tokens are not changed.

    Source: CAV-MAE (ICLR 2023), ``Block`` of ``cav_mae.py``.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        mlp_ratio: float = 4.0,
        norm_eps: float = 1e-5,
        alone: bool = True,
    ) -> None:
        super().__init__()
        self.dim, self.alone = dim, alone
        self.norm1 = ModalityNorm(dim, norm_eps=norm_eps)
        self.attn = Attention(dim, num_heads=num_heads)
        self.norm2 = ModalityNorm(dim, norm_eps=norm_eps)
        self.mlp = Mlp(dim, ratio=mlp_ratio)

    def run(
        self, x: Float[Tensor, "b n d"], kind: Kind, valid: Bool[Tensor, "b n"] | None = None
    ) -> Float[Tensor, "b n d"]:
        """Update tokens with one of the sets of norms, reading the ``valid`` ones."""
        x = x + self.attn(self.norm1(x, kind), valid=valid)
        return x + self.mlp(self.norm2(x, kind))

    def forward(
        self, tokens: AVTokens, *, image: nn.Module | None, audio: nn.Module | None
    ) -> AVTokens:
        """Update both modalities together, or the one that is given."""
        v, a = tokens.image, tokens.audio
        if v is not None and a is not None:
            x = self.run(torch.cat((v, a), dim=1), "both", joined_valid(tokens))
            return replace(tokens, image=x[:, : v.shape[1]], audio=x[:, v.shape[1] :])
        if not self.alone:
            return tokens
        if v is not None:
            return replace(tokens, image=self.run(v, "image", tokens.image_valid))
        assert a is not None  # an encoder embeds at least one
        return replace(tokens, audio=self.run(a, "audio", tokens.audio_valid))


class JointNorm(FusionLayer):
    """Final norm of the tokens of both modalities, or of a single modality.

    Args:
        dim: width of a token.
        norm_eps: epsilon of the norms.
    """

    def __init__(self, dim: int, *, norm_eps: float = 1e-5) -> None:
        super().__init__()
        self.dim = dim
        self.norm = ModalityNorm(dim, norm_eps=norm_eps)

    def run(self, x: Float[Tensor, "b n d"], kind: Kind) -> Float[Tensor, "b n d"]:
        """Normalize tokens by one of the norms."""
        return self.norm(x, kind)

    def forward(
        self, tokens: AVTokens, *, image: nn.Module | None, audio: nn.Module | None
    ) -> AVTokens:
        """Normalize the tokens of the given modalities."""
        v, a = tokens.image, tokens.audio
        return replace(
            tokens,
            image=None if v is None else self.run(v, "image" if a is None else "both"),
            audio=None if a is None else self.run(a, "audio" if v is None else "both"),
        )

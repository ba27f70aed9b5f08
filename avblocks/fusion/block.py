"""The fusion block: norms, an interaction, a residual and an MLP."""

from typing import Protocol

from torch import nn

from avblocks.fusion.attention import Attends, FusionAttention
from avblocks.nn.drop import DropPath
from avblocks.nn.mlp import Mlp
from avblocks.nn.norm import layer_norm
from avblocks.shapes import expect
from avblocks.tokens import ALL, AudioTokens, FusionTokens, ImageTokens, Valid


class Fusion(Protocol):
    """Protocol of a fusion of fusion tokens with two modalities, either of them optional.

    The modalities are keyword-only, so that they cannot be swapped by position. A fusion that
    supports padding has an additional argument, ``valid: Valid``.
    """

    def __call__(
        self, fusion: FusionTokens, *, image: ImageTokens, audio: AudioTokens
    ) -> FusionTokens:
        """The update of the fusion tokens, without a residual."""
        ...


class FusionBlock(nn.Module):
    """Norms, interaction, residual and MLP around one of the fusions.

    The output of the interaction is added to the *normalized* fusion tokens, as in the reference,
    whose released weights require it. The MLP after it is pre-norm.

    Args:
        dim: width of a token.
        interaction: a module with the signature of `Fusion`.
        mlp_ratio: hidden width of the MLP as a multiple of ``dim`` (VGGSound 1.0, AudioSet 4.0).
        drop_path: fraction of the samples whose residual branches are dropped in training.
        norm_eps: epsilon of the norms (reference: 1e-5).

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> import torch
        >>> from avblocks import TokenFusion
        >>> block = FusionBlock(64, interaction=TokenFusion(64, num_heads=4))
        >>> tokens = torch.zeros(2, 16, 64)
        >>> block(tokens, image=torch.zeros(2, 196, 64), audio=torch.zeros(2, 96, 64)).shape
        torch.Size([2, 16, 64])
    """

    def __init__(
        self,
        dim: int,
        *,
        interaction: nn.Module,
        mlp_ratio: float = 1.0,
        drop_path: float = 0.0,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.norm_fusion = layer_norm(dim, norm_eps=norm_eps)
        self.norm_image = layer_norm(dim, norm_eps=norm_eps)
        self.norm_audio = layer_norm(dim, norm_eps=norm_eps)
        self.interaction = interaction
        self.norm_mlp = layer_norm(dim, norm_eps=norm_eps)
        self.mlp = Mlp(dim, ratio=mlp_ratio)
        self.drop_path = DropPath(drop_path)

    def forward(
        self, fusion: FusionTokens, *, image: ImageTokens, audio: AudioTokens, valid: Valid = ALL
    ) -> FusionTokens:
        """The fusion tokens after the block."""
        fusion = self.norm_fusion(fusion)
        read = self.interaction(
            fusion,
            image=None if image is None else self.norm_image(image),
            audio=None if audio is None else self.norm_audio(audio),
            **({} if valid is ALL else {"valid": valid}),
        )
        expect(fusion=(fusion, "b n_f d"), read=(read, "b n_f d"))
        fusion = fusion + self.drop_path(read)
        return fusion + self.drop_path(self.mlp(self.norm_mlp(fusion)))

    def attention(
        self, fusion: FusionTokens, *, image: ImageTokens, audio: AudioTokens, valid: Valid = ALL
    ) -> FusionAttention:
        """Attention weights of the fusion tokens over the tokens of both modalities.

        Raises:
            ValueError: if the interaction has no method ``attention``.
        """
        if not isinstance(self.interaction, Attends):
            name = type(self.interaction).__name__
            raise ValueError(f"{name} has no method `attention` to compute its maps with")
        return self.interaction.attention(
            self.norm_fusion(fusion),
            image=None if image is None else self.norm_image(image),
            audio=None if audio is None else self.norm_audio(audio),
            **({} if valid is ALL else {"valid": valid}),
        )

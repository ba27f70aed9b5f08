"""Fusions: their call signature, their base class, and the block around one of them."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from avblocks.nn.drop import DropPath
from avblocks.nn.mlp import Mlp
from avblocks.nn.norm import layer_norm
from avblocks.shapes import expect
from avblocks.tokens import ALL, AudioTokens, AVTokens, FusionTokens, ImageTokens, Valid, sources

R = TypeVar("R", covariant=True)


@runtime_checkable
class Reads(Protocol[R]):
    """Protocol of a function of the fusion tokens and two modalities, either of them optional.

    The modalities are keyword-only, so that they cannot be swapped by position. A fusion that
    supports padding has an additional argument, ``valid: Valid``.
    """

    def __call__(self, fusion: FusionTokens, *, image: ImageTokens, audio: AudioTokens) -> R:
        """Return the update of the fusion tokens without a residual, or their attention maps."""
        ...


class Fusion(Reads[FusionTokens], Protocol):
    """Protocol of a fusion: it returns the update of the fusion tokens, without a residual."""


@dataclass(frozen=True)
class FusionAttention:
    """Attention weights of the fusion tokens over image and audio tokens, ``None`` if missing.

    Attributes:
        image: weights of the image tokens, for each head.
        audio: weights of the audio tokens, for each head.
    """

    image: Float[Tensor, "b h n_f n_v"] | None
    audio: Float[Tensor, "b h n_f n_a"] | None


@runtime_checkable
class Attends(Protocol):
    """Protocol of a fusion with attention maps; all three fusions of the package have them."""

    @property
    def attention(self) -> Reads[FusionAttention]:
        """Method that returns the attention weights of the fusion tokens."""
        ...


class Interaction(nn.Module):
    """Base class of the fusions of the package: the arguments of a call become `AVTokens`.

    Subclasses define `fuse` and `maps`. Your own fusion does not need this class: any module with
    the call signature of `Fusion` is one.
    """

    def forward(
        self, fusion: FusionTokens, *, image: ImageTokens, audio: AudioTokens, valid: Valid = ALL
    ) -> FusionTokens:
        """Fusion tokens after `fuse`."""
        padding = {"image_valid": valid.image, "audio_valid": valid.audio}
        return self.fuse(AVTokens(image=image, audio=audio, fusion=fusion, **padding))

    def attention(
        self, fusion: FusionTokens, *, image: ImageTokens, audio: AudioTokens, valid: Valid = ALL
    ) -> FusionAttention:
        """Attention weights of the fusion tokens over the tokens of both modalities."""
        padding = {"image_valid": valid.image, "audio_valid": valid.audio}
        return self.maps(AVTokens(image=image, audio=audio, fusion=fusion, **padding))

    @abstractmethod
    def fuse(self, tokens: AVTokens) -> FusionTokens:
        """The result of a call."""

    @abstractmethod
    def maps(self, tokens: AVTokens) -> FusionAttention:
        """The result of `attention`."""


class FusionBlock(Interaction):
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

    def fuse(self, tokens: AVTokens) -> FusionTokens:
        """The fusion tokens after the block."""
        tokens = self._normed(tokens)
        read = self.interaction(tokens.fusion, **sources(tokens))
        expect(fusion=(tokens.fusion, "b n_f d"), read=(read, "b n_f d"))
        fusion = tokens.fusion + self.drop_path(read)
        return fusion + self.drop_path(self.mlp(self.norm_mlp(fusion)))

    def maps(self, tokens: AVTokens) -> FusionAttention:
        """Attention weights of the interaction.

        Raises:
            ValueError: if the interaction has no method ``attention``.
        """
        attention = getattr(self.interaction, "attention", None)
        if attention is None:
            name = type(self.interaction).__name__
            raise ValueError(f"{name} has no method `attention` to compute its maps with")
        tokens = self._normed(tokens)
        return attention(tokens.fusion, **sources(tokens))

    def _normed(self, tokens: AVTokens) -> AVTokens:
        return replace(
            tokens,
            fusion=self.norm_fusion(tokens.fusion),
            image=None if tokens.image is None else self.norm_image(tokens.image),
            audio=None if tokens.audio is None else self.norm_audio(tokens.audio),
        )

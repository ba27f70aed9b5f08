"""Attention maps of the fusions."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from avblocks.tokens import AudioTokens, FusionTokens, ImageTokens


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
    """Protocol of a fusion with attention maps, as all three of the package have."""

    def attention(
        self, fusion: FusionTokens, *, image: ImageTokens, audio: AudioTokens
    ) -> FusionAttention:
        """Attention weights of the fusion tokens over the tokens of both modalities."""
        ...

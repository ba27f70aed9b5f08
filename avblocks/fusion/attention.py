"""What the fusion tokens look at: the attention maps of the fusions."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class FusionAttention:
    """How much each fusion token reads from each image and audio token, ``None`` if missing.

    Attributes:
        image: shares of the image tokens, for each head.
        audio: shares of the audio tokens, for each head.
    """

    image: Float[Tensor, "b h n_f n_v"] | None
    audio: Float[Tensor, "b h n_f n_a"] | None


@runtime_checkable
class Attends(Protocol):
    """A fusion that can say what its fusion tokens look at; all three of the package can."""

    def attention(
        self,
        fusion: Float[Tensor, "b n_f d"],
        *,
        image: Float[Tensor, "b n_v d"] | None,
        audio: Float[Tensor, "b n_a d"] | None,
    ) -> FusionAttention:
        """How much each fusion token reads from each token of the two modalities."""
        ...

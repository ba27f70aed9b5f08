"""`FusionLayer`: a fusion that also updates the tokens of the modalities."""

from abc import abstractmethod
from typing import Any

from torch import nn

from avblocks.shapes import expect, require
from avblocks.tokens import AVTokens


class FusionLayer(nn.Module):
    """Base class of a whole layer of `AVEncoder`, for fusions that update every stream.

    With a `FusionBlock`, the fusion tokens read the modalities, and the blocks of the modalities
    read the fusion tokens. For other exchanges (bottlenecks, cross-attention in both directions,
    double streams), subclass `FusionLayer`: it receives all tokens and the blocks of both streams.

    Prefix tokens of a stream, if any, come first in ``tokens.image`` and ``tokens.audio``. The
    result must have the shapes of ``tokens``. In batches with padding, ``tokens.image_valid`` and
    ``tokens.audio_valid`` mark the valid keys.

    Example:
        >>> from dataclasses import replace
        >>> class Apart(FusionLayer):  # no exchange at all
        ...     def forward(self, tokens, *, image, audio):
        ...         return replace(
        ...             tokens,
        ...             image=tokens.image if image is None else image(tokens.image),
        ...             audio=tokens.audio if audio is None else audio(tokens.audio),
        ...         )
    """

    @abstractmethod
    def forward(
        self, tokens: AVTokens, *, image: nn.Module | None, audio: nn.Module | None
    ) -> AVTokens:
        """Tokens after the layer.

        Args:
            tokens: tokens before the layer.
            image: block of the image stream, ``None`` if the stream is missing or has no more
                blocks.
            audio: block of the audio stream, likewise.
        """
        ...


def require_alike(before: AVTokens, after: Any) -> None:
    """Raise a ``ValueError`` unless the tokens after a layer have the shapes of those before it."""
    takes = "AVTokens, such as replace(tokens, fusion=...)"
    require(isinstance(after, AVTokens), "the result of a layer", type(after).__name__, takes)
    for name, x, y in (
        ("image", before.image, after.image),
        ("audio", before.audio, after.audio),
        ("fusion", before.fusion, after.fusion),
    ):
        if x is None or y is None:
            require(x is y, f"{name} after a layer", y, "as before it")
        elif x.shape != y.shape:  # text is formatted on failure only
            expect(**{f"{name} before a layer": (x, "b n d"), f"{name} after it": (y, "b n d")})

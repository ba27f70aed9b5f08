"""`FusionLayer`: a fusion that writes back to the modalities."""

from abc import abstractmethod

from torch import nn

from avblocks.tokens import AVTokens


class FusionLayer(nn.Module):
    """Base class of a whole layer of `AVEncoder`, for fusions that update every stream.

    A `FusionBlock` reads the modalities, whose blocks then read the fusion tokens. What exchanges
    more than that (bottlenecks, cross-attention both ways, a double stream) subclasses this one: it
    is given all tokens and the two streams' blocks of the layer, and calls those as it likes.

    Prefix tokens of a stream, if any, come first in ``tokens.image`` and ``tokens.audio``. The
    result must have the shapes of ``tokens``; with padding in a batch, ``tokens.image_valid`` and
    ``tokens.audio_valid`` say which keys to leave out.

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
            image: the image stream's block, ``None`` if its blocks are used up or it is missing.
            audio: the audio stream's block, likewise.
        """
        ...

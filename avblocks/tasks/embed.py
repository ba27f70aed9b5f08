"""Embedding task: features of clips, for storage and retrieval."""

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from avblocks.data import AVBatch, FrontEnd
from avblocks.encoder import AVEncoder
from avblocks.shapes import require_choice
from avblocks.tasks.evaluate import HeadTask

Pooling = Literal["mean", "tokens"]
"""The mean of the tokens of a stream, or all tokens."""


class Embedding(HeadTask):
    """Front end and frozen encoder: features of image, audio and fusion of each clip.

    Args:
        encoder: Encoder.
        front_end: Front end, from batches to images and spectrograms.
        pooling: Pooling of the tokens of a stream.
        apart: Whether to encode image and audio separately, as cross-modal retrieval requires: if
            encoded together, the tokens of each modality depend on the other one. Fusion tokens are
            always those of both modalities.

    Raises:
        ValueError: If the pooling is unknown.
    """

    frozen = True

    def __init__(
        self,
        encoder: AVEncoder,
        *,
        front_end: FrontEnd,
        pooling: Pooling = "mean",
        apart: bool = False,
    ) -> None:
        super().__init__()
        require_choice(*get_args(Pooling), pooling=pooling)
        self.encoder = encoder.requires_grad_(False)
        self.front_end = front_end
        self.pooling, self.apart = pooling, apart

    @torch.no_grad()
    def features(self, batch: AVBatch) -> Mapping[str, Tensor]:
        """Return the features of each clip by stream, (b, d) or (b, n, d)."""
        image, audio = self.front_end(batch)
        both = self.encoder(image=image, audio=audio)
        streams = {"image": both.image, "audio": both.audio, "fusion": both.fusion}
        if self.apart:
            streams["image"] = self.encoder(image=image, audio=None).image
            streams["audio"] = self.encoder(image=None, audio=audio).audio
        given = {name: tokens for name, tokens in streams.items() if tokens is not None}
        kept = {name: tokens for name, tokens in given.items() if tokens.shape[1] > 0}
        if self.pooling == "tokens":
            return kept
        return {name: tokens.mean(dim=1) for name, tokens in kept.items()}

"""Images with mismatched audio or with silence, to test whether a model listens."""

from dataclasses import replace

import torch

from avblocks.data.batch import AVBatch
from avblocks.shapes import require

AUDIO = ("matched", "mismatched", "silenced")
"""The audio that `with_audio` plays to an image."""


def with_audio(batch: AVBatch, audio: str) -> AVBatch:
    """Return the first clip of each pair with its own audio, that of the second clip, or silence.

    Args:
        batch: Pairs of clips in a row, as `MixtureDataset` reads `mismatched_pairs`.
        audio: One of `AUDIO`; "matched" is the audio of the image's own clip.

    Raises:
        ValueError: If there is no such audio, or a clip without a partner.
    """
    require(audio in AUDIO, "audio", audio, f"one of {AUDIO}")
    require(len(batch) % 2 == 0, "batch", len(batch), "of pairs of clips")
    first = batch[0::2]
    if audio == "matched":
        return first
    other = batch.audio[1::2] if audio == "mismatched" else torch.zeros_like(first.audio)
    return replace(first, audio=other)

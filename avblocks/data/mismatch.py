"""Images with mismatched audio or with silence, to test whether a model listens."""

from dataclasses import replace

import torch

from avblocks.data.batch import AVBatch
from avblocks.shapes import require

AUDIO = ("matched", "mismatched", "silenced")
"""The audio that `with_audio` plays to an image."""


def with_audio(batch: AVBatch, audio: str) -> AVBatch:
    """Return each clip with its own audio, that of its partner, or silence.

    Args:
        batch: Clips, or pairs of clips in a row, as `MixtureDataset` reads `mismatched_pairs`: then
            the first of each pair is returned.
        audio: One of `AUDIO`; "matched" is the audio of the image's own clip.

    Raises:
        ValueError: If there is no such audio, or a clip without a partner.
    """
    require(audio in AUDIO, "audio", audio, f"one of {AUDIO}")
    group = batch.group
    if len(batch) % group or (audio == "mismatched" and group < 2):
        raise ValueError(
            f"{audio} audio needs whole groups, mismatched audio pairs, got {len(batch)} "
            f"clips in groups of {group}: read mismatched_pairs by MixtureDataset"
        )
    first = batch[0::group]
    if audio == "matched":
        return first
    other = batch.audio[1::group] if audio == "mismatched" else torch.zeros_like(first.audio)
    return replace(first, audio=other)

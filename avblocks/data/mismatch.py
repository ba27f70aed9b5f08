"""Images with mismatched audio or silence, to test whether a model uses the audio."""

from dataclasses import replace

import torch

from avblocks.data.batch import AVBatch
from avblocks.shapes import require

AUDIO = ("matched", "mismatched", "silenced")
"""The kinds of audio of `with_audio`."""


def with_audio(batch: AVBatch, audio: str) -> AVBatch:
    """Return each clip with matched audio, mismatched audio, or silence.

    Args:
        batch: Clips, or consecutive pairs of clips, as `MixtureDataset` reads `mismatched_pairs`;
            of pairs, the first clip is returned.
        audio: One of `AUDIO`: the audio of the clip, that of its partner, or silence.

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

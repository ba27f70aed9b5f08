"""Images with the audio of another clip, or with silence, to test whether a model listens."""

from dataclasses import replace

import torch

from avblocks.data.batch import AVBatch

AUDIO = ("matched", "mismatched", "silenced")
"""The audio given with an image: its own, that of a clip of other classes, silence."""


def with_audio(batch: AVBatch, audio: str) -> AVBatch:
    """Take the first clip of each pair, with its own audio, that of the second, or silence.

    Args:
        batch: Pairs of clips, the two of a pair in a row.
        audio: One of `AUDIO`.
    """
    first = batch[0::2]
    samples = {
        "matched": first.audio,
        "mismatched": batch.audio[1::2],
        "silenced": torch.zeros_like(first.audio),
    }[audio]
    return replace(first, audio=samples)

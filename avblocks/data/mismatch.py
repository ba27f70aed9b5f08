"""Images with mismatched audio or silence, to test whether a model uses the audio."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.data.batch import AVBatch
from avblocks.seed import key
from avblocks.shapes import require

AUDIO = ("matched", "mismatched", "silenced")
"""Matched audio, that of another clip, and silence."""
NEGATIVE = ("mismatched", "silenced", "noise")
"""Audio that has no source in the image."""
_LOUDEST = 0.3  # of full scale, standard deviation of noise


def white_noise(seeds: Sequence[int], *, samples: int) -> Float[Tensor, "b s"]:
    """Draw white noise of different loudness, one signal per seed, in [-1, 1]."""
    drawn = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(key("noise", seed))
        loudness = _LOUDEST * (0.05 + 0.95 * torch.rand((), generator=generator))
        drawn.append(loudness * torch.randn(samples, generator=generator))
    return torch.stack(drawn).clamp(-1, 1)


def with_audio(batch: AVBatch, audio: str) -> AVBatch:
    """Return each clip with matched audio, mismatched audio, silence, or noise.

    Args:
        batch: Clips, or consecutive pairs of clips, as `MixtureDataset` reads `mismatched_pairs`;
            the first clip of each pair is returned.
        audio: One of `AUDIO`: the audio of the clip, that of its partner, or silence; or noise,
            which depends only on the seed of the clip.

    Raises:
        ValueError: If there is no such audio, or a clip without a partner.
    """
    kinds = tuple(dict.fromkeys(AUDIO + NEGATIVE))
    require(audio in kinds, "audio", audio, f"one of {kinds}")
    group = batch.group
    if len(batch) % group or (audio == "mismatched" and group < 2):
        raise ValueError(
            f"{audio} audio needs whole groups, mismatched audio pairs, got {len(batch)} "
            f"clips in groups of {group}: read mismatched_pairs by MixtureDataset"
        )
    first = batch[0::group]
    if audio == "matched":
        return first
    if audio == "mismatched":
        return replace(first, audio=batch.audio[1::group])
    if audio == "silenced":
        return replace(first, audio=torch.zeros_like(first.audio))
    noise = white_noise(first.seeds, samples=first.audio.shape[1])
    return replace(first, audio=noise.to(first.audio))

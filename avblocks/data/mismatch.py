"""Images with mismatched audio or silence, to test whether a model uses the audio."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avblocks.data.batch import AVBatch
from avblocks.seed import key
from avblocks.shapes import require_choice, require_share

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
    require_choice(*kinds, audio=audio)
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


def with_negatives(batch: AVBatch, *, share: float) -> tuple[AVBatch, Bool[Tensor, " b"]]:
    """Replace the audio of some clips by audio without a source in the image.

    Half of them become silent. The others get the audio of the clip at the mirrored index of the
    batch, and keep their own if this clip has a class in common with them, or is themselves.

    Args:
        batch: Clips. Clips without classes are taken to differ.
        share: Share of the clips that are drawn, by their seeds.

    Returns:
        The batch, and which clips keep their audio.

    Raises:
        ValueError: If the share is not in [0, 1).
    """
    require_share(share=share)
    drawn = [torch.Generator().manual_seed(key("negatives", seed)) for seed in batch.seeds]
    chance = torch.tensor([float(torch.rand((), generator=one)) for one in drawn])
    chance = chance.to(batch.audio.device)
    like = (batch.target * batch.target.flip(0)).sum(dim=1) > 0
    place = torch.arange(len(batch), device=like.device)
    silent = chance < share / 2
    other = (chance >= share / 2) & (chance < share) & ~like & (place != place.flip(0))
    audio = torch.where(other[:, None], batch.audio.flip(0), batch.audio)
    audio = audio * ~silent[:, None]
    return replace(batch, audio=audio), ~(silent | other)

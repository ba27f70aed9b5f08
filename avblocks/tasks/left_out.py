"""Clips whose image or audio is left out in training."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from avblocks.seed import generators


def draw_present(
    seeds: Sequence[int], *, left_out: float, device: torch.device
) -> dict[str, Bool[Tensor, " b"]]:
    """Draw which clips have an image and which have audio; each has at least one of them.

    Args:
        seeds: Seed of each sample.
        left_out: Share of the clips that lack one, half of them the image.
        device: Device of the result.

    Returns:
        The arguments ``image_valid`` and ``audio_valid`` of an encoder; none if ``left_out`` is 0.

    Example:
        >>> flags = draw_present((1, 2, 3, 4), left_out=0.9, device=torch.device("cpu"))
        >>> (flags["image_valid"] | flags["audio_valid"]).all()
        tensor(True)
    """
    if not left_out:
        return {}
    random = generators(seeds, "left out")
    drawn = torch.stack([torch.rand((), generator=one) for one in random])
    image, audio = drawn >= left_out / 2, drawn < 1 - left_out / 2
    return {"image_valid": image.to(device), "audio_valid": audio.to(device)}

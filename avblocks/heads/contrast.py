"""Contrastive losses between the image and the audio of each clip."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from avblocks.distributed import gather_with_grad, rank_and_world
from avblocks.shapes import expect, require, require_above_zero, require_choice

Direction = Literal["both", "image_to_audio", "audio_to_image"]
"""Direction of the loss: image to audio, audio to image, or the mean of both."""


def info_nce(
    image: Float[Tensor, "b d"],
    audio: Float[Tensor, "b d"],
    *,
    temperature: float = 0.05,
    direction: Direction = "both",
) -> Float[Tensor, ""]:
    r"""InfoNCE loss over the clips of a batch, across all processes.

    With :math:`s_{ij}` the cosine similarity of image i and audio j over the temperature, image to
    audio is the mean over i of

    .. math:: -\log \frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}}

    and audio to image the same over the columns.

    Args:
        image: features of the images of this process, of any norm.
        audio: features of the audio, in the same order; equally many in every process.
        temperature: divisor of the similarities.
        direction: one direction, or the mean of both.

    Returns:
        The loss of the clips of this process against those of all processes; the mean over the
        processes is the loss of the whole batch.

    Raises:
        ValueError: if the shapes differ, the temperature is not above zero, or the direction is
            unknown.

    Source: CAV-MAE (ICLR 2023) with ``direction="image_to_audio"`` and temperature 0.05.

    Example:
        >>> info_nce(torch.eye(2), torch.eye(2), temperature=1.0)
        tensor(0.3133)
    """
    require_above_zero(temperature=temperature)
    expect(image=(image, "b d"), audio=(audio, "b d"))
    image, audio = (F.normalize(x.float(), dim=1) for x in (image, audio))
    return contrast_loss(
        image @ gather_with_grad(audio).T / temperature,
        audio @ gather_with_grad(image).T / temperature,
        direction=direction,
    )


def contrast_loss(
    to_audio: Float[Tensor, "b all_b"],
    to_image: Float[Tensor, "b all_b"],
    *,
    direction: Direction = "both",
    own: Float[Tensor, " b"] | None = None,
) -> Float[Tensor, ""]:
    """Cross entropy of the matched clip among the clips of all processes.

    Args:
        to_audio: logits of each image of this process against all audio.
        to_image: logits of each audio of this process against all images.
        direction: as in `info_nce`.
        own: share of each image that is its own; the rest is of the image at the mirrored index of
            this process, see `avblocks.data.CutMix`. The audio is not mixed: a match of two clips
            counts by these shares.

    Raises:
        ValueError: if the direction is unknown, or there is not one share per clip.

    Example:
        >>> contrast_loss(torch.zeros(2, 2), torch.zeros(2, 2))
        tensor(0.6931)
    """
    require_choice(*get_args(Direction), direction=direction)
    rank, _ = rank_and_world()
    match_ = rank * len(to_audio) + torch.arange(len(to_audio), device=to_audio.device)
    pairs = {"image_to_audio": (to_audio, match_), "audio_to_image": (to_image, match_)}
    if own is not None:
        require(len(own) == len(match_), "own", len(own), f"of {len(match_)} clips")
        shares = torch.diag(own) + torch.diag(1 - own).flip(1)
        whole = shares.new_zeros(to_audio.shape)
        by_image, by_audio = (whole.index_copy(1, match_, x) for x in (shares, shares.T))
        by_audio = by_audio / by_audio.sum(dim=1, keepdim=True).clamp(min=1e-6)
        pairs = {"image_to_audio": (to_audio, by_image), "audio_to_image": (to_image, by_audio)}
    named = pairs if direction == "both" else {direction: pairs[direction]}
    return torch.stack([F.cross_entropy(*pair) for pair in named.values()]).mean()


def max_mean_similarity(
    image: Float[Tensor, "i n_v d"], audio: Float[Tensor, "j n_a d"]
) -> Float[Tensor, "i j"]:
    """Local similarity: the maximum cosine over the image patches, averaged over the audio tokens.

    Args:
        image: image tokens of i images.
        audio: audio tokens of j clips.

    Returns:
        The similarity, in [-1, 1], of each image and each audio. Memory grows with j n_v n_a.

    Source: DenseAV's and CAV-MAE Sync's max-mean aggregation.

    Example:
        >>> max_mean_similarity(torch.eye(2)[None], torch.eye(2)[None, :1])
        tensor([[1.]])
    """
    expect(image=(image, "i n_v d"), audio=(audio, "j n_a d"))
    image, audio = (F.normalize(x.float(), dim=-1) for x in (image, audio))
    rows = [torch.einsum("vd,jad->jav", one, audio).amax(dim=-1).mean(dim=-1) for one in image]
    return torch.stack(rows)

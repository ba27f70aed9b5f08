"""Losses of masks: over spectrogram bins, and over pixels."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from avblocks.shapes import expect, require_classes


def separation_loss(
    logits: Float[Tensor, "b 1 m t"],
    mask: Float[Tensor, "b 1 m t"],
    *,
    mixture: Float[Tensor, "b 1 m t"],
) -> Float[Tensor, ""]:
    """Binary cross entropy, each bin weighted by ``log(1 + power of the mixture)`` in [1e-3, 10].

    Args:
        logits: logits of the mask.
        mask: targets in [0, 1].
        mixture: log10 mel power of the mixture.

    Returns:
        The mean over all bins.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> zeros = torch.zeros(1, 1, 2, 2)
        >>> separation_loss(zeros, zeros, mixture=zeros)
        tensor(0.4805)
    """
    axes = "b c m t"
    expect(logits=(logits, axes), mask=(mask, axes), mixture=(mixture, axes))
    with torch.autocast(logits.device.type, enabled=False):
        weight = (10**mixture).log1p().clamp(1e-3, 10.0)
        return F.binary_cross_entropy_with_logits(logits.to(mask.dtype), mask, weight)


def segmentation_loss(
    logits: Float[Tensor, "b classes height width"],
    target: Bool[Tensor, "b height width"] | Integer[Tensor, "b height width"],
) -> Float[Tensor, ""]:
    """Cross entropy over pixels; with one channel, binary cross entropy against background.

    Args:
        logits: one channel for a binary mask, otherwise one for each class.
        target: class numbers, 0 for background; a binary mask for one channel.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> import torch
        >>> target = torch.tensor([[[0, 2], [1, 0]]])
        >>> segmentation_loss(torch.zeros(1, 1, 2, 2), target)
        tensor(0.6931)
        >>> segmentation_loss(torch.zeros(1, 3, 2, 2), target)
        tensor(1.0986)
    """
    _check(logits, target)
    if logits.shape[1] == 1:
        sounds = (target > 0).to(logits.dtype)
        return F.binary_cross_entropy_with_logits(logits[:, 0], sounds)
    return F.cross_entropy(logits, target.long())


def dice_loss(
    logits: Float[Tensor, "b classes height width"],
    target: Bool[Tensor, "b height width"] | Integer[Tensor, "b height width"],
) -> Float[Tensor, ""]:
    """Soft Dice loss, one minus the overlap of predicted and true foreground.

    Cross entropy counts pixels, Dice the share of an object that is found, small or large.

    Args:
        logits: one channel for a binary mask, otherwise one for each class.
        target: class numbers, 0 for background; a binary mask for one channel.

    Returns:
        The mean over images, those without foreground included; with classes, over the classes that
        each image shows, without the background.

    Raises:
        ValueError: if the shapes differ.

    Source: Milletari et al., "V-Net" (3DV 2016), with the sums of probabilities in place of those
    of their squares, and 1 pixel added to each sum.

    Example:
        >>> import torch
        >>> target = torch.tensor([[[0, 1], [1, 0]]])
        >>> dice_loss(torch.tensor([[[[-9.0, 9.0], [9.0, -9.0]]]]), target).round(decimals=2)
        tensor(0.)
        >>> dice_loss(torch.zeros(1, 1, 2, 2), target)
        tensor(0.4000)
    """
    _check(logits, target)
    binary = logits.shape[1] == 1
    with torch.autocast(logits.device.type, enabled=False):
        scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if binary:
            found, truth = scores.sigmoid(), (target > 0)[:, None].to(scores.dtype)
        else:
            found = scores.softmax(dim=1)[:, 1:]
            truth = F.one_hot(target.long(), logits.shape[1])[..., 1:].movedim(-1, 1)
        both, either = (x.sum(dim=(2, 3)) for x in (found * truth, found + truth))
        loss = 1 - (2 * both + 1) / (either + 1)
        shown = torch.ones_like(loss) if binary else truth.any(dim=(2, 3)).to(loss.dtype)
        return (loss * shown).sum() / shown.sum().clamp(min=1)


def _check(logits: Tensor, target: Tensor) -> None:
    expect(logits=(logits, "b classes height width"), target=(target, "b height width"))
    require_classes(target=target)

"""Reconstruction targets of masked autoencoders, and their loss."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avblocks.shapes import expect, require


def normalize_patches(
    patches: Float[Tensor, "b n v"],
) -> tuple[Float[Tensor, "b n v"], Float[Tensor, "b n 1"], Float[Tensor, "b n 1"]]:
    """Normalize patches to zero mean and unit variance (unbiased, epsilon 1e-6).

    Returns:
        The normalized patches, their means and their standard deviations.

    Raises:
        ValueError: if patches have a single value, which has no standard deviation.
    """
    require(patches.shape[-1] > 1, "patches", patches.shape[-1], "of two values or more")
    mean = patches.mean(dim=-1, keepdim=True)
    deviation = (patches.var(dim=-1, keepdim=True) + 1e-6).sqrt()
    return (patches - mean) / deviation, mean, deviation


def masked_mse(
    pred: Float[Tensor, "b u v"],
    target: Float[Tensor, "b u v"],
    *,
    normalize: bool = True,
    valid: Bool[Tensor, "b u"] | None = None,
) -> Float[Tensor, ""]:
    """Mean squared error over masked patches, with targets normalized per patch or not.

    Args:
        pred: predictions.
        target: values of the patches.
        normalize: normalize each target patch.
        valid: False at patches to exclude from the mean, which is zero if no patch is valid.

    Raises:
        ValueError: if the shapes differ.
    """
    given = {} if valid is None else {"valid": (valid, "b u")}
    expect(target=(target, "b u v"), pred=(pred, "b u v"), **given)
    if normalize:
        target, _, _ = normalize_patches(target)
    errors = (pred - target).square()
    if valid is None:
        return errors.mean()
    return torch.where(valid, errors.mean(dim=-1), 0.0).sum() / valid.sum().clamp(min=1)

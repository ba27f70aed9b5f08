"""Reconstruction of images and spectrograms from the predictions of a masked autoencoder."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.nn.mask import Mask
from avblocks.nn.patch import patchify, unpatchify
from avblocks.nn.targets import normalize_patches
from avblocks.shapes import expect


@dataclass(frozen=True)
class Reconstruction:
    """The input with NaNs in masked patches, and the reconstruction."""

    masked: Float[Tensor, "b c *size"]
    reconstructed: Float[Tensor, "b c *size"]


def reconstruct(
    x: Float[Tensor, "b c *size"],
    pred: Float[Tensor, "b u v"],
    *,
    mask: Mask,
    patch: tuple[int, ...],
    normalized: bool = True,
) -> Reconstruction:
    """Replace the masked patches by predictions and, for comparison, by NaNs.

    Args:
        x: the input.
        pred: predictions of all masked patches, in the order of ``mask.ids_masked``.
        mask: the mask of the predictions.
        patch: sides of a patch.
        normalized: whether predictions are normalized patches; they are then scaled by the mean and
            standard deviation of the true patch, as in the figures of MAE.

    Raises:
        ValueError: if the predictions do not match the masked patches.
    """
    patches = patchify(x, patch=patch)
    grid = tuple(s // p for s, p in zip(x.shape[2:], patch, strict=True))
    kept, truth = mask.kept(patches), mask.masked(patches)
    expect(truth=(truth, "b u v"), pred=(pred, "b u v"))
    if normalized:
        _, mean, deviation = normalize_patches(truth)
        pred = pred * deviation + mean
    blank = mask.restore(kept=kept, masked=torch.full_like(truth, torch.nan))
    filled = mask.restore(kept=kept, masked=pred.to(kept.dtype))
    return Reconstruction(
        masked=unpatchify(blank, patch=patch, grid=grid),
        reconstructed=unpatchify(filled, patch=patch, grid=grid),
    )

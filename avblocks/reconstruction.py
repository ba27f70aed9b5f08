"""From the predictions of a masked autoencoder back to images and spectrograms."""

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
    """The input with NaNs for its masked patches, and the reconstruction."""

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
    """Put predictions in place of the masked patches, and NaNs for comparison.

    Args:
        x: the input.
        pred: predictions of all masked patches, in the order of ``mask.ids_masked``.
        mask: the mask they were made with.
        patch: sides of a patch.
        normalized: whether the predictions are of normalized patches; they are then given the mean
            and the deviation of the patch they stand for, as in the figures of MAE.

    Raises:
        ValueError: if the predictions are not of the patches that the mask masks.
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

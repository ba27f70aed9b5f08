"""The audio-visual masked autoencoder: loss, model and reconstruction."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.decoder import Decoder
from avblocks.encoder import AVEncoder
from avblocks.nn.mask import Mask
from avblocks.nn.patch import patchify, unpatchify
from avblocks.shapes import expect, require


@dataclass(frozen=True)
class MAEOutput:
    """Losses, and predictions of the masked patches in the order of their mask's ``ids_masked``."""

    loss_image: Float[Tensor, ""]
    loss_audio: Float[Tensor, ""]
    pred_image: Float[Tensor, "b u_v v_v"]
    pred_audio: Float[Tensor, "b u_a v_a"]

    @property
    def loss(self) -> Float[Tensor, ""]:
        """What training minimizes: image plus audio."""
        return self.loss_image + self.loss_audio


torch.export.register_dataclass(MAEOutput)


def normalize_patches(
    patches: Float[Tensor, "b n v"],
) -> tuple[Float[Tensor, "b n v"], Float[Tensor, "b n 1"], Float[Tensor, "b n 1"]]:
    """Patches of zero mean and unit variance (unbiased, epsilon 1e-6), their means and deviations.

    Raises:
        ValueError: if patches have a single value, which has no deviation.
    """
    require(patches.shape[-1] > 1, "patches", patches.shape[-1], "of two values or more")
    mean = patches.mean(dim=-1, keepdim=True)
    deviation = (patches.var(dim=-1, keepdim=True) + 1e-6).sqrt()
    return (patches - mean) / deviation, mean, deviation


def masked_mse(
    pred: Float[Tensor, "b u v"], target: Float[Tensor, "b u v"], *, normalize: bool = True
) -> Float[Tensor, ""]:
    """Mean square over the masked patches, against targets normalized per patch or not.

    Raises:
        ValueError: if the shapes differ.
    """
    expect(target=(target, "b u v"), pred=(pred, "b u v"))
    if normalize:
        target, _, _ = normalize_patches(target)
    return (pred - target).square().mean()


class AVMAE(nn.Module):
    """Audio-visual masked autoencoder (paper, section 3): encode what is kept, predict the rest.

    The masks come from outside, so that the model itself has no randomness.

    Args:
        encoder: the encoder that is trained.
        image_decoder: predicts image patches.
        audio_decoder: predicts spectrogram patches.
        normalize_targets: normalize each target patch (the paper does).

    Raises:
        ValueError: if a decoder does not fit its stream.

    Example:
        >>> from avblocks import RandomMask, av_mae, av_vit
        >>> encoder = av_vit(64, depth=2, num_heads=4, image_size=32, audio_size=(32, 48))
        >>> model = av_mae(encoder, dim=32, depth=1)
        >>> image, audio = torch.rand(2, 3, 32, 32), torch.rand(2, 1, 32, 48)
        >>> masks = RandomMask(0.75)((2, 2), batch=2), RandomMask(0.8)((2, 3), batch=2)
        >>> out = model(image=image, audio=audio, image_mask=masks[0], audio_mask=masks[1])
        >>> out.loss.shape, out.pred_image.shape
        (torch.Size([]), torch.Size([2, 3, 768]))
    """

    def __init__(
        self,
        encoder: AVEncoder,
        *,
        image_decoder: Decoder,
        audio_decoder: Decoder,
        normalize_targets: bool = True,
    ) -> None:
        super().__init__()
        for name, vit, decoder in (
            ("image_decoder", encoder.image, image_decoder),
            ("audio_decoder", encoder.audio, audio_decoder),
        ):
            axes, values = len(vit.patch), math.prod(vit.patch) * vit.patch_embed.channels
            embed, pred, grid = decoder.embed, decoder.pred, decoder.pos_embed.grid
            got = embed.in_features, pred.out_features, len(grid)
            takes = f"of width {vit.dim}, {values} values of a patch and {axes} axes of the grid"
            require(got == (vit.dim, values, axes), name, got, takes)
        self.encoder = encoder
        self.image_decoder, self.audio_decoder = image_decoder, audio_decoder
        self.normalize_targets = normalize_targets

    def forward(
        self,
        *,
        image: Float[Tensor, "b c *size"],
        audio: Float[Tensor, "b 1 m t"],
        image_mask: Mask,
        audio_mask: Mask,
    ) -> MAEOutput:
        """Losses and predictions of a batch.

        Raises:
            ValueError: if an input or a mask does not fit.
        """
        tokens = self.encoder(
            image=image, audio=audio, image_mask=image_mask, audio_mask=audio_mask
        )
        pred_image = self.image_decoder(
            tokens.image, fusion=tokens.fusion, mask=image_mask, grid=self.encoder.image.grid(image)
        )
        pred_audio = self.audio_decoder(
            tokens.audio, fusion=tokens.fusion, mask=audio_mask, grid=self.encoder.audio.grid(audio)
        )
        return MAEOutput(
            loss_image=self._loss(pred_image, image, image_mask, self.encoder.image.patch),
            loss_audio=self._loss(pred_audio, audio, audio_mask, self.encoder.audio.patch),
            pred_image=pred_image,
            pred_audio=pred_audio,
        )

    def _loss(
        self,
        pred: Float[Tensor, "b u v"],
        x: Float[Tensor, "b c *size"],
        mask: Mask,
        patch: tuple[int, ...],
    ) -> Float[Tensor, ""]:
        target = mask.masked(patchify(x, patch=patch))
        return masked_mse(pred, target, normalize=self.normalize_targets)


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
        pred: predictions in the order of ``mask.ids_masked``.
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

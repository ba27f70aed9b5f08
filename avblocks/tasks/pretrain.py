"""Masked audio-visual pre-training task: losses, tokens and reconstructions."""

from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from avblocks.data import AVBatch, CutMix, FrontEnd
from avblocks.encoder import AVTokens
from avblocks.heads import AudioStatisticsContrast
from avblocks.nn import Mask, Masker, RandomMask
from avblocks.reconstruction import reconstruct
from avblocks.seed import generators
from avblocks.shapes import require_share, require_weight
from avblocks.tasks.evaluate import Given, Task, encoded, with_parts
from avblocks.tasks.left_out import draw_present


@runtime_checkable
class MaskedAutoencoder(Protocol):
    """What `Pretraining` trains: a module that returns its losses and the predicted patches.

    It has an ``encoder``, an `AVEncoder`. Its output is a `Record` with a ``loss``, other scalars,
    which are logged, and ``pred_image`` and ``pred_audio`` in the order of ``to_predict`` of the
    masks.
    """

    # The encoder is not declared: from Python 3.12 on `isinstance` does not find sub-modules.

    @property
    def normalize_targets(self) -> bool:
        """Whether it predicts normalized patches."""
        ...

    predict: float
    """Share of the masked patches that it predicts in training."""


class Pretraining(Task):
    """Front end, masks keyed by sample, and masked autoencoder.

    Args:
        mae: Masked autoencoder: an `AVMAE`, or CAV-MAE.
        front_end: Front end, from batches to images and spectrograms.
        image_mask: Masker of the image patches; the paper's if not given.
        audio_mask: Masker of the spectrogram patches; the paper's if not given.
        left_out: Share of the training clips whose image or audio is left out of input and loss,
            so that the encoder also learns to work with one of them.
        contrast: Loss between the whole image, encoded alone, and the spectrogram.
        contrast_weight: Weight of that loss.
        cutmix: Parameter of the beta distribution of `CutMix`, for the images of that loss; 0 for
            whole ones.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        mae: MaskedAutoencoder,
        *,
        front_end: FrontEnd,
        image_mask: Masker | None = None,
        audio_mask: Masker | None = None,
        left_out: float = 0.0,
        contrast: AudioStatisticsContrast | None = None,
        contrast_weight: float = 1.0,
        cutmix: float = 0.0,
    ) -> None:
        super().__init__()
        parts = ("encoder.image.grid", "encoder.audio.grid", "predict", "normalize_targets")
        self.mae = with_parts("mae", cast(nn.Module, mae), *parts, like="AVMAE")
        self.front_end = front_end
        self.image_mask = image_mask or RandomMask(0.75)
        self.audio_mask = audio_mask or RandomMask(0.8)
        require_share(left_out=left_out)
        require_weight(contrast_weight=contrast_weight, cutmix=cutmix)
        self.left_out, self.contrast = left_out, contrast
        self.contrast_weight = contrast_weight
        self.cutmix = CutMix(cutmix) if cutmix else None

    def masks(self, batch: AVBatch, *, image: Tensor, audio: Tensor) -> dict[str, Mask]:
        """Draw the masks of each sample from its seed, independently of the batch.

        In training, also draw the masked patches to predict, if only a fraction is predicted.
        """
        encoder, count = self.mae.encoder, len(batch)
        random = generators(batch.seeds, "masks")
        drawn = {
            "image_mask": self.image_mask(encoder.image.grid(image), batch=count, generator=random),
            "audio_mask": self.audio_mask(encoder.audio.grid(audio), batch=count, generator=random),
        }
        if self.training and self.mae.predict < 1:
            share = self.mae.predict
            drawn = {n: mask.predicting(share, generator=random) for n, mask in drawn.items()}
        if image.is_cuda:  # from pageable memory, each copy would block
            drawn = {name: mask.pin_memory() for name, mask in drawn.items()}
        return {name: mask.to(image.device, non_blocking=True) for name, mask in drawn.items()}

    def encode(self, batch: AVBatch, *, given: Given = "both") -> AVTokens:
        """Encode whole clips, image and audio together or one of them alone."""
        return encoded(self.mae.encoder, *self.front_end(batch), given=given)

    def forward(self, batch: AVBatch) -> dict[str, Tensor]:
        """Return the losses of a batch, and the other scalars in the output of the model."""
        image, audio = self.front_end(batch)
        share = self.left_out if self.training else 0.0
        given = draw_present(batch.seeds, left_out=share, device=image.device)
        masks = self.masks(batch, image=image, audio=audio)
        out = self.mae(image=image, audio=audio, **masks, **given)
        found = {"loss": out.loss} | {n: x for n, x in out if x is not None and x.ndim == 0}
        if self.contrast is not None:
            own = None
            if self.training and self.cutmix is not None:
                drawn = self.cutmix.draw(generators(batch.seeds, "cutmix"))
                image, own = self.cutmix.cut(image, drawn)
            tokens = encoded(self.mae.encoder, image, audio, given="image")
            found["loss_contrast"] = self.contrast(
                tokens, audio, own=own, masked=getattr(out, "fusion", None)
            )
            found["loss"] = out.loss + self.contrast_weight * found["loss_contrast"]
        return found


@torch.no_grad()
def reconstruction_examples(task: Pretraining, batch: AVBatch) -> dict[str, Tensor]:
    """Return inputs, masked inputs and reconstructions.

    Returns:
        Titles and batches of RGB images and spectrograms, for `avblocks.viz.panel`.
    """
    image, audio = task.front_end(batch)
    masks = task.masks(batch, image=image, audio=audio)
    out = task.mae(image=image, audio=audio, **masks)
    columns: dict[str, Any] = {}
    for name, vit, x, pred in (
        ("image", task.mae.encoder.image, image, out.pred_image),
        ("audio", task.mae.encoder.audio, audio, out.pred_audio),
    ):
        parts = reconstruct(
            x,
            pred.float(),
            mask=masks[f"{name}_mask"],
            patch=vit.patch,
            normalized=task.mae.normalize_targets,
        )
        views = {"": x, ", masked": parts.masked, ", reconstructed": parts.reconstructed}
        columns |= {
            name + title: view if name == "audio" else task.front_end.to_rgb(view)
            for title, view in views.items()
        }
    return columns

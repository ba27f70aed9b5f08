"""Masked audio-visual pre-training task: losses, tokens and reconstructions."""

from typing import Any

import torch
from torch import Tensor

from avblocks.data import AVBatch, FrontEnd
from avblocks.encoder import AVTokens
from avblocks.mae import AVMAE
from avblocks.nn import Mask, Masker, RandomMask
from avblocks.reconstruction import reconstruct
from avblocks.seed import key
from avblocks.tasks.evaluate import Task


class Pretraining(Task):
    """Front end, masks keyed by sample, and masked autoencoder.

    Args:
        mae: Masked autoencoder.
        front_end: Front end, from batches to images and spectrograms.
        image_mask: Masker of the image patches; the paper's if not given.
        audio_mask: Masker of the spectrogram patches; the paper's if not given.
    """

    def __init__(
        self,
        mae: AVMAE,
        *,
        front_end: FrontEnd,
        image_mask: Masker | None = None,
        audio_mask: Masker | None = None,
    ) -> None:
        super().__init__()
        self.mae = mae
        self.front_end = front_end
        self.image_mask = image_mask or RandomMask(0.75)
        self.audio_mask = audio_mask or RandomMask(0.8)

    def masks(self, batch: AVBatch, *, image: Tensor, audio: Tensor) -> dict[str, Mask]:
        """Draw the masks of each sample from its seed, independently of the batch.

        In training, also draw the masked patches to predict, if only a fraction is predicted.
        """
        encoder, count = self.mae.encoder, len(batch)
        random = [torch.Generator().manual_seed(key(seed, "masks")) for seed in batch.seeds]
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

    def encode(self, batch: AVBatch) -> AVTokens:
        """Encode whole clips."""
        image, audio = self.front_end(batch)
        return self.mae.encoder(image=image, audio=audio)

    def forward(self, batch: AVBatch) -> dict[str, Tensor]:
        """Return the losses of a batch."""
        image, audio = self.front_end(batch)
        out = self.mae(image=image, audio=audio, **self.masks(batch, image=image, audio=audio))
        assert out.loss_image is not None and out.loss_audio is not None  # both are given
        return {"loss": out.loss, "loss_image": out.loss_image, "loss_audio": out.loss_audio}


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

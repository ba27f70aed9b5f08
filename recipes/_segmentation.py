"""A segmenter on an encoder as one module, how well it segments, and what to look at."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from avblocks import AVEncoder
from avblocks.data import AVBatch, FrontEnd
from avblocks.heads import Segmenter, segmentation_loss
from avblocks.metrics import (
    ClassScores,
    class_scores,
    fscore_avsbench,
    fscore_curves,
    fscore_per_image,
    iou_avsbench,
    miou_no_background,
    miou_with_background,
    predicted_classes,
)
from avblocks.viz import mask_overlay, panel, save_figure
from recipes._data import Data
from recipes._distributed import gather_lists, gather_rows
from recipes._mixtures import SOUNDS, heard


class Segmentation(nn.Module):
    """Front end, encoder, head, loss; of one class the mask is binary."""

    def __init__(self, encoder: AVEncoder, head: Segmenter, *, data: Data) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.front_end = FrontEnd(rate=data.rate, n_mels=data.mels)
        self.num_classes = max(head.pred.out_channels, 2)

    def logits(self, batch: AVBatch) -> Tensor:
        """Logits of each pixel."""
        image, audio = self.front_end(batch)
        layers = self.encoder.intermediates(image=image, audio=audio)
        return self.head(layers, grid=self.encoder.image.grid(image))

    def truth(self, batch: AVBatch) -> Tensor:
        """The true classes of each pixel, binary where the head is."""
        masks = self.front_end.masks(batch).long()
        return masks.clamp(max=1) if self.num_classes == 2 else masks

    def forward(self, batch: AVBatch) -> dict[str, Tensor]:
        """Return the loss of a batch."""
        return {"loss": segmentation_loss(self.logits(batch), self.truth(batch))}


@torch.no_grad()
def segmentation_scores(
    model: Segmentation,
    loader: Iterable[AVBatch],
    *,
    sound: str,
    on_batch: Callable[[AVBatch], object],
) -> dict[str, float]:
    """Score all test pictures, under the metrics' own names; empty if none can be used.

    The F scores are those of binary masks.
    """
    device = model.encoder.fusion_tokens.device
    ious, curves, parts = [torch.zeros(0)], [torch.zeros(0, 255)], list[ClassScores]()
    for batch in tqdm(loader, f"test, sound {sound}", unit="batch", leave=False, disable=None):
        on_batch(batch)
        if not len(batch):
            continue
        batch = heard(batch.to(device), sound)  # the loader gives pairs
        logits, truth = model.logits(batch).float(), model.truth(batch)
        pred = predicted_classes(logits)
        ious.append(iou_avsbench(pred, truth).cpu())
        parts.append(class_scores(pred.cpu(), truth.cpu(), num_classes=model.num_classes))
        if model.num_classes == 2:
            curves.append(fscore_curves(logits[:, 0].sigmoid(), truth).cpu())
    found = gather_lists(parts)
    iou, curve = (gather_rows(torch.cat(rows)) for rows in (ious, curves))
    if not found:
        return {}
    scores = ClassScores.join(found)
    named = {
        "miou_no_background": miou_no_background(scores),
        "miou_with_background": miou_with_background(scores),
        "miou_avsbench": iou.mean(),
    }
    if len(curve):
        named["fscore_avsbench"] = fscore_avsbench(curve)
        named["fscore_per_image"] = fscore_per_image(curve)
    return {name: float(value) for name, value in named.items()}


@torch.no_grad()
def segmentation_picture(model: Segmentation, batch: AVBatch, path: Path) -> None:
    """Draw pictures with the true mask, and with those found from each sound."""
    batch = batch.to(model.encoder.fusion_tokens.device)
    own = heard(batch, "own")
    image = model.front_end.normalize.undo(model.front_end(own)[0])
    columns = {"image": image.cpu(), "truth": mask_overlay(image, model.truth(own))}
    for sound in SOUNDS:
        found = predicted_classes(model.logits(heard(batch, sound)).float())
        columns[f"found, sound {sound}"] = mask_overlay(image, found)
    save_figure(panel(columns), path)

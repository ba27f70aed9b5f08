"""A segmenter on an encoder as one module, how well it segments, and what to look at."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from avblocks import AVEncoder
from avblocks.data import AVBatch, FrontEnd
from avblocks.data.mismatch import SOUNDS, heard
from avblocks.distributed import gather_lists, gather_rows
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
from avblocks.viz import mask_overlay, outline, panel, save_figure
from recipes.common.train import OnBatch, TaskModel, tested

PICTURE = "segmentation.png"


class Segmentation(TaskModel):
    """Front end, encoder, head, loss; of one class the mask is binary."""

    def __init__(self, encoder: AVEncoder, head: Segmenter, *, front_end: FrontEnd) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.front_end = front_end
        self.binary = head.pred.out_channels == 1
        self.num_classes = 2 if self.binary else head.pred.out_channels

    def logits(self, batch: AVBatch) -> Tensor:
        """Logits of each pixel."""
        image, audio = self.front_end(batch)
        layers = self.encoder.intermediates(image=image, audio=audio)
        return self.head(layers, grid=self.encoder.image.grid(image))

    def truth(self, batch: AVBatch) -> Tensor:
        """The true classes of each pixel, binary where the head is."""
        masks = self.front_end.masks(batch).long()
        return masks.clamp(max=1) if self.binary else masks

    def forward(self, batch: AVBatch) -> dict[str, Tensor]:
        """Return the loss of a batch."""
        return {"loss": segmentation_loss(self.logits(batch), self.truth(batch))}


@dataclass
class _Found:
    """What was measured on the pictures of this process."""

    iou: list[Tensor] = field(default_factory=lambda: [torch.zeros(0)])
    curves: list[Tensor] = field(default_factory=lambda: [torch.zeros(0, 255)])
    classes: list[ClassScores] = field(default_factory=list)

    def add(self, logits: Tensor, truth: Tensor, model: Segmentation) -> None:
        """Measure the pictures of a batch."""
        pred = predicted_classes(logits)
        self.iou.append(iou_avsbench(pred, truth).cpu())
        self.classes.append(class_scores(pred.cpu(), truth.cpu(), num_classes=model.num_classes))
        if model.binary:
            self.curves.append(fscore_curves(logits[:, 0].sigmoid(), truth).cpu())

    def scores(self) -> dict[str, float]:
        """Score the pictures of all processes."""
        classes = gather_lists(self.classes)
        iou, curves = (gather_rows(torch.cat(rows)) for rows in (self.iou, self.curves))
        if not classes:
            return {}
        joined = ClassScores.join(classes)
        named = {
            "miou_no_background": miou_no_background(joined),
            "miou_with_background": miou_with_background(joined),
            "miou_avsbench": iou.mean(),
        }
        if len(curves):
            named["fscore_avsbench"] = fscore_avsbench(curves)
            named["fscore_per_image"] = fscore_per_image(curves)
        return {name: float(value) for name, value in named.items()}


@torch.no_grad()
def segmentation_scores(
    model: Segmentation, loader: Iterable[AVBatch], on_batch: OnBatch, *, brief: bool
) -> dict[str, dict[str, float]]:
    """Score all test pictures, under the metrics' own names, by the sound that is heard.

    The F scores are those of binary masks. Empty if no picture can be used.

    Args:
        model: In evaluation mode.
        loader: Pairs of clips, the second lending its sound.
        on_batch: Called with each batch, for instance to count skipped files.
        brief: Whether to leave out all but the own sound.
    """
    found = {sound: _Found() for sound in (SOUNDS[:1] if brief else SOUNDS)}
    for batch in tested(model, loader, on_batch):
        for sound, measured in found.items():
            one = heard(batch, sound)
            logits, truth = model.logits(one).float(), model.truth(one)
            measured.add(logits, truth, model)
    scores = {sound: measured.scores() for sound, measured in found.items()}
    return {sound: row for sound, row in scores.items() if row}


@torch.no_grad()
def segmentation_picture(model: Segmentation, batch: AVBatch, folder: Path) -> None:
    """Draw pictures with the true mask, and with those found from each sound."""
    own = heard(batch, "own")
    image = model.front_end.normalize.undo(model.front_end(own)[0])
    truth = model.truth(own)
    columns = {"image": image.cpu(), "truth": outline(mask_overlay(image, truth), truth > 0)}
    for sound in SOUNDS:
        found = predicted_classes(model.logits(heard(batch, sound)).float())
        columns[f"found, sound {sound}"] = outline(mask_overlay(image, found), found > 0)
    save_figure(panel(columns), folder / PICTURE)

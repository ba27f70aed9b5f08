"""Audio-visual segmentation: an encoder and a segmenter, from a batch to its loss and scores."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from avblocks.data import AUDIO, AVBatch, FrontEnd, with_audio
from avblocks.distributed import gather_lists, gather_rows
from avblocks.encoder import AVEncoder
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
from avblocks.tasks.evaluate import HeadTask, Scores, joined
from avblocks.viz import mask_overlay, outline


class Segmentation(HeadTask):
    """Front end, encoder, head, loss; with one class the mask is binary.

    Args:
        encoder: Encoder.
        head: Segmenter.
        front_end: From batches to images and spectrograms.
    """

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
        """True classes of each pixel, binary where the head is."""
        masks = self.front_end.masks(batch).long()
        return masks.clamp(max=1) if self.binary else masks

    def forward(self, batch: AVBatch) -> dict[str, Tensor]:
        """Return the loss of a batch."""
        return {"loss": segmentation_loss(self.logits(batch), self.truth(batch))}


@dataclass
class _Row:
    """What was measured with one kind of audio in this process."""

    iou: list[Tensor] = field(default_factory=list)
    curves: list[Tensor] = field(default_factory=list)
    classes: list[ClassScores] = field(default_factory=list)

    def scores(self) -> dict[str, float]:
        """Score the images of all processes."""
        classes = gather_lists(self.classes)
        iou, curves = (gather_rows(joined(rows)) for rows in (self.iou, self.curves))
        if not classes:
            return {}
        whole = ClassScores.join(classes)
        named = {
            "miou_no_background": miou_no_background(whole),
            "miou_with_background": miou_with_background(whole),
            "miou_avsbench": iou.mean(),
        }
        if len(curves):
            named["fscore_avsbench"] = fscore_avsbench(curves)
            named["fscore_per_image"] = fscore_per_image(curves)
        return {name: float(value) for name, value in named.items()}


class SegmentationScorer:
    """mIoU and F under the metrics' own names, by the audio given; F with binary masks only.

    Args:
        task: Segmenter; its batches are pairs of clips, the second lending its audio, or with
            `brief` clips without partners.
        brief: Whether to score matched audio alone.
    """

    def __init__(self, task: Segmentation, *, brief: bool = False) -> None:
        self.task = task
        self.audio = AUDIO[:1] if brief else AUDIO
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self.rows = {audio: _Row() for audio in self.audio}

    def update(self, batch: AVBatch) -> None:
        """Segment a batch with each audio, and score it."""
        task = self.task
        for audio, row in self.rows.items():
            one = with_audio(batch, audio)
            logits, truth = task.logits(one).float(), task.truth(one)
            pred = predicted_classes(logits)
            row.iou.append(iou_avsbench(pred, truth).cpu())
            row.classes.append(class_scores(pred.cpu(), truth.cpu(), num_classes=task.num_classes))
            if task.binary:
                row.curves.append(fscore_curves(logits[:, 0].sigmoid(), truth).cpu())

    def compute(self) -> Scores:
        """Return the scores with each audio."""
        scores = {audio: row.scores() for audio, row in self.rows.items()}
        return {audio: row for audio, row in scores.items() if row}


@torch.no_grad()
def segmentation_examples(task: Segmentation, batch: AVBatch) -> dict[str, Tensor]:
    """Return images with the true mask, and with those predicted from each audio.

    Their titles and batches of RGB images in [0, 1], for `avblocks.viz.panel`.
    """
    matched = with_audio(batch, "matched")
    image = task.front_end.to_rgb(task.front_end(matched)[0])
    truth = task.truth(matched)
    columns = {"image": image.cpu(), "truth": outline(mask_overlay(image, truth), truth > 0)}
    for audio in AUDIO:
        pred = predicted_classes(task.logits(with_audio(batch, audio)).float())
        columns[f"{audio} audio"] = outline(mask_overlay(image, pred), pred > 0)
    return columns

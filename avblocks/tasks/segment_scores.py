"""Scores and figures of the segmentation task."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from avblocks.checkpoint.whole import Wrapped, unwrapped
from avblocks.data import AUDIO, AVBatch, with_audio
from avblocks.distributed import gather_lists, gather_rows
from avblocks.metrics import (
    ClassScores,
    center_box,
    class_scores,
    fscore_avsbench,
    fscore_curves,
    fscore_per_image,
    iou_avsbench,
    mean_avss,
    mean_over_classes,
    miou_no_background,
    miou_with_background,
    predicted_classes,
)
from avblocks.seed import key
from avblocks.tasks.evaluate import Scores, joined
from avblocks.tasks.segment import Segmentation
from avblocks.viz import mask_overlay, outline

CENTER_BOX = "center_box"
_CLIP = 10  # frames per clip of AVSS; the clips of S4 and MS3 in it have five


@dataclass
class _Row:
    """Scores with one kind of audio in this process."""

    iou: list[Tensor] = field(default_factory=list)
    curves: list[Tensor] = field(default_factory=list)
    classes: list[ClassScores] = field(default_factory=list)
    counted: list[ClassScores] = field(default_factory=list)  # includes images without truth
    clips: list[Tensor] = field(default_factory=list)  # clip number of each image

    def scores(self, padding: ClassScores | None = None) -> dict[str, float]:
        """Compute scores over all processes; `padding` is the score of a padding image of AVSS."""
        classes = gather_lists(self.classes)
        iou, curves = (gather_rows(joined(rows)) for rows in (self.iou, self.curves))
        if not classes:
            return {}
        whole, none = ClassScores.join(classes), torch.zeros(0, dtype=torch.int64)
        clips = gather_rows(torch.cat([none, *self.clips]))
        named = {
            "miou_no_background": miou_no_background(whole),
            "miou_with_background": miou_with_background(whole),
            "miou_avsbench": iou.mean(),
        }
        if len(curves):
            named["fscore_avsbench"] = fscore_avsbench(curves, clips=clips)
            named["fscore_avsbench_20"] = fscore_avsbench(curves, clips=clips, batch=20)
            named["fscore_per_image"] = fscore_per_image(curves)
        if counted := gather_lists(self.counted):
            named |= _avss(ClassScores.join(counted), clips, padding)
        return {name: float(value) for name, value in named.items()}


def _avss(scores: ClassScores, clips: Tensor, padding: ClassScores | None) -> dict[str, Tensor]:
    """Compute mean IoU and F over classes, and the means of AVSBench for AVSS."""
    named = {
        "fscore_no_background": mean_over_classes(scores.fscore, background=False),
        "fscore_with_background": mean_over_classes(scores.fscore, background=True),
    }
    short = int((clips.unique(return_counts=True)[1] <= _CLIP // 2).sum())
    if padding is not None and short:
        scores = ClassScores.join([scores, *[padding] * (short * _CLIP // 2)])
    for name, score in (("miou", scores.iou), ("fscore", scores.fscore)):
        named[f"{name}_avss"] = mean_avss(score, last=True)
        named[f"{name}_avss_without_last"] = mean_avss(score, last=False)
    return named


class SegmentationScorer:
    """mIoU and F, named after the metrics, with each kind of audio; F only for binary masks.

    Binary masks have a baseline without input, a center box of half the side, which shows how much
    of the scores the positions of the sources explain.

    Args:
        task: Segmentation task; its batches are pairs of clips, whose second clip has the
            mismatched audio, or with ``brief`` single clips.
        brief: Whether to score only matched audio.
    """

    def __init__(self, task: Segmentation | Wrapped, *, brief: bool = False) -> None:
        self.task: Segmentation = unwrapped(task)
        self.audio = AUDIO[:1] if brief else AUDIO
        self.reset()

    def reset(self) -> None:
        """Discard all batches."""
        box = (CENTER_BOX,) if self.task.binary and len(self.audio) > 1 else ()
        self.rows = {name: _Row() for name in (*self.audio, *box)}
        self._padding: ClassScores | None = None

    def update(self, batch: AVBatch) -> None:
        """Segment a batch with each audio, and score it."""
        for audio in self.audio:
            one = with_audio(batch, audio)
            logits, truth = self.task.logits(one).float(), self.task.truth(one)
            self._add(self.rows[audio], logits, truth, one.paths)
        if box := self.rows.get(CENTER_BOX):
            one = with_audio(batch, "matched")
            truth = self.task.truth(one)
            score = center_box(size=(truth.shape[1], truth.shape[2])).to(truth.device)
            self._add(box, score.logit(eps=1e-6).expand(len(truth), 1, -1, -1), truth, one.paths)
        if self._padding is None and not self.task.binary:
            self._padding = self._score_padding(batch)

    def _add(self, row: _Row, logits: Tensor, truth: Tensor, paths: tuple[str, ...]) -> None:
        """Score the masks of a batch."""
        pred = predicted_classes(logits)
        row.iou.append(iou_avsbench(pred, truth).cpu())
        if self.task.binary:
            row.curves.append(fscore_curves(logits[:, 0].sigmoid(), truth).cpu())
        pred, truth, count = pred.cpu(), truth.cpu(), self.task.num_classes
        row.classes.append(class_scores(pred, truth, num_classes=count))
        row.clips.append(torch.tensor([key(path) for path in paths]))
        if not self.task.binary:
            row.counted.append(class_scores(pred, truth, num_classes=count, skip_empty=False))

    def compute(self) -> Scores:
        """Return the scores with each audio, and of the baseline."""
        scores = {audio: row.scores(self._padding) for audio, row in self.rows.items()}
        return {audio: row for audio, row in scores.items() if row}

    def _score_padding(self, batch: AVBatch) -> ClassScores:
        """Score a black image with silence, whose ground truth is background."""
        task, one = self.task, with_audio(batch[:2], "silenced")
        image, audio = task.front_end(one)
        layers = task.encoder.intermediates(image=torch.zeros_like(image), audio=audio)
        logits = task.head(layers, grid=task.encoder.image.grid(image))
        pred = predicted_classes(logits.float()).cpu()
        truth = torch.zeros_like(pred)
        return class_scores(pred, truth, num_classes=task.num_classes, skip_empty=False)


@torch.no_grad()
def segmentation_examples(task: Segmentation, batch: AVBatch) -> dict[str, Tensor]:
    """Return images overlaid with the true mask, and with the predicted mask for each audio.

    Returns:
        Titles and batches of RGB images in [0, 1], for `avblocks.viz.panel`.
    """
    matched = with_audio(batch, "matched")
    image = task.front_end.to_rgb(task.front_end(matched)[0])
    truth = task.truth(matched)
    columns = {"image": image.cpu(), "truth": outline(mask_overlay(image, truth), truth > 0)}
    for audio in AUDIO:
        pred = predicted_classes(task.logits(with_audio(batch, audio)).float())
        columns[f"{audio} audio"] = outline(mask_overlay(image, pred), pred > 0)
    return columns

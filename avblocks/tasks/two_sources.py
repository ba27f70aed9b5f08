"""`TwoSourceScorer`: whether a localizer finds two objects of one image, each by its audio."""

from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor

from avblocks.checkpoint.whole import Wrapped, unwrapped
from avblocks.data import AVBatch
from avblocks.distributed import gather_rows
from avblocks.metrics import ciou_adaptive, ciou_auc, ciou_success, consensus_maps
from avblocks.metrics.localize_maps import Rule
from avblocks.shapes import require, require_choice
from avblocks.tasks.evaluate import Scores, joined
from avblocks.tasks.localize import SIDE, Localization


class TwoSourceScorer:
    """IIoU in percent: images in which both objects are found, each by its audio.

    Args:
        task: Localization task. Its batches are groups of three: a clip, the same image with the
            boxes of another object, and a clip with the audio of that object.
        rule: Rule for combining the boxes of several annotators.

    Raises:
        ValueError: If the rule is unknown.

    Source: Senocak et al., "Aligning Sight and Sound" (arXiv 2407.13676): an image counts if the
    cIoU of both maps is at least 0.5, at the adaptive threshold.
    """

    def __init__(self, task: Localization | Wrapped, *, rule: Rule) -> None:
        self.task: Localization = unwrapped(task)
        require_choice(*get_args(Rule), rule=rule)
        self.rule: Rule = rule
        self.reset()

    def reset(self) -> None:
        """Discard all batches."""
        self.least: list[Tensor] = []

    def update(self, batch: AVBatch) -> None:
        """Score both maps of each image."""
        require(batch.group == 3, "batch.group", batch.group, "3, see scene_second_sources")
        other = replace(batch[1::3], audio=batch.audio[2::3])
        self.least.append(torch.minimum(self._ciou(batch[0::3]), self._ciou(other)))

    def compute(self) -> Scores:
        """Return the share of images, and the area under its curve over thresholds."""
        if not len(least := gather_rows(joined(self.least))):
            return {}
        shares = {"iiou": 100 * ciou_success(least), "iiou_auc": 100 * ciou_auc(least)}
        return {"two_sources": shares}

    def _ciou(self, clips: AVBatch) -> Tensor:
        truth = consensus_maps(clips.boxes, size=SIDE, rule=self.rule)
        return ciou_adaptive(self.task.maps(clips).cpu(), truth)

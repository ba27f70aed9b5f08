"""Scores of the classification task."""

from collections.abc import Mapping, Sequence
from typing import get_args

from avblocks.checkpoint.whole import Wrapped, unwrapped
from avblocks.data import AVBatch
from avblocks.metrics import classification_scores
from avblocks.shapes import require_choice
from avblocks.tasks.classify import Classification
from avblocks.tasks.evaluate import Given, Scores
from avblocks.tasks.predictions import Predictions, WindowMean

STREAMS = ("image", "audio", "fusion")


class ClassificationScorer:
    """Scores of the logits of each stream, averaged over the windows of each clip.

    Args:
        task: Classification task.
        given: Choices of input modalities to test, such as `TESTED[task.given]`; those of training
            by default.

    Attributes:
        predictions: The logits by input modalities, after `compute`.
        streams: The scores by input modalities, stream and metric, after `compute`.
    """

    def __init__(self, task: Classification | Wrapped, *, given: Sequence[Given] = ()) -> None:
        self.task: Classification = unwrapped(task)
        self.tested: Sequence[Given] = given or (self.task.given,)
        for one in self.tested:
            require_choice(*get_args(Given), given=one)
        self.reset()

    def reset(self) -> None:
        """Discard all batches."""
        self.windows: dict[Given, WindowMean] = {one: WindowMean() for one in self.tested}
        self.predictions: dict[Given, Predictions] = {}
        self.streams: dict[Given, Scores] = {}

    def update(self, batch: AVBatch) -> None:
        """Classify a batch."""
        for given, windows in self.windows.items():
            logits = self.task.logits(batch, given=given)
            streams = {name: getattr(logits, name) for name in STREAMS}
            rows = {"all": logits.mean} | {n: x for n, x in streams.items() if x is not None}
            rows = {name: value.float().cpu() for name, value in rows.items()}
            windows.add(batch.paths, rows | {"target": batch.target.cpu()})

    def compute(self) -> Scores:
        """Return one row per stream, and one for `all`, the mean of their logits."""
        for given, windows in self.windows.items():
            found = windows.gathered()
            if found is not None:
                self.predictions[given] = found
                self.streams[given] = {
                    stream: classification_scores(
                        logits, found.target, multilabel=self.task.multilabel
                    )
                    for stream, logits in found.scores.items()
                }
        return self.rows

    @property
    def rows(self) -> dict[str, Mapping[str, float]]:
        """Return the scores by a title of input modalities and stream."""
        return {
            f"given {given}: {stream}": row
            for given, streams in self.streams.items()
            for stream, row in streams.items()
        }

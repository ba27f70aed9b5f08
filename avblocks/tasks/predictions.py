"""Logits of test clips, averaged over windows and gathered from all processes."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from avblocks.distributed import gather_lists

Row = dict[str, Tensor]
"""Values of one clip by name."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Logits of n clips in k classes, each the mean over the windows of the clip.

    Attributes:
        paths: The clips, sorted.
        target: 1 for each class of a clip, else 0.
        scores: Logits of each present stream, and of `all`, their mean.
    """

    paths: tuple[str, ...]
    target: Tensor
    scores: dict[str, Tensor]


class WindowMean:
    """Mean over the windows of each clip, across batches and processes."""

    def __init__(self) -> None:
        self.clips: dict[str, tuple[Row, int]] = {}

    def add(self, paths: Iterable[str], rows: Row) -> None:
        """Add a batch, with one row per path."""
        for index, path in enumerate(paths):
            # A view would include its whole batch when it is sent to other processes.
            self._add(path, {name: value[index].clone() for name, value in rows.items()}, 1)

    def _add(self, path: str, row: Row, count: int) -> None:
        if path in self.clips:
            before, so_far = self.clips[path]
            if not torch.allclose(before["target"] / so_far, row["target"] / count):
                raise ValueError(
                    f"clips of the path {path!r} have different targets: give each its own path"
                )
            row, count = {name: row[name] + before[name] for name in row}, count + so_far
        self.clips[path] = row, count

    def gathered(self) -> Predictions | None:
        """Return the means of all processes; `None` if there is no clip."""
        whole = WindowMean()
        for path, row, count in gather_lists([(p, *found) for p, found in self.clips.items()]):
            whole._add(path, row, count)
        clips = whole.clips
        if not clips:
            return None
        paths = tuple(sorted(clips))
        means = {
            name: torch.stack([clips[path][0][name] / clips[path][1] for path in paths])
            for name in clips[paths[0]][0]
        }
        return Predictions(paths=paths, target=means.pop("target"), scores=means)

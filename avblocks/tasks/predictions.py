"""What a classifier says of held-out clips, averaged over windows and gathered from processes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from avblocks.data import AVBatch
from avblocks.distributed import gather_lists, rank_and_world
from avblocks.heads import Logits

STREAMS = ("image", "audio", "fusion")


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Logits of n clips in k classes, each the mean over the windows of the clip."""

    paths: tuple[str, ...]
    """The clips, sorted."""

    target: Tensor
    """1 for each class of a clip, else 0."""

    scores: dict[str, Tensor]
    """Logits of each stream that was there, and of `all`, their mean."""


def predict(
    classify: Callable[[AVBatch], Logits],
    loader: Iterable[AVBatch],
    *,
    on_batch: Callable[[AVBatch], object],
    about: str,
) -> Predictions | None:
    """Classify clips; those of several windows come in as often.

    Args:
        classify: From a batch, on the host, to logits.
        loader: Held-out clips, each process its share.
        on_batch: Called with each batch, for instance to count skipped files.
        about: What the progress bar says.

    Returns:
        The predictions, in every process those of all; `None` if no clip can be used.
    """
    sums: dict[str, dict[str, Tensor]] = {}
    counts: dict[str, int] = {}
    first = rank_and_world()[0] == 0
    for batch in tqdm(loader, about, unit="batch", disable=None if first else True, leave=False):
        on_batch(batch)
        if not len(batch):
            continue
        rows = _rows(classify(batch)) | {"target": batch.target}
        for place, path in enumerate(batch.paths):
            # A view would drag its whole batch along when processes exchange rows.
            row = {name: value[place].clone() for name, value in rows.items()}
            before = sums.get(path)
            sums[path] = {n: v + before[n] for n, v in row.items()} if before else row
            counts[path] = counts.get(path, 0) + 1
    return _join(gather_lists([(path, sums[path], counts[path]) for path in sums]))


def _rows(logits: Logits) -> dict[str, Tensor]:
    streams = {name: getattr(logits, name) for name in STREAMS}
    rows = {"all": logits.mean} | {n: v for n, v in streams.items() if v is not None}
    return {name: value.float().cpu() for name, value in rows.items()}


def _join(found: list[tuple[str, dict[str, Tensor], int]]) -> Predictions | None:
    # The windows of a clip may have gone to several processes.
    clips: dict[str, tuple[dict[str, Tensor], int]] = {}
    for path, row, count in found:
        if path in clips:
            before, so_far = clips[path]
            row, count = {name: row[name] + before[name] for name in row}, count + so_far
        clips[path] = row, count
    if not clips:
        return None
    paths = tuple(sorted(clips))
    names = clips[paths[0]][0]
    means = {n: torch.stack([clips[p][0][n] / clips[p][1] for p in paths]) for n in names}
    return Predictions(paths=paths, target=means.pop("target"), scores=means)

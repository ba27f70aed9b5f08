"""Run trained models on a video, and write the results into a folder."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from avblocks.tasks import (
    Classification,
    LoadedTask,
    Localization,
    Segmentation,
    Separation,
)
from avblocks.video import VideoWindows, WindowBatch, merge_windows
from recipes.predict.classes import probabilities_of, write_classes
from recipes.predict.overlays import MapVideo, write_map_videos
from recipes.predict.sources import Guides, write_sources
from recipes.predict.together import report, run_together, share_cores
from recipes.predict.trained import Precision

FILES = {
    "README.txt": "this file",
    "file.txt": "the path of the video, by which a later command finds this folder",
    "classes.csv": "start and end of each window in seconds, and the probability of each class",
    "classes.png": "these probabilities; the colors end at the highest one",
    "localization.mp4": "heat map of similarity to the audio, each window at its own scale",
    "segmentation.mp4": "sounding objects are colored",
    "segmentation.png": "the colors of the classes in segmentation.mp4",
    "separated.wav": "the audio that belongs to the image",
    "rest.wav": "all other audio",
    "left.wav": "the audio that belongs to the left half of the image",
    "right.wav": "the audio that belongs to the right half of the image",
    "separation.png": "spectrograms of the audio before and after the separation",
}
"""Files of the results, and what they are."""

_Lines = list[list[str]]  # of each model of a job: a summary, and the files
_Job = tuple[list[int], Callable[..., _Lines]]  # numbers of models, and a function of their batches


def write_results(
    models: Sequence[LoadedTask],
    windows: Sequence[VideoWindows],
    folder: Path,
    *,
    batch: int = 8,
    guides: Guides = "whole",
    precision: Precision = "32-true",
    on_batch: Callable[[int, int], None] | None = None,
) -> _Lines:
    """Run models on their windows of a video, in batches, and write the results.

    Windows of one length are decoded once; all models run at a time, in threads, and all videos
    are drawn in one pass.

    Args:
        models: The models.
        windows: The windows of each model; the models of maps need windows of the same part and
            audio.
        folder: Folder of the results.
        batch: Windows in a batch.
        guides: Parts of the image that guide sound separation.
        precision: Precision of the models.
        on_batch: Called with the number of decoded windows and of all windows, in place of a
            progress bar, in any thread; an exception that it raises ends the work.

    Returns:
        Lines for the user, by model: a summary, and the names of the files.

    Raises:
        ClipError: If the video cannot be decoded; then nothing of the model is written.
    """
    groups: dict[Any, list[int]] = {}
    for number, some in enumerate(windows):
        groups.setdefault(some.decoding, []).append(number)
    merged = [merge_windows([windows[n] for n in numbers]) for numbers in groups.values()]
    labels = [
        " ".join([Path(windows[0].path).name, *(models[n].name for n in numbers)])
        for numbers in groups.values()
    ]
    streams = [
        some.batches(batch, progress=None if on_batch else label)
        for some, label in zip(merged, labels, strict=True)
    ]
    if on_batch is not None:
        streams = report(streams, on_batch, total=sum(map(len, merged)))
    stream_of = {n: i for i, numbers in enumerate(groups.values()) for n in numbers}

    def reading(numbers: Sequence[int], job: Callable[..., _Lines]) -> Callable[..., _Lines]:
        selects = [partial(windows[n].select, batch=batch) for n in numbers]
        return lambda *feeds: job(*(f(feed) for f, feed in zip(selects, feeds, strict=True)))

    jobs = _jobs(models, windows, folder, guides=guides, precision=precision)
    with share_cores(len(jobs)):
        found = run_together(
            streams,
            [([stream_of[n] for n in numbers], reading(numbers, job)) for numbers, job in jobs],
        )
    lines = {
        number: each
        for (numbers, _), some in zip(jobs, found, strict=True)
        for number, each in zip(numbers, some, strict=True)
    }
    remarks = [[f"remark: {some.remark}"] if some.remark else [] for some in windows]
    return [[*remarks[number], *lines[number]] for number in range(len(models))]


def _jobs(
    models: Sequence[LoadedTask],
    windows: Sequence[VideoWindows],
    folder: Path,
    *,
    guides: Guides,
    precision: Precision,
) -> list[_Job]:
    """List what is to be done with the windows of each model."""
    maps = [
        n for n, each in enumerate(models) if isinstance(each.task, Localization | Segmentation)
    ]
    videos = [MapVideo(models[n], windows[n], precision=precision) for n in maps]
    options: dict[str, Any] = {"folder": folder, "guides": guides, "precision": precision}
    jobs: list[_Job] = [
        ([n], partial(_write, models[n], windows[n], **options))
        for n in range(len(models))
        if n not in maps
    ]
    draw = partial(write_map_videos, videos, folder=folder)
    return [*jobs, (maps, draw)] if videos else jobs


def _write(
    trained: LoadedTask,
    windows: VideoWindows,
    batches: Iterator[WindowBatch],
    *,
    folder: Path,
    guides: Guides,
    precision: Precision,
) -> _Lines:
    match trained.task:
        case Classification() as model:
            answers = probabilities_of(model, batches, precision=precision)
            return [write_classes(answers, trained.classes, windows, folder)]
        case Separation() as model:
            files = write_sources(
                model, windows, batches, folder, guides=guides, precision=precision
            )
            return [[f"in {folder}: {' '.join(files)}"]]
        case _:
            raise TypeError(f"{trained.path}: no predictions for the task {trained.name}")

r"""Predict on your own videos: classes over time, sound localization, masks, separated audio.

Commands:
    python -m recipes.predict FILE... --checkpoint RUN...

    FILE is an mp4, mov, mkv, webm or avi file with images and audio, up to a day long. RUN is the
    run folder of paper_finetune, paper_linear_probe, paper_localize, paper_separate or
    paper_segment, a checkpoint in one, or a folder of recipes.export; several of different tasks
    may be given.

Leaves, in a folder for each file:
    classification  classes.csv classes.png: the probability of each class in each window
    localization    localization.mp4: a heat map of the similarity to the audio; each
                    window has its own scale, so some area is bright even for silent audio
    segmentation    segmentation.mp4: sounding objects are colored; segmentation.png is the legend
                    of the classes, if the model has several
    separation      separated.wav: the audio that belongs to the image; rest.wav: all other audio;
                    separation.png: spectrograms; with --guides halves also left.wav and right.wav:
                    the audio that belongs to each half of the image
    README.txt      what each file is, the models, and what they were trained on

Windows are as long as those that the model was trained on. The whole image is resized to the
square input of the model. The exit code is 0 if all files can be used, 1 if any cannot, and 2 if
the command itself is wrong.

Try:
    --hop 0.5         (more windows)
"""

import gc
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import inf
from pathlib import Path
from typing import Annotated, Any

import tyro

from avblocks.data import ClipError
from avblocks.files import sweep, write_text
from avblocks.tasks import LoadedTask, Separation
from avblocks.video import open_windows
from recipes.common.cli import run_options
from recipes.engine.command import command_line
from recipes.engine.folder import check_writable
from recipes.engine.readme import described, write_readme
from recipes.predict.results import FILES, write_results
from recipes.predict.sources import Guides
from recipes.predict.trained import (
    Precision,
    check_precision,
    find_device,
    hop_of,
    load_all,
    origin,
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Videos, models, and how to cut windows."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE...")] = ()
    """Videos."""

    checkpoint: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN...")] = ()
    """Run folders, checkpoints in them, or folders of recipes.export."""

    out: Path = Path("runs/predict")
    """Folder of the results; each file gets a folder of its name in it."""

    hop: float | None = None
    """Seconds from one window to the next; by default the length of a window, or half of it for
    sound separation, so that each window fades into the next."""

    batch: int = 8
    """Windows in a batch."""

    guides: Guides = "whole"
    """Parts of the image that guide sound separation: the whole image, or its two halves too."""

    start: float = 0.0
    """Start of the part of the video that is read, in seconds."""

    end: float | None = None
    """End of that part; the end of the video if not given."""

    device: str | None = None
    """Device: cpu, cuda or cuda:N; by default a GPU if there is one."""

    precision: Precision = "32-true"
    """Precision of the models."""


def main(config: Config) -> None:
    """Run all models on each file; a file that cannot be used does not stop the others."""
    if not config.files or not config.checkpoint or config.batch < 1:
        raise ValueError("give at least one FILE, one --checkpoint RUN and a --batch of 1 or more")
    if not 0 <= config.start < (inf if config.end is None else config.end):
        end = "" if config.end is None else f" {config.end:g}"
        raise ValueError(f"--start {config.start:g} must be 0 or more, and before --end{end}")
    check_precision(config.precision, find_device(config.device))
    check_writable(config.out, option="--out")
    models = load_all(config.checkpoint, device=config.device)
    if config.guides != "whole" and not any(isinstance(m.task, Separation) for m in models):
        raise ValueError(f"--guides {config.guides} is for a run of paper_separate")
    hops = [hop_of(trained, config.hop) for trained in models]
    errors = 0
    for file in dict.fromkeys(config.files):
        try:
            predict(file, models, hops, config)
        except ClipError as error:
            errors += 1
            print(f"error: {error}", file=sys.stderr, flush=True)
    if errors:
        sys.exit(1)


def predict(file: Path, models: Sequence[LoadedTask], hops: Sequence[int], config: Config) -> None:
    """Run all models on a file, write the results into its folder and print a summary.

    Each model has its hop, samples from one window to the next.

    Raises:
        ClipError: If the file cannot be used.
    """
    whole = config.start == 0 and config.end is None
    part = None if whole else (config.start, inf if config.end is None else config.end)
    windows = [
        open_windows(file, trained.format, hop=hop, part=part)
        for trained, hop in zip(models, hops, strict=True)
    ]
    folder = folder_of(file, config.out)
    options: dict[str, Any] = {"guides": config.guides, "precision": config.precision}
    found = write_results(models, windows, folder, batch=config.batch, **options)
    for trained, lines in zip(models, found, strict=True):
        print(f"{file}, {trained.name}", origin(trained), *lines, sep="\n  ", flush=True)
    sections = {f"Model of the {trained.name}": origin(trained) for trained in models}
    sections |= {"Part": f"from {part[0]:g} s to {part[1]:g} s"} if part else {}
    sections |= {"Command": command_line()}
    files = described(folder, FILES)
    write_readme(folder, title=f"Predictions for {file}", files=files, sections=sections)


def folder_of(file: Path, out: Path) -> Path:
    """Make the folder of a file: named after it, and numbered if another file has that name."""
    for number in count(1):
        folder = out / (file.stem if number == 1 else f"{file.stem}-{number}")
        mark, path = folder / "file.txt", str(file.resolve())
        if not folder.exists():
            folder.mkdir(parents=True)
            write_text(mark, path)
        if mark.is_file() and mark.read_text(encoding="utf-8", errors="surrogateescape") == path:
            sweep(folder)  # a killed run may have left gigabytes
            return folder
    raise AssertionError("unreachable")


if __name__ == "__main__":
    gc.freeze()  # what is imported stays to the end: half a second less to leave
    run_options(main, Config, doc=__doc__)

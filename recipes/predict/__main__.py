r"""What trained models find in your own videos: events, where they sound, their sounds, masks.

Commands:
    python -m recipes.predict FILE... --checkpoint RUN...

    FILE is an mp4, mov, mkv, webm or avi file with picture and sound, up to a day long. RUN is the
    run folder of paper_finetune, paper_linear_probe, paper_localize, paper_separate or
    paper_segment, or a checkpoint in one; several of different tasks may be given.

Leaves, in a folder for each file:
    classification  classes.csv classes.png: how likely each class is in each window
    localization    localization.mp4: from what is least like the sound, blue, to what is most, red,
                    in each window, so that something is red in silence too
    segmentation    segmentation.mp4: what sounds is coloured; segmentation.png says which class is
                    which colour, where the model tells classes apart
    separation      separated.wav: what belongs to the picture; rest.wav: all else; separation.png
                    with --guides halves also left.wav and right.wav: what belongs to each half

Windows are as long as those that the model was trained on, and the whole picture is squeezed into
its square. The exit code is 0 if all files can be used, 1 if any cannot, and 2 if the command
itself is wrong.

Try:
    --hop 0.5         (look oftener)
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil
from pathlib import Path
from typing import Annotated

import tyro

from avblocks.data import ClipError
from avblocks.tasks.separate import Separation
from avblocks.video.film import open_film
from recipes.common.cli import users_errors
from recipes.predict.found import write_found
from recipes.predict.sources import Guides
from recipes.predict.trained import Trained, load_all


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to look at, and with what."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE...")] = ()
    """Videos."""

    checkpoint: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN...")] = ()
    """Run folders, or checkpoints in them."""

    out: Path = Path("runs/predict")
    """Folder of the results; each file gets a folder of its name in it."""

    hop: float | None = None
    """Seconds from one window to the next; by default a window's length, or half of it where sounds
    are separated, so that each fades into the next."""

    batch: int = 8
    """Windows at a time."""

    guides: Guides = "whole"
    """What separates sounds: the whole picture, or its left and its right half too."""


def main(config: Config) -> None:
    """Ask all models about each file; go on with the next file where one cannot be used."""
    if not config.files or not config.checkpoint or config.batch < 1:
        raise ValueError("give at least one FILE, one --checkpoint RUN and a --batch of 1 or more")
    models = load_all(config.checkpoint)
    if config.guides != "whole" and not any(isinstance(m.model, Separation) for m in models):
        raise ValueError(f"--guides {config.guides} is for a run of paper_separate")
    hops = [hop_of(trained, config.hop) for trained in models]
    bad = 0
    for file in dict.fromkeys(config.files):
        try:
            films = [
                open_film(str(file), trained.format, hop=hop)
                for trained, hop in zip(models, hops, strict=True)
            ]
            folder = folder_of(file, config.out)
            for trained, film in zip(models, films, strict=True):
                lines = write_found(trained, film, folder, batch=config.batch, guides=config.guides)
                print(f"{file}, {trained.task}", *lines, sep="\n  ", flush=True)
        except ClipError as error:
            bad += 1
            print(f"error: {error}", file=sys.stderr, flush=True)
    if bad:
        sys.exit(1)


def hop_of(trained: Trained, seconds: float | None) -> int:
    """Say how many samples it is from one window to the next.

    Raises:
        ValueError: If windows would leave gaps, or never get on.
    """
    length, rate = trained.format.samples, trained.format.rate
    if seconds is None:
        return ceil(length / 2) if isinstance(trained.model, Separation) else length
    hop = round(seconds * rate)
    if not 1 <= hop <= length:
        raise ValueError(
            f"--hop must be above 0 and at most {trained.format.seconds:g}, the windows of "
            f"{trained.path}, got {seconds:g}"
        )
    return hop


def folder_of(file: Path, out: Path) -> Path:
    """Make the folder of a file: named after it, and numbered if that is another file's."""
    for number in count(1):
        folder = out / (file.stem if number == 1 else f"{file.stem}-{number}")
        mark, path = folder / "file.txt", str(file.resolve())
        if not folder.exists():
            folder.mkdir(parents=True)
            mark.write_text(path, encoding="utf-8", errors="surrogateescape")
        if mark.is_file() and mark.read_text(encoding="utf-8", errors="surrogateescape") == path:
            return folder
    raise AssertionError("numbers do not end")


def cli(args: Sequence[str] | None = None) -> None:
    """Read the command line, then call `main`; a user's mistake is one line, as in `run_cli`."""
    with users_errors():
        main(tyro.cli(Config, prog="python -m recipes.predict", description=__doc__, args=args))


if __name__ == "__main__":
    cli()

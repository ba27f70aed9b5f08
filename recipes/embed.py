r"""Embed videos or a data set: image, audio and fusion features of each window.

Commands:
    python -m recipes.embed FILE... --checkpoint RUN --out DIR
    python -m recipes.embed --name vggsound --root DIR --split test --checkpoint RUN --out DIR

    RUN is the run folder of a recipe that trains, a checkpoint in one, or a folder of
    recipes.export. A data set may also be given as shards (`--shards DIR`).

Leaves, in DIR:
    00000.safetensors ...   `image`, `audio` and `fusion`, one row per window: the mean of the
                            tokens of each stream, or all tokens (`--pooling tokens`)
    index.csv               file and row of each window, its clip, its number in the clip, its start
                            and end in seconds (of videos), and the classes of the clip
    settings.json           what they depend on: sizes of clips, checksum of the weights, options

The same command resumes after an interruption. Several processes or machines may write to one
folder: `--part 0 4` embeds the first of four parts.
`recipes.common.embeddings.load_embeddings(DIR)` loads all parts.

Try:
    --apart      (modalities separately, for python -m recipes.retrieve --embeddings DIR)
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from avblocks.csvlog import read_csv
from avblocks.data import ClipFormat
from avblocks.data.datasets import ClipSet
from avblocks.tasks import Embedding
from avblocks.tasks.embed import Pooling
from recipes.common.checks import OF_FRAMES, hop_samples
from recipes.common.cli import run_options
from recipes.common.data import Data, test_set, train_set
from recipes.common.embed_windows import embed_clips, embed_files
from recipes.common.embeddings import EmbeddingWriter, settings_of
from recipes.common.run_files import check_out
from recipes.common.runs import load_encoder_run
from recipes.common.sets import DataName


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE...")] = ()
    """Videos, unless a data set is given."""

    checkpoint: Path | None = None
    """A run folder, a checkpoint in one, or a folder of recipes.export."""

    out: Path | None = None
    """Folder of the embeddings."""

    name: DataName | None = None
    """Data set, instead of FILEs."""

    root: Path | None = None
    """Folder of the data set."""

    shards: str | None = None
    """Folder of shards of the data set, instead of the clips."""

    split: Literal["train", "test"] = "test"
    """Split of the data set."""

    list: Path | None = None
    """csv with the ids of the clips of the data set to embed; all clips if not given."""

    windows: int = 1
    """Evenly spaced windows per clip of a data set."""

    hop: float | None = None
    """Seconds from one window of a FILE to the next; the length of a window if not given."""

    pooling: Pooling = "mean"
    """The mean of the tokens of a stream, or all tokens."""

    apart: bool = False
    """Encode image and audio separately."""

    batch: int = 16
    """Windows per batch."""

    workers: int | Literal["auto"] = "auto"
    """Data loader processes, for a data set."""

    part: tuple[int, int] = (0, 1)
    """Index of the part to embed, from 0, and number of parts."""


def main(config: Config) -> None:
    """Embed window by window, and skip clips that are in the index already."""
    if config.checkpoint is None or config.out is None or bool(config.files) == bool(config.name):
        raise ValueError("give a --checkpoint RUN, an --out DIR, and FILEs or a data set's --name")
    check_out(config.out)
    number, count = config.part
    if not 0 <= number < count or config.batch < 1 or config.windows < 1:
        raise ValueError("--part NUMBER COUNT counts from 0; --batch and --windows are at least 1")
    _check_options(config)
    encoder, front_end = load_encoder_run(config.checkpoint)
    model = Embedding(encoder, front_end=front_end, pooling=config.pooling, apart=config.apart)
    model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    part = f"{number}-of-{count}-" if count > 1 else ""
    if config.files and (frames := front_end.format.frames) > 1:
        raise ValueError(f"{config.checkpoint} {OF_FRAMES.format(frames)}: give a data set, --name")
    if config.hop is not None:
        hop_samples(config.hop, front_end.format, of=config.checkpoint)
    settings = settings_of(model, windows=config.windows, hop=config.hop)
    with EmbeddingWriter(config.out, part=part, settings=settings) as writer:
        if config.files:
            files = list(dict.fromkeys(config.files[number::count]))
            errors = embed_files(files, model, writer, hop=config.hop, batch=config.batch)
        else:
            data = _data(config, front_end.format)
            sizes = {"batch": config.batch, "windows": config.windows}
            errors = embed_clips(_clips(data, config), data, model, writer, **sizes)
    windows = len(read_csv(writer.log.path)[1])
    print(f"{config.out}: {windows} windows in {writer.log.path.name}")
    if errors:
        sys.exit(1)


def _check_options(config: Config) -> None:
    """Raise a ValueError for an option of data sets beside FILEs, and vice versa."""
    of_set = ("root", "shards", "list")
    wrong = [f"--{name}" for name in of_set if config.files and getattr(config, name) is not None]
    wrong += ["--windows"] if config.files and config.windows != 1 else []
    if wrong:
        raise ValueError(f"{wrong[0]} is for a data set, given by --name, and not for FILEs")
    if config.name and config.hop is not None:
        raise ValueError("--hop is for FILEs: give --windows, the number per clip of a data set")


def _clips(data: Data, config: Config) -> ClipSet:
    """List the clips of the part to embed."""
    number, count = config.part
    clips = train_set(data) if config.split == "train" else test_set(data)
    if clips is None:
        raise ValueError(f"{data.name} has no test clips: give --split train")
    return replace(clips, items=clips.items[number::count])


def _data(config: Config, format: ClipFormat) -> Data:
    assert config.name is not None
    return Data(
        name=config.name,
        root=config.root,
        shards=config.shards,
        # Of your own folders, the clips of a test list are not for training.
        list=config.list if config.split == "train" else None,
        test_list=config.list if config.split == "test" else None,
        workers=config.workers,
        on_error="skip",
        max_skipped=1.0,
        **format.to_dict(),
    )


if __name__ == "__main__":
    run_options(main, Config, doc=__doc__)

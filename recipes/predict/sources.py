"""The sound of a video in parts, by what belongs to its pictures."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from avblocks.data.write import wave_writer
from avblocks.tasks.separate import Separation
from avblocks.video.film import Film
from avblocks.video.overlap import OverlapAdd, Strip
from avblocks.video.windows import Part, Windows
from recipes.predict.figures import sound_strips
from recipes.predict.trained import asked

Guides = Literal["whole", "halves"]
"""What asks for a sound: the whole picture, or each half of it too."""


def separate(
    model: Separation, film: Film, stream: Iterator[Windows], folder: Path, *, guides: Guides
) -> str:
    """Write the parts of a file's sound, and their spectrograms.

    Args:
        model: What separates.
        film: The file.
        stream: Its windows.
        folder: Where to.
        guides: What of the pictures is asked for.

    Returns:
        The names of the files.

    Raises:
        ClipError: If the file cannot be decoded; then there are no files.
    """
    parts: tuple[Part, ...] = ("whole", "left", "right") if guides == "halves" else ("whole",)
    names = ("mixture", "separated", "rest", *parts[1:])
    strip = Strip(film.format, total=film.total)
    with ExitStack() as files:
        paths = {name: folder / f"{name}.wav" for name in names[1:]}
        write = [
            files.enter_context(wave_writer(path, rate=film.format.rate)) for path in paths.values()
        ]
        for mixture, separated, *halves in _joined(model, film, stream, parts=parts):
            sounds = torch.stack([mixture, separated, mixture - separated, *halves])
            strip.add(sounds)
            for put, samples in zip(write, sounds[1:], strict=True):
                put(samples)
    sound_strips(
        folder / "separation.png",
        dict(zip(names, strip.rest(), strict=True)),
        start=film.begin - film.zero,
        seconds=film.total / film.format.rate,
    )
    return " ".join([*(path.name for path in paths.values()), "separation.png"])


def _joined(
    model: Separation, film: Film, stream: Iterator[Windows], *, parts: tuple[Part, ...]
) -> Iterator[Tensor]:
    """Give the mixture, and what of it belongs to each part of the pictures, piece by piece."""
    join = OverlapAdd(1 + len(parts), length=film.format.samples, total=film.total)
    for some in stream:
        found = [asked(model, model.separate, some.batch(part=part)) for part in parts]
        windows_of = torch.stack([some.audio, *found], dim=1)
        for start, sounds in zip(some.starts, windows_of, strict=True):
            yield join.add(sounds, start=start)
    yield join.rest()

"""Sound separation of a video: the audio that belongs to its images, and the rest."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from avblocks.data.write import wave_writer
from avblocks.tasks import Separation
from avblocks.video import SpectrogramStrip, VideoWindows, WindowBatch, overlap_add
from avblocks.video.batch import ImagePart
from recipes.predict.figures import draw_spectrograms
from recipes.predict.trained import Precision, infer

Guides = Literal["whole", "halves"]
"""Parts of the images that guide the separation: the whole image, or its halves too."""


def write_sources(
    model: Separation,
    windows: VideoWindows,
    batches: Iterator[WindowBatch],
    folder: Path,
    *,
    guides: Guides,
    precision: Precision,
) -> list[str]:
    """Write the separated audio as wav files, and its spectrograms; return the files' names.

    Raises:
        ClipError: If the video cannot be decoded; then there are no files.
    """
    parts: tuple[ImagePart, ...] = ("whole", "left", "right") if guides == "halves" else ("whole",)
    names = ("mixture", "separated", "rest", *parts[1:])
    files = [f"{name}.wav" for name in names[1:]]
    rate, num_samples = windows.format.rate, windows.num_samples
    strip = SpectrogramStrip(windows.format, num_samples=num_samples)
    signals = _separate(model, batches, parts=parts, precision=precision)
    with ExitStack() as stack:
        writers = [stack.enter_context(wave_writer(folder / file, rate=rate)) for file in files]
        for audio in overlap_add(signals, starts=windows.starts, num_samples=num_samples):
            mixture, separated, *halves = audio
            pieces = torch.stack([mixture, separated, mixture - separated, *halves])
            strip.update(pieces)
            for write, piece in zip(writers, pieces[1:], strict=True):
                write(piece)
    draw_spectrograms(
        folder / "separation.png",
        dict(zip(names, strip.compute(), strict=True)),
        start=windows.offset,
        seconds=num_samples / rate,
    )
    return [*files, "separation.png"]


def _separate(
    model: Separation,
    batches: Iterator[WindowBatch],
    *,
    parts: Sequence[ImagePart],
    precision: Precision,
) -> Iterator[Tensor]:
    """Yield the mixture, and the audio that belongs to each part of the image, by window."""
    for windows in batches:
        outputs = [
            infer(model, model.separate, windows.to_batch(part=part), precision=precision)
            for part in parts
        ]
        yield from torch.stack([windows.audio, *outputs], dim=1)

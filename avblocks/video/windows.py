"""Windows of a video in batches; never more of it in memory than one batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from avblocks.data import AVBatch, whole_picture
from avblocks.data.decode.frames import Picture, decode_frames
from avblocks.data.decode.media import open_media
from avblocks.video.audio import sounds
from avblocks.video.film import Film

Part = Literal["whole", "left", "right"]
"""What of each picture a model sees."""
Image = UInt8[Tensor, "3 height width"]


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Some windows of a file: the picture in the middle of each, and its sound."""

    film: Film
    starts: tuple[int, ...]
    images: tuple[Image, ...]
    audio: Float[Tensor, "b s"]

    def batch(self, *, part: Part = "whole") -> AVBatch:
        """Make of them what a model is called with, a part of each picture squeezed to a square."""
        count, size = len(self.starts), self.film.format.size
        squares = [whole_picture(_part(image, part), size=size) for image in self.images]
        return AVBatch(
            image=torch.stack([image for image, _ in squares]),
            audio=self.audio,
            flip=torch.zeros(count, dtype=torch.bool),
            gain=torch.zeros(count),
            target=torch.zeros(count, 0),
            seeds=(0,) * count,
            paths=(self.film.path,) * count,
            crop=torch.stack([box for _, box in squares]),
            size=size,
        )


def windows(film: Film, *, batch: int, about: str = "") -> Iterator[Windows]:
    """Read the windows of a file in one pass, some at a time, behind a progress bar.

    Args:
        film: The file.
        batch: How many at a time.
        about: What they are read for, said by the bar.

    Yields:
        The next ones.

    Raises:
        ClipError: If the file cannot be decoded.
    """
    times = [film.zero + (start + end) / 2 for start, end in film.spans]
    name, count = f"{Path(film.path).name} {about}", len(film.starts)
    with (
        open_media(film.path) as seen,
        open_media(film.path) as heard,
        tqdm(desc=name, total=count, unit="window", leave=False, disable=None) as bar,
    ):
        pictures = decode_frames(seen, times=times)
        stream = zip(film.starts, pictures, sounds(film, heard), strict=True)
        while some := list(islice(stream, batch)):
            starts, shown, audio = zip(*some, strict=True)
            images = tuple(map(_image, shown))
            yield Windows(film=film, starts=starts, images=images, audio=torch.stack(audio))
            bar.update(len(some))


def _image(picture: Picture) -> Image:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def _part(image: Image, part: Part) -> UInt8[Tensor, "3 height part_width"]:
    middle = image.shape[2] // 2
    return {"whole": image, "left": image[:, :, :middle], "right": image[:, :, middle:]}[part]

"""`WindowBatch`: some windows of a video, each with the image at its center."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from avblocks.data import AVBatch, whole_square
from avblocks.shapes import require_choice

ImagePart = Literal["whole", "left", "right"]
"""Part of each image that a model is given."""
Image = UInt8[Tensor, "3 height width"]


@dataclass(frozen=True, kw_only=True)
class WindowBatch:
    """Consecutive windows of a video: the image at the center of each, and its audio.

    Attributes:
        path: The video.
        size: Side of the square image that the model reads, pixels.
        starts: First sample of each window in the video's audio.
        images: RGB images of the size of the video.
        audio: Mono samples in [-1, 1]; audio shorter than a window is repeated in mirror image.
    """

    path: str
    size: int
    starts: tuple[int, ...]
    images: tuple[Image, ...]
    audio: Float[Tensor, "b s"]

    def __len__(self) -> int:
        return len(self.starts)

    def to_batch(self, *, part: ImagePart = "whole") -> AVBatch:
        """Build the input batch of a model: whole images, or a part of each, resized to squares.

        Raises:
            ValueError: If there is no such part.
        """
        require_choice(*get_args(ImagePart), part=part)
        squares = [whole_square(_crop(image, part), size=self.size) for image in self.images]
        return AVBatch(
            image=torch.stack([image for image, _ in squares]),
            audio=self.audio,
            flip=torch.zeros(len(self), dtype=torch.bool),
            gain=torch.zeros(len(self)),
            target=torch.zeros(len(self), 0),
            seeds=(0,) * len(self),
            paths=(self.path,) * len(self),
            crop=torch.stack([box for _, box in squares]),
            size=self.size,
        )

    @classmethod
    def join(cls, parts: "Sequence[WindowBatch]") -> "WindowBatch":
        """Join consecutive windows of one video."""
        return replace(
            parts[0],
            starts=tuple(start for part in parts for start in part.starts),
            images=tuple(image for part in parts for image in part.images),
            audio=torch.cat([part.audio for part in parts]),
        )

    def split(self) -> "list[WindowBatch]":
        """Return each window as a separate batch."""
        return [
            replace(self, starts=(start,), images=(image,), audio=audio[None])
            for start, image, audio in zip(self.starts, self.images, self.audio, strict=True)
        ]


def _crop(image: Image, part: ImagePart) -> UInt8[Tensor, "3 height part_width"]:
    center = image.shape[2] // 2
    return {"whole": image, "left": image[:, :, :center], "right": image[:, :, center:]}[part]

"""A decoded clip, and the error for a file that cannot be used."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, UInt8
from torch import Tensor


class ClipError(ValueError):
    """A file cannot be used: ``path`` is the file and ``reason`` the reason.

    ``reason`` is empty if the error comes from a ``DataLoader`` worker: torch raises it again with
    a single argument, a text that ends with the original message.
    """

    def __init__(self, path: str, reason: str = "") -> None:
        # Both go to the base class: exceptions are pickled by their arguments.
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.reason else self.path


@dataclass(frozen=True)
class Frames:
    """All images of a clip with several image files.

    Attributes:
        image: RGB images.
        time: Time of each image, seconds from the beginning of the clip's audio; NaN if unknown.
        mask: Class numbers of the pixels, 0 for background and for images without a mask.
        masked: Which images have a mask.
    """

    image: UInt8[Tensor, "t 3 height width"]
    time: Float[Tensor, " t"]
    mask: UInt8[Tensor, "t height width"]
    masked: Bool[Tensor, " t"]


@dataclass(frozen=True, repr=False)
class AVClip:
    """A window of audio with its image or images, and their annotation.

    Attributes:
        image: RGB image, or ``t`` frames if several were read.
        audio: Mono samples in [-1, 1].
        rate: Samples per second.
        path: Source file.
        labels: Class numbers of the clip.
        time: Time of the first frame, seconds from the beginning of ``audio``, if known.
        boxes: Left, top, right and bottom of each sounding object, relative to the sides of the
            image, by all annotators; empty if no source is visible, ``None`` without annotation.
        mask: Class numbers of the pixels, 0 for background; only 0 and 1 for binary masks.
        frames: All images, if the clip has several image files; ``image`` is one of them.
    """

    image: UInt8[Tensor, "3 *t height width"]
    audio: Float[Tensor, " s"]
    rate: int
    path: str
    labels: tuple[int, ...] = ()
    time: float | None = None
    boxes: Float[Tensor, "boxes 4"] | None = None
    mask: UInt8[Tensor, "height width"] | None = None
    frames: Frames | None = None

    def __repr__(self) -> str:
        boxes = "" if self.boxes is None else f", boxes={len(self.boxes)}"
        mask = "" if self.mask is None else f", mask={tuple(self.mask.shape)}"
        frames = "" if self.frames is None else f", frames={len(self.frames.time)}"
        return (
            f"AVClip(image={tuple(self.image.shape)}, audio={tuple(self.audio.shape)}, "
            f"rate={self.rate}, path={self.path!r}, labels={self.labels}{boxes}{mask}{frames})"
        )

"""A clip as it comes from its files, and the error of a file that gives none."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, UInt8
from torch import Tensor


class ClipError(ValueError):
    """A file that cannot be used, ``path``, and why not, ``reason``.

    The reason is empty if the error comes through a ``DataLoader``'s worker: torch raises it again
    with one argument, a text that ends in the original line.
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
    """All pictures of a clip that has several beside its sound.

    Attributes:
        image: RGB frames.
        time: When each is shown, seconds from the beginning of the clip's sound; NaN if unknown.
        mask: Class numbers of the pixels, 0 for background and where there is no mask.
        masked: Which frames have a mask.
    """

    image: UInt8[Tensor, "t 3 height width"]
    time: Float[Tensor, " t"]
    mask: UInt8[Tensor, "t height width"]
    masked: Bool[Tensor, " t"]


@dataclass(frozen=True, repr=False)
class AVClip:
    """One picture and the sound around it, and what is known of them.

    Attributes:
        image: RGB frame, or ``t`` frames if several were wanted.
        audio: Mono samples in [-1, 1].
        rate: Samples per second.
        path: Where it came from.
        labels: Numbers of its classes.
        time: When the first picture is shown, seconds from the beginning of ``audio``, if known.
        boxes: Left, top, right, bottom of what sounds, in shares of the sides, of all annotators;
            none in a picture without visible source, ``None`` without annotation.
        mask: Class numbers of the pixels, 0 for background; 0 and 1 where classes are not told
            apart.
        frames: All pictures, where there are several; ``image`` is one of them.
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

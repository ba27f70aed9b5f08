"""A clip as it comes from a file, and the error of a file that gives none."""

from dataclasses import dataclass

from jaxtyping import Float, UInt8
from torch import Tensor


class ClipError(ValueError):
    """A file that cannot be used.

    Attributes:
        path: The file.
        reason: What is wrong with it. Empty if the error comes through a ``DataLoader``'s worker:
            torch raises it again with one argument, a text that ends in the original line.
    """

    def __init__(self, path: str, reason: str = "") -> None:
        # Both go to the base class: exceptions are pickled by their arguments.
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.reason else self.path


@dataclass(frozen=True, repr=False)
class AVClip:
    """One picture and the sound around it.

    Attributes:
        image: RGB frame.
        audio: Mono samples in [-1, 1].
        rate: Samples per second.
        path: Where it came from.
        labels: Numbers of its classes.
    """

    image: UInt8[Tensor, "3 height width"]
    audio: Float[Tensor, " s"]
    rate: int
    path: str
    labels: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return (
            f"AVClip(image={tuple(self.image.shape)}, audio={tuple(self.audio.shape)}, "
            f"rate={self.rate}, path={self.path!r}, labels={self.labels})"
        )

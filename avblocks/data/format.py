"""`ClipFormat`: the input format of a model."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from operator import index
from typing import Any

from avblocks.shapes import require


@dataclass(frozen=True, kw_only=True)
class ClipFormat:
    """Length, rate and sizes of the clips that a model reads; the defaults are the paper's.

    `ClipDataset` and `FrontEnd` use it for clips, images and spectrograms; exported encoders store
    it.

    Attributes:
        seconds: Length of the audio window.
        rate: Audio samples per second.
        size: Side of the square image, pixels.
        mels: Mel bins of the spectrogram.
        hop: Samples between frames of the spectrogram; 250 at 16 kHz are 64 frames per second.
        frames: Number of images, evenly spaced over the window; with more than one, a video.

    Raises:
        ValueError: If a number is out of range, or the window is shorter than ``hop``.

    >>> ClipFormat().audio_size, ClipFormat(seconds=1.0, mels=64).audio_size
    ((128, 192), (64, 64))
    """

    seconds: float = 3.0
    rate: int = 16000
    size: int = 224
    mels: int = 128
    hop: int = 250
    frames: int = 1

    def __post_init__(self) -> None:
        fits = isinstance(self.seconds, int | float) and isfinite(self.seconds) and self.seconds > 0
        require(fits, "seconds", self.seconds, "a number above 0")
        for name, least in (("rate", 1), ("size", 2), ("mels", 1), ("hop", 1), ("frames", 1)):
            value = getattr(self, name)
            whole = hasattr(value, "__index__")
            require(whole and value >= least, name, value, f"an integer of at least {least}")
            object.__setattr__(self, name, index(value))  # of NumPy's integers
        filters = self.rate // 40 * self.mels  # the mel filters, frequencies by bins
        require(filters <= 2**24, "mels", self.mels, f"fewer at a rate of {self.rate}")
        require(self.samples >= self.hop, "hop", self.hop, f"at most the {self.samples} samples")

    @property
    def samples(self) -> int:
        """Number of samples of an audio window."""
        return round(self.seconds * self.rate)

    @property
    def image_size(self) -> tuple[int, ...]:
        """Height and width of an image; frames, height and width of a video."""
        return (self.size, self.size) if self.frames == 1 else (self.frames, self.size, self.size)

    @property
    def audio_size(self) -> tuple[int, int]:
        """Mel bins and frames of a spectrogram."""
        return self.mels, self.samples // self.hop

    @property
    def mel_settings(self) -> dict[str, int]:
        """Arguments of `LogMel` and `MelMasking` for this format, with windows of 50 ms."""
        return {
            "rate": self.rate,
            "n_fft": max(self.rate // 20, 1),
            "hop": self.hop,
            "n_mels": self.mels,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers by name, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ClipFormat":
        """Build a format from a dictionary returned by `to_dict`.

        Raises:
            ValueError: If a name is missing or unknown, or a number is out of range.
        """
        names = set(cls.__dataclass_fields__)
        values = {"frames": 1, **values}  # absent in older files
        require(set(values) == names, "format", sorted(values), f"the numbers {sorted(names)}")
        return cls(**values)

    def __str__(self) -> str:
        image, audio = (" x ".join(map(str, sides)) for sides in (self.image_size, self.audio_size))
        return f"{image} pixels and {audio} mel bins and frames"

"""Sound files whose moments are known, and picture files that are numbered."""

import wave
from pathlib import Path

import numpy as np
from clip_files import chirp, counter

from avblocks.data.write import write_image


def write_sound(path: Path, *, seconds: float = 5.0, rate: int = 16000) -> Path:
    """Write a chirp as 16-bit samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = chirp(np.arange(round(seconds * rate)) / rate) * 32767
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.round().astype("<i2").tobytes())
    return path


def write_number(path: Path, number: int = 0, **size: int) -> Path:
    """Write a picture that spells a number."""
    write_image(path, counter(number, **size))
    return path


def write_mask(path: Path, mask: np.ndarray) -> Path:
    """Write a picture of one channel, or of three if the last axis is."""
    write_image(path, mask.astype(np.uint8))
    return path

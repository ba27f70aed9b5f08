"""Three tiny ingredients and backgrounds for composed scenes, drawn here."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from avblocks.data.write import write_image, write_wave

RATE = 16000
COLORS = {"cat": (220, 40, 40), "dog": (40, 200, 40), "owl": (50, 60, 220)}
PITCHES = {"cat": 440.0, "dog": 1000.0, "owl": 2200.0}


def disk(color, *, size=48):
    """A disk whose lower half is darker, on transparent surroundings."""
    y, x = np.mgrid[:size, :size] + 0.5
    image = np.zeros((size, size, 4), dtype=np.uint8)
    image[..., :3] = np.where(y[..., None] < size / 2, color, np.asarray(color) // 2)
    image[..., 3] = 255 * (np.hypot(x - size / 2, y - size / 2) < 0.45 * size)
    return image


def tone(pitch, *, seconds=1.5, rate=RATE):
    """A tone that swells and fades."""
    clock = np.arange(round(seconds * rate)) / rate
    return 0.5 * np.sin(2 * np.pi * pitch * clock) * np.sin(np.pi * clock / seconds) ** 0.2


def encode_audio(path, samples, *, codec, kind):
    """Write mono samples as ogg or mp3."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            samples[None].astype(np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_ingredient(root: Path, name: str, *, image=None, audio=None) -> Path:
    """Write the two files of an ingredient; ``name`` is CLASS/NAME."""
    kind = name.split("/")[0]
    image = disk(COLORS[kind]) if image is None else image
    audio = tone(PITCHES[kind]) if audio is None else audio
    write_image(root / f"{name}.png", image)
    write_wave(root / f"{name}.wav", audio, rate=RATE)
    return root


def write_backgrounds(root: Path, count: int = 4) -> Path:
    """Write smooth gray photographs, each of another brightness."""
    ramp = np.linspace(0, 30, 120)[:, None, None] + np.zeros((1, 160, 3))
    for number in range(count):
        write_image(root / f"{number}.jpg", (30 + 40 * number + ramp).astype(np.uint8))
    return root

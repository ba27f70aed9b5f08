"""Synthetic footage for benchmarks: a camera pan over a textured wall, and modulated noise."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from avblocks.data import write_clip

RATE = 44_100  # samples per second
FPS = 25  # frames per second
_BALL = 40  # pixels, its radius at a height of 360


def write_footage(path: Path, *, number: int, seconds: float, height: int, keys: int) -> None:
    """Write a 16:9 clip with a key frame every `keys` frames, deterministically."""
    rng = np.random.default_rng(number)
    count, width = round(seconds * FPS), height * 16 // 9 // 2 * 2
    frames = np.stack(list(_frames(rng, count=count, height=height, width=width)))
    swell = 1 + np.sin(np.linspace(0, 4 * np.pi, round(seconds * RATE)))
    audio = np.clip(0.1 * swell * rng.standard_normal(len(swell)), -1, 1)
    write_clip(path, frames=frames, audio=audio, fps=FPS, rate=RATE, keyframe_every=keys)


def _frames(
    rng: np.random.Generator, *, count: int, height: int, width: int
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Draw frames with a pan of two pixels per frame, a bouncing ball, and a little grain."""
    reach = 2 * count
    wall = np.stack([_texture(rng, height, width + reach) for _ in range(3)], axis=-1)
    grain = rng.normal(0, 1, (8, height, width, 1))
    ys, xs = np.mgrid[:height, :width]
    for index in range(count):
        image = wall[:, 2 * index : 2 * index + width] + grain[rng.integers(8)]
        across = (5 * index) % width
        down = height * (1 - 0.7 * abs(np.sin(index / 8)))
        ball = (xs - across) ** 2 + (ys - down) ** 2 < (_BALL * height / 360) ** 2
        image[ball] = (230, 60 + index * 7 % 120, 40)
        yield np.clip(image, 0, 255).astype(np.uint8)


def _texture(
    rng: np.random.Generator, height: int, width: int
) -> Float[np.ndarray, "height width"]:
    """Draw noise with the spectrum of photographs, around a gray level of 128."""
    spectrum = np.fft.rfft2(rng.standard_normal((height, width)))
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    falling = np.maximum(np.hypot(down, across), 1 / height)
    noise = np.fft.irfft2(spectrum / falling**1.5, s=(height, width))
    return 128 + 45 * (noise - noise.mean()) / noise.std()

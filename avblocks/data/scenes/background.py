"""Backgrounds of the scenes: a smooth texture, and the pan of a camera over an image."""

import numpy as np
from jaxtyping import Float, UInt8
from numpy.random import Generator


def background(generator: Generator, *, frames: int, size: int) -> UInt8[np.ndarray, "t h w 3"]:
    """Draw frames of a smooth two-color texture, with a camera pan of a few pixels."""
    margin = size // 16
    canvas = np.zeros((size + 2 * margin,) * 2)
    for cells, strength in ((3, 0.6), (9, 0.3), (28, 0.15)):
        canvas += strength * _smooth_noise(generator, cells=cells, size=len(canvas))
    dark, light = np.sort(generator.uniform(0.1, 0.75, 2))
    tints = np.stack([dark, light + 0.1])[:, None] + generator.uniform(-0.1, 0.1, (2, 3))
    blend = np.clip(canvas, 0, 1)[..., None]
    image = np.clip(tints[0] * (1 - blend) + tints[1] * blend, 0, 1)
    return pan((255 * image).astype(np.uint8), generator, frames=frames, size=size)


def pan(
    image: UInt8[np.ndarray, "height width 3"], generator: Generator, *, frames: int, size: int
) -> UInt8[np.ndarray, "t h w 3"]:
    """Move a camera over an image, by up to the pixels that it is larger than ``size``."""
    margin = (len(image) - size) // 2
    way = generator.uniform(-1, 1, 2)
    path = np.rint(margin * (1 + np.linspace(-1, 1, frames)[:, None] * way)).astype(int)
    return np.stack([image[y : y + size, x : x + size] for y, x in path])


def _smooth_noise(generator: Generator, *, cells: int, size: int) -> Float[np.ndarray, "h w"]:
    """Draw white noise in [0, 1] on a coarse grid, interpolated linearly."""
    grid = generator.uniform(0, 1, (cells + 1, cells + 1))
    points = np.linspace(0, cells, size)
    rows = np.stack([np.interp(points, np.arange(cells + 1), row) for row in grid])
    return np.stack([np.interp(points, np.arange(cells + 1), col) for col in rows.T], axis=1)

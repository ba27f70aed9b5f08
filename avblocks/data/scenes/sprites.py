"""Cut-out photographs that move over the frames of a scene."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from numpy.random import Generator
from torch import Tensor

from avblocks.data.scenes.cutout import Cutout, shrink
from avblocks.data.scenes.shapes import Layer
from avblocks.data.scenes.timbres import Voice

Line = Float[np.ndarray, " t"]


@dataclass(frozen=True)
class Sprite:
    """A cutout and its path, per frame.

    Attributes:
        cutout: The image, of any size.
        x: Center, relative to the side of the image.
        y: Center.
        extent: Longer side of the cutout, relative to the side of the image.
        angle: Radians, clockwise.
    """

    cutout: Cutout
    x: Line
    y: Line
    extent: Line
    angle: Line


def sway(
    cutout: Cutout,
    *,
    voice: Voice,
    home: tuple[float, float],
    extent: float,
    generator: Generator,
    frames: int,
    fps: float,
) -> Sprite:
    """Let a cutout sway slowly and pulse in time with a voice; half of them are mirrored."""
    clock = np.arange(frames) / fps
    loudness = np.stack([part.max() for part in np.array_split(voice.envelope, frames)])
    pace = 2 * np.pi * (generator.random((3, 1)) + generator.uniform(0.1, 0.4, (3, 1)) * clock)
    reach = generator.uniform(0.01, 0.04, (3, 1)) * np.sin(pace)
    mirrored = bool(generator.random() < 0.5)
    return Sprite(
        cutout=cutout.flip(2) if mirrored else cutout,
        x=home[0] + reach[0],
        y=home[1] + reach[1],
        extent=extent * (0.92 + 0.12 * loudness),
        angle=generator.uniform(-0.12, 0.12) + 2 * reach[2],
    )


def sprite_layer(sprite: Sprite, *, size: int) -> Layer:
    """Draw a sprite in frames of ``size`` pixels."""
    small = shrink(sprite.cutout, side=float(sprite.extent.mean()) * size)
    rows, columns = (_window(line, sprite.extent, size=size) for line in (sprite.y, sprite.x))
    grid = _grid(sprite, rows, columns, shape=(small.shape[1], small.shape[2]), size=size)
    drawn = F.grid_sample(small.expand(len(grid), -1, -1, -1), grid, align_corners=False)
    alpha = drawn[:, 3]
    color = 255 * drawn[:, :3] / alpha[:, None].clamp(min=1e-3)
    return Layer(rows, columns, alpha.numpy(), color.permute(0, 2, 3, 1).numpy())


def _window(middle: Line, extent: Line, *, size: int) -> slice:
    """Return the pixels of an axis that a sprite may cover in any frame."""
    reach = 0.75 * extent
    first = max(int((middle - reach).min() * size), 0)
    return slice(first, min(max(int((middle + reach).max() * size) + 1, first), size))


def _grid(
    sprite: Sprite, rows: slice, columns: slice, *, shape: tuple[int, int], size: int
) -> Float32[Tensor, "t h w 2"]:
    """Return where in the cutout, from -1 to 1, each pixel of a window of the frames is."""
    lines = (sprite.x, sprite.y, sprite.extent, np.cos(sprite.angle), np.sin(sprite.angle))
    x, y, extent, cos, sin = (
        torch.from_numpy(np.asarray(line, dtype=np.float32))[:, None, None] for line in lines
    )
    pixels = (torch.arange(size) + 0.5) / size
    right = (pixels[None, None, columns] - x) * 2 / extent
    down = (pixels[None, rows, None] - y) * 2 / extent
    longer = max(shape)
    across, along = right * cos + down * sin, down * cos - right * sin
    return torch.stack([across * longer / shape[1], along * longer / shape[0]], dim=-1)

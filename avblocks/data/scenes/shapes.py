"""Objects of the scenes: antialiased shapes, their movement, and their layers in an image."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy.random import Generator

from avblocks.data.scenes.timbres import Voice

Plane = Float[np.ndarray, "*t height width"]
Line = Float[np.ndarray, " t"]

COLORS = {
    "red": (0.86, 0.16, 0.14),
    "green": (0.18, 0.66, 0.22),
    "blue": (0.16, 0.28, 0.86),
    "yellow": (0.93, 0.82, 0.16),
    "violet": (0.62, 0.22, 0.78),
    "cyan": (0.20, 0.78, 0.82),
}


@dataclass(frozen=True)
class Layer:
    """An object in all frames: a window of the image, its coverage there, and its RGB color."""

    rows: slice
    columns: slice
    alpha: Plane
    color: Float[np.ndarray, "*t_height_width 3"]


@dataclass(frozen=True)
class Track:
    """Path of an object, per frame: relative to the side of the image, and angles in radians."""

    look: str
    color: tuple[float, float, float]
    x: Line
    y: Line
    radius: Line
    angle: Line


def _star(x: Plane, y: Plane) -> Plane:
    """Return the distance to a five-pointed star: fold the plane to half a point, then an edge."""
    sector = 2 * np.pi / 5
    turn = np.abs((np.arctan2(y, x) + sector / 2) % sector - sector / 2)
    reach = np.hypot(x, y)
    inner = 0.5 * np.array([np.cos(sector / 2), np.sin(sector / 2)])
    edge = (inner - (1, 0)) / np.linalg.norm(inner - (1, 0))
    return edge[1] * (reach * np.cos(turn) - 1) - edge[0] * reach * np.sin(turn)


def _distance(shape: str, x: Plane, y: Plane) -> Plane:
    """Return the signed distance (negative inside) to a shape of about unit radius."""
    match shape:
        case "circle":
            return np.hypot(x, y) - 0.9
        case "square":
            return np.maximum(np.abs(x), np.abs(y)) - 0.8
        case "triangle":
            return np.maximum(y, np.abs(x) * 0.866 - y * 0.5) - 0.52
        case "star":
            return _star(x, y)
        case "ring":
            return np.abs(np.hypot(x, y) - 0.75) - 0.24
        case "cross":
            a, b = np.abs(x), np.abs(y)
            return np.minimum(np.maximum(a - 1, b - 0.32), np.maximum(b - 1, a - 0.32))
    raise ValueError(f"no shape is called {shape!r}")


def _window(track: Track, *, size: int) -> tuple[slice, slice]:
    """Return the rows and columns that an object covers in any frame."""
    reach = 1.2 * track.radius
    spans = []
    for middle in (track.y, track.x):
        first = max(0, int((middle - reach).min() * size))
        spans.append(slice(first, max(first, int((middle + reach).max() * size) + 1)))
    return spans[0], spans[1]


def _coverage(track: Track, rows: slice, columns: slice, *, size: int) -> Plane:
    """Return the fraction of each pixel of a window that an object covers, per frame."""
    grid = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y, radius, cos, sin = (
        line.astype(np.float32)[:, None, None]
        for line in (track.x, track.y, track.radius, np.cos(track.angle), np.sin(track.angle))
    )
    right, down = (grid[columns] - x) / radius, (grid[rows, None] - y) / radius
    shape = track.look.split()[1]
    distance = _distance(shape, right * cos + down * sin, down * cos - right * sin)
    return np.clip(0.5 - distance * radius * size, 0, 1)


def shape_layer(track: Track, *, size: int) -> Layer:
    """Draw an object of one color in the frames of its track."""
    rows, columns = _window(track, size=size)
    alpha = _coverage(track, rows, columns, size=size)
    return Layer(rows, columns, alpha, 255 * np.asarray(track.color, dtype=np.float32))


def paint(
    canvas: UInt8[np.ndarray, "t h w 3"], layers: list[Layer]
) -> tuple[UInt8[np.ndarray, "t h w 3"], Bool[np.ndarray, "t k h w"]]:
    """Paint objects from back to front; return the frames and the visible pixels of each object."""
    frames = canvas.astype(np.float32)
    masks = np.zeros((len(canvas), len(layers), *canvas.shape[1:3]), dtype=bool)
    for number, layer in enumerate(layers):
        rows, columns, alpha = layer.rows, layer.columns, layer.alpha
        part = frames[:, rows, columns]
        part += alpha[..., None] * (layer.color - part)
        masks[:, :number, rows, columns] &= alpha[:, None] < 0.5
        masks[:, number, rows, columns] = alpha >= 0.5
    return np.rint(frames).astype(np.uint8), masks


def move(
    look: str,
    *,
    voice: Voice,
    home: tuple[float, float],
    generator: Generator,
    frames: int,
    fps: float,
) -> Track:
    """Move an object in time with a voice around ``home`` (relative to the side of the image).

    It either pulses (its size follows the envelope) or hops (it moves along its path at each note).
    """
    clock = np.arange(frames) / fps
    pulses = generator.random() < 0.5
    loudness = np.stack([part.max() for part in np.array_split(voice.envelope, frames)])
    beats = sum(np.clip((clock - onset) / 0.1, 0, 1) for onset in voice.onsets)
    pace = generator.uniform(0.15, 0.35) * clock if pulses else beats / generator.integers(5, 9)
    turn = 2 * np.pi * (generator.random() + pace * generator.choice([-1, 1]))
    reach = generator.uniform(0.03, 0.09, 2)
    size = generator.uniform(0.11, 0.16)
    base = np.asarray(COLORS[look.split()[0]])
    color = np.clip(base * generator.uniform(0.85, 1.1) + generator.uniform(-0.05, 0.05, 3), 0, 1)
    return Track(
        look=look,
        color=(float(color[0]), float(color[1]), float(color[2])),
        x=home[0] + reach[0] * np.cos(turn),
        y=home[1] + reach[1] * np.sin(turn),
        radius=size * (0.8 + 0.5 * loudness) if pulses else np.full(frames, 1.05 * size),
        angle=generator.uniform(0, 2 * np.pi) + generator.uniform(-1, 1) * clock,
    )

"""Render a scene to arrays, as a pure function of its number and settings."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from numpy.random import Generator

from avblocks.data.scenes.background import background
from avblocks.data.scenes.classes import (
    LOOKS,
    PARTS,
    TIMBRES,
    TIMBRES_OF_LOOK,
    Split,
    silent,
    sounding,
)
from avblocks.data.scenes.shapes import move, paint, shape_layer
from avblocks.data.scenes.timbres import Voice, play


@dataclass(frozen=True)
class ClipSpec:
    """Settings of all clips of a folder.

    Attributes:
        seed: Random seed.
        seconds: Length of a clip.
        size: Side of the square image, pixels, even.
        fps: Frames per second.
        rate: Samples per second.
    """

    seed: int = 0
    seconds: float = 4.0
    size: int = 128
    fps: float = 16.0
    rate: int = 16000

    def __post_init__(self) -> None:
        if self.size < 32 or self.size % 2 or self.seconds < 0.5 or self.fps < 1:
            raise ValueError(
                f"a scene needs an even size >= 32, seconds >= 0.5 and fps >= 1, got {self}"
            )


@dataclass(frozen=True)
class SceneSpec(ClipSpec):
    """Settings of all drawn scenes of a folder, in addition to those of their clips.

    Attributes:
        min_silent: Smallest number of silent objects.
        max_silent: Largest number of silent objects; there are fewer if fewer looks qualify.
    """

    min_silent: int = 1
    max_silent: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.min_silent <= self.max_silent:
            raise ValueError(f"a scene needs 0 <= min_silent <= max_silent, got {self}")


@dataclass(frozen=True)
class Scene:
    """A rendered scene with k sounding and j silent objects.

    Attributes:
        id: Id of eleven characters, as on YouTube.
        labels: Class numbers of the sounding objects, in the order of ``sources``.
        frames: RGB frames.
        audio: The sum of ``sources``, and of off-screen audio and noise; in [-1, 1].
        sources: Audio of each sounding object.
        masks: Visible pixels of the sounding objects.
        boxes: Left, top, right and bottom of these pixels, relative to the side; 0 if hidden.
        silent: Looks, or classes, of the silent objects.
        silent_boxes: Boxes of the silent objects.
        offscreen: Classes that are heard and not shown.
    """

    id: str
    labels: tuple[int, ...]
    frames: UInt8[np.ndarray, "t height width 3"]
    audio: Float32[np.ndarray, " s"]
    sources: Float32[np.ndarray, "k s"]
    masks: Bool[np.ndarray, "t k height width"]
    boxes: Float[np.ndarray, "t k 4"]
    silent: tuple[str, ...]
    silent_boxes: Float[np.ndarray, "t j 4"]
    offscreen: tuple[str, ...] = ()


def scene_id(index: int, *, split: Split) -> str:
    """Return the id of a scene, of eleven characters like a YouTube id."""
    return f"{split:-<5}{index:06d}"


def render(index: int, *, split: Split = "train", spec: SceneSpec | None = None) -> Scene:
    """Render a scene; the same arguments give the same arrays.

    Args:
        index: Number of the scene in its split.
        split: Training scenes are solos and duets, test scenes solos.
        spec: Settings; the defaults if not given.

    >>> scene = render(0, spec=SceneSpec(seconds=1, size=32))
    >>> scene.frames.shape, scene.sources.shape, scene.labels
    ((16, 32, 32, 3), (1, 16000), (0,))
    """
    spec = spec or SceneSpec()
    generator = np.random.default_rng([spec.seed, ("train", "test").index(split), index])
    labels = sounding(index, split=split)
    count = int(generator.integers(spec.min_silent, spec.max_silent + 1))
    mute = silent(labels, count=count, generator=generator)
    timbres = [PARTS[label][0] for label in labels]
    timbres += [int(generator.choice(TIMBRES_OF_LOOK[look])) for look in mute]
    voices = [
        play(TIMBRES[t], generator=generator, seconds=spec.seconds, rate=spec.rate) for t in timbres
    ]
    looks = [LOOKS[look] for look in (*(PARTS[label][1] for label in labels), *mute)]
    frames, masks = _animate(looks, voices, generator=generator, spec=spec)
    sources, boxes = mix(voices[: len(labels)], generator=generator), boxes_of(masks)
    return Scene(
        id=scene_id(index, split=split),
        labels=labels,
        frames=frames,
        audio=sources.sum(axis=0),
        sources=sources,
        masks=masks[:, : len(labels)],
        boxes=boxes[:, : len(labels)],
        silent=tuple(looks[len(labels) :]),
        silent_boxes=boxes[:, len(labels) :],
    )


def _animate(
    looks: list[str], voices: list[Voice], *, generator: Generator, spec: SceneSpec
) -> tuple[UInt8[np.ndarray, "t h w 3"], Bool[np.ndarray, "t n h w"]]:
    """Move each object in time with its voice and paint them in random order."""
    count = math.ceil(spec.seconds * spec.fps)
    tracks = [
        move(look, voice=voice, home=home, generator=generator, frames=count, fps=spec.fps)
        for look, voice, home in zip(looks, voices, homes(len(looks), generator), strict=True)
    ]
    order = generator.permutation(len(tracks))
    canvas = background(generator, frames=count, size=spec.size)
    frames, masks = paint(canvas, [shape_layer(tracks[i], size=spec.size) for i in order])
    return frames, masks[:, np.argsort(order)]


def homes(count: int, generator: Generator) -> list[tuple[float, float]]:
    """Draw positions that are far apart, relative to the side of the image."""
    best, widest = np.zeros((count, 2)), -1.0
    while widest < 0.4:
        best = generator.uniform(0.2, 0.8, (count, 2))
        gaps = np.linalg.norm(best[:, None] - best, axis=-1) + np.eye(count)
        widest = float(gaps.min())
    return [(float(x), float(y)) for x, y in best]


def mix(voices: list[Voice], *, generator: Generator) -> Float32[np.ndarray, "k s"]:
    """Scale voices to about equal power, and their sum to a random peak."""
    sources = np.stack([v.wave / np.sqrt(np.mean(v.wave**2)) for v in voices])
    sources *= 10 ** (generator.uniform(-2, 2, (len(voices), 1)) / 20)
    peak = np.abs(sources.sum(axis=0)).max()
    return (sources * generator.uniform(0.3, 0.9) / peak).astype(np.float32)


def boxes_of(masks: Bool[np.ndarray, "t n h w"]) -> Float[np.ndarray, "t n 4"]:
    """Return the bounding boxes of masks, relative to the side; zeros for an empty mask."""
    edges = []
    for axis in (2, 3):
        line = np.asarray(masks.any(axis=axis))
        first, last = line.argmax(axis=-1), line.shape[-1] - line[..., ::-1].argmax(axis=-1)
        edges.append(np.stack([first, np.where(line.any(axis=-1), last, 0)]) / line.shape[-1])
    (left, right), (top, bottom) = edges
    return np.stack([left, top, right, bottom], axis=-1)

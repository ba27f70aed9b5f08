"""Scenes composed of cut-out photographs, their recordings, and background photographs."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy.random import Generator

from avblocks.data.resize import resize
from avblocks.data.scenes.background import pan
from avblocks.data.scenes.classes import Split
from avblocks.data.scenes.compose_spec import ComposeSpec
from avblocks.data.scenes.recording import noise, perform
from avblocks.data.scenes.render import Scene, boxes_of, homes, mix, scene_id
from avblocks.data.scenes.shapes import paint
from avblocks.data.scenes.sprites import sprite_layer, sway
from avblocks.data.scenes.stock import Stock, Thing
from avblocks.data.scenes.timbres import Voice

_VERSION = 1


@dataclass(frozen=True)
class ComposedScenes:
    """Scenes composed of a stock of ingredients and backgrounds."""

    stock: Stock
    spec: ComposeSpec

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the ingredients."""
        return self.stock.classes

    def settings(self) -> Mapping[str, float | str]:
        """Return the settings, the version of the code and the checksum of the stock."""
        return {"composed": _VERSION, "stock": self.stock.digest, **asdict(self.spec)}

    def sounding(self, index: int, *, split: Split) -> tuple[int, ...]:
        """Return the classes of the sounding objects, each equally often as the first one."""
        count = len(self.classes)
        share = self.spec.duets if split == "train" else self.spec.test_duets
        duets = math.floor(index * share)
        if math.floor((index + 1) * share) == duets:
            return ((index - duets) % count,)
        first = duets % count
        return first, (first + 1 + duets // count % (count - 1)) % count

    def render(self, index: int, *, split: Split) -> Scene:
        """Render a scene; the same arguments give the same arrays."""
        spec = self.spec
        generator = np.random.default_rng([spec.seed, ("train", "test").index(split), index])
        labels = self.sounding(index, split=split)
        mute, unseen = self._others(labels, generator)
        shown, hidden = (self._draw(kinds, split, generator) for kinds in (labels + mute, unseen))
        voices = [self._perform(thing, generator) for thing in (*shown, *hidden)]
        frames, masks = self._animate(shown, voices[: len(shown)], split=split, generator=generator)
        heard = [*voices[: len(labels)], *voices[len(shown) :]]
        sources, audio = _blend(heard, len(labels), spec=spec, generator=generator)
        boxes = boxes_of(masks)
        return Scene(
            id=scene_id(index, split=split),
            labels=labels,
            frames=frames,
            audio=audio,
            sources=sources,
            masks=masks[:, : len(labels)],
            boxes=boxes[:, : len(labels)],
            silent=tuple(self.classes[label] for label in mute),
            silent_boxes=boxes[:, len(labels) :],
            offscreen=tuple(self.classes[label] for label in unseen),
        )

    def _others(
        self, labels: tuple[int, ...], generator: Generator
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Draw the classes of the silent objects, and of the sources that are not visible."""
        spec = self.spec
        rest = [int(k) for k in generator.permutation(len(self.classes)) if k not in labels]
        silent = int(generator.integers(1, spec.max_silent + 1))
        silent *= int(generator.random() < spec.silent)
        unseen = int(generator.random() < spec.offscreen)
        return tuple(rest[unseen : unseen + silent]), tuple(rest[:unseen])

    def _draw(self, kinds: tuple[int, ...], split: Split, generator: Generator) -> list[Thing]:
        """Draw an ingredient of each class."""
        pools = (self.stock.things[split][kind] for kind in kinds)
        return [pool[int(generator.integers(len(pool)))] for pool in pools]

    def _perform(self, thing: Thing, generator: Generator) -> Voice:
        spec = self.spec
        return perform(
            thing.wave,
            generator=generator,
            seconds=spec.seconds,
            rate=spec.rate,
            semitones=spec.semitones,
        )

    def _animate(
        self, things: list[Thing], voices: list[Voice], *, split: Split, generator: Generator
    ) -> tuple[UInt8[np.ndarray, "t h w 3"], Bool[np.ndarray, "t n h w"]]:
        """Move each object in time with its voice and paint them in random order."""
        spec = self.spec
        count = math.ceil(spec.seconds * spec.fps)
        places = homes(len(things), generator)
        layers = [
            sprite_layer(
                sway(
                    thing.cutout,
                    voice=voice,
                    home=home,
                    extent=generator.uniform(spec.min_extent, spec.max_extent),
                    generator=generator,
                    frames=count,
                    fps=spec.fps,
                ),
                size=spec.size,
            )
            for thing, voice, home in zip(things, voices, places, strict=True)
        ]
        order = generator.permutation(len(layers))
        canvas = self._background(split, generator, frames=count)
        frames, masks = paint(canvas, [layers[i] for i in order])
        return frames, masks[:, np.argsort(order)]

    def _background(
        self, split: Split, generator: Generator, *, frames: int
    ) -> UInt8[np.ndarray, "t h w 3"]:
        """Move a camera over a random part of a background, which may be mirrored."""
        pool, size = self.stock.backgrounds[split], self.spec.size
        image = pool[int(generator.integers(len(pool)))]
        side = size + 2 * (size // 16)
        width = int(generator.integers(side, min(image.shape[:2]) + 1))
        top, left = (int(generator.integers(length - width + 1)) for length in image.shape[:2])
        part = image[top : top + width, left : left + width]
        part = part[:, ::-1] if generator.random() < 0.5 else part
        small = resize(torch.from_numpy(part.transpose(2, 0, 1).copy()), size=(side, side))
        view = np.ascontiguousarray(small.permute(1, 2, 0).numpy())
        return pan(view, generator, frames=frames, size=size)


def _blend(
    voices: list[Voice], seen: int, *, spec: ComposeSpec, generator: Generator
) -> tuple[Float[np.ndarray, "k s"], Float[np.ndarray, " s"]]:
    """Scale voices to about equal power, and add noise.

    Returns:
        The audio of the ``seen`` first voices, and the sum of all voices and the noise.
    """
    parts = mix(voices, generator=generator)
    total = parts.sum(axis=0)
    snr = generator.uniform(spec.min_snr, spec.max_snr)
    power = np.sqrt(np.mean(total**2)) * 10 ** (-snr / 20)
    total = total + power * noise(generator=generator, length=len(total))
    scale = min(0.95 / np.abs(total).max(), 1.0)
    return (scale * parts[:seen]).astype(np.float32), (scale * total).astype(np.float32)

"""`SceneSource`: protocol of the source of the scenes in a folder, drawn or composed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Protocol, runtime_checkable

from avblocks.data.scenes.classes import CLASSES, Split, sounding
from avblocks.data.scenes.render import ClipSpec, Scene, SceneSpec, render

VERSION = 1
"""Incremented when the same settings result in different drawn scenes."""


@runtime_checkable
class SceneSource(Protocol):
    """Scenes by split and number; equal settings give equal scenes."""

    @property
    def spec(self) -> ClipSpec:
        """Length, size and rates of all scenes."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in alphabetical order."""
        ...

    def settings(self) -> Mapping[str, float | str]:
        """Return the settings that determine the scenes."""
        ...

    def sounding(self, index: int, *, split: Split) -> tuple[int, ...]:
        """Return the classes of the sounding objects of a scene."""
        ...

    def render(self, index: int, *, split: Split) -> Scene:
        """Render a scene."""
        ...


@dataclass(frozen=True)
class DrawnScenes:
    """Scenes of drawn shapes and synthetic timbres."""

    spec: SceneSpec

    @property
    def classes(self) -> tuple[str, ...]:
        """The twelve classes."""
        return CLASSES

    def settings(self) -> Mapping[str, float | str]:
        """Return the settings, and the version of the code."""
        return {"version": VERSION, **asdict(self.spec)}

    def sounding(self, index: int, *, split: Split) -> tuple[int, ...]:
        """Return the classes of the sounding objects of a scene."""
        return sounding(index, split=split)

    def render(self, index: int, *, split: Split) -> Scene:
        """Render a scene."""
        return render(index, split=split, spec=self.spec)

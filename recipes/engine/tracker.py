"""`TrackioLogger`: the optional adapter to trackio, which stores runs on this machine."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from recipes.engine.run import Run


def check_tracker(run: Run) -> None:
    """Raise a ValueError if the tracker of a run is not installed."""
    if run.tracker != "none" and find_spec(run.tracker) is None:
        raise ValueError(f"--run.tracker {run.tracker} needs pip install {run.tracker}")


class TrackioLogger:
    """Logger to trackio; `trackio show` opens its dashboard.

    Nothing leaves the machine. A resumed run continues the one of its name.

    Args:
        project: Name of the project.
        name: Name of the run.
    """

    def __init__(self, *, project: str, name: str) -> None:
        self._trackio: Any = import_module("trackio")
        self._place = {"project": project, "name": name}
        self._run: Any = None

    def config(self, values: Mapping[str, Any]) -> None:
        """Start, or continue, the run with its configuration."""
        options = {"config": dict(values), "resume": "allow", "embed": False}
        self._run = self._trackio.init(**self._place, **options)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers."""
        self._run.log(dict(values), step=step)

    def image(self, step: int, name: str, path: Path) -> None:
        """Log a PNG file."""
        self._run.log({name: self._trackio.Image(path)}, step=step)

    def audio(self, step: int, name: str, path: Path) -> None:
        """Log a WAV file."""
        self._run.log({name: self._trackio.Audio(path)}, step=step)

    def close(self) -> None:
        """Write everything that is still in memory."""
        if self._run is not None:
            self._run.finish()

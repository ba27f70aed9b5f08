"""All models of the demo on one video, with its audio, that of another file, or none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from avblocks.tasks import LoadedTask
from avblocks.video import fit_audio, open_windows
from recipes.demo.nearest import By, NearestClips, Neighbor
from recipes.predict.results import write_results
from recipes.predict.sources import Guides
from recipes.predict.trained import Precision, hop_of

Audio = Literal["own", "muted", "other"]
"""The audio of the video, none, or that of another file."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a visitor asks for.

    Attributes:
        video: The video.
        audio: Audio that the models are given.
        other: File of the other audio.
        guides: Parts of the images that guide sound separation.
        by: Features that the nearest clips are compared by.
    """

    video: Path
    audio: Audio = "own"
    other: Path | None = None
    guides: Guides = "whole"
    by: By = "fusion"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the models found.

    Attributes:
        folder: Folder with the files of `recipes.predict`.
        remarks: Remarks on the file for the visitor.
        neighbors: The nearest clips, the nearest one first.
    """

    folder: Path
    remarks: tuple[str, ...] = ()
    neighbors: tuple[Neighbor, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Analyst:
    """Models and their limits.

    Attributes:
        models: Models, each of another task.
        nearest: The clips that a video is compared with, if any.
        max_seconds: Longest part of a video that is read, from its start.
        batch: Windows in a batch.
        precision: Precision of the models.
    """

    models: Sequence[LoadedTask]
    nearest: NearestClips | None = None
    max_seconds: float = 60.0
    batch: int = 8
    precision: Precision = "32-true"

    def run(
        self, request: Request, folder: Path, *, on_batch: Callable[[int, int], None]
    ) -> Outcome:
        """Run all models, and write the files of `recipes.predict` into a folder.

        Args:
            request: Video and audio.
            folder: Folder of the results.
            on_batch: Called with the number of decoded windows and of all windows; an exception
                that it raises ends the run.

        Raises:
            ClipError: If the video or the other audio cannot be used.
            ValueError: If the audio of another file is asked for without that file.
        """
        whole = open_windows(request.video)
        end = whole.offset + whole.seconds
        part = (0.0, self.max_seconds) if end > self.max_seconds else None
        kept = open_windows(request.video, part=part)
        audio = self._audio(request, folder, seconds=kept.seconds)
        options = {"part": part, "audio": audio}
        windows = [
            open_windows(request.video, one.format, hop=hop_of(one, None), **options)
            for one in self.models
        ]
        if windows:
            write_results(
                self.models,
                windows,
                folder,
                batch=self.batch,
                guides=request.guides,
                precision=self.precision,
                on_batch=on_batch,
            )
        neighbors: list[Neighbor] = []
        if self.nearest is not None:
            some = open_windows(request.video, self.nearest.format, **options)
            neighbors = self.nearest.find(some, by=request.by, on_batch=on_batch)
        remarks = [whole.remark] if whole.remark else []
        if part is not None:
            remarks.append(
                f"only the first {self.max_seconds:g} s of {end:.0f} s are read (--max-seconds)"
            )
        return Outcome(folder=folder, remarks=tuple(remarks), neighbors=tuple(neighbors))

    def _audio(self, request: Request, folder: Path, *, seconds: float) -> Path | None:
        """Write the audio that replaces that of the video, if any."""
        if request.audio == "own":
            return None
        other = request.other if request.audio == "other" else None
        if request.audio == "other" and other is None:
            raise ValueError("the audio of another file needs that file")
        fit_audio(folder / "audio.wav", seconds=seconds, source=other)
        return folder / "audio.wav"

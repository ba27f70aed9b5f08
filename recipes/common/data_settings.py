"""`Data`: settings of the clips that a recipe reads."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from avblocks.data import ClipFormat, FrontEnd
from recipes.common.errors import prefixed
from recipes.common.sets import DataName
from recipes.engine.ranges import check_ranges

FREE = (
    "checkpoint",  # a resumed run loads its own weights
    "batch",  # the global batch may not change, which the position in the data verifies
    *(f"data.{n}" for n in ("root", "shards", "split", "list", "workers", "timeout")),
    "data.test_list",
    "data.on_error",
    "data.max_skipped",
    "model.checkpointing",
)
"""Settings that a resumed run may change, since they do not affect the training."""
RULES = {
    "at least 0": ("workers",),
    "at least 1": ("frames", "size", "mels"),
    "at least 1 each": ("scenes",),
    "at least 64": ("rate",),
    "above 0": ("timeout",),
    "above 0 and at most 1": ("min_crop",),
    "above 0 and below 3600": ("seconds",),
    "from 0 to 1": ("max_skipped",),
    "from 0 to below 1": ("color",),
}
"""Ranges of the settings of `Data`."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """Data set, clip format and data loading."""

    name: DataName
    """Data set; scenes are synthetic."""

    root: Path | None = None
    """Folder of the data; for scenes, a cache folder by default."""

    shards: str | None = None
    """Folder, or file:// address, of shards to read instead of the clips."""

    split: Literal["test", "val"] = "test"
    """Split to test on; only AVSBench has val, on which the reference scores."""

    list: Path | None = None
    """csv with the ids of the training clips, such as vggss_144k; all clips if not given."""

    test_list: Path | None = None
    """csv with the ids of the test clips, such as vggss_heard_test; all clips if not given. Of your
    own folders, the other clips are for training."""

    scenes: tuple[int, int] = (240, 120)
    """Numbers of training and test scenes."""

    seconds: float = 3.0
    """Length of the audio window."""

    rate: int = 16000
    """Sampling rate in Hz, to which audio is resampled."""

    hop: int | None = None
    """Samples between frames of the spectrogram; 64 frames per second if not given."""

    size: int = 224
    """Side of the square image, pixels."""

    frames: int = 1
    """Images per clip, evenly spaced over the window; with more than one, a video."""

    mels: int = 128
    """Mel bins of the spectrogram."""

    augment: bool = True
    """Draw random windows, frames, crops, flips and gains in training; without, clips are equal in
    every epoch, and a frozen encoder encodes each clip once."""

    min_crop: float = 0.5
    """Smallest share of the area of an image that a random crop keeps."""

    color: float = 0.0
    """Strength of random changes of brightness and colors in training; a fifth of the images lose
    their colors. 0 for none."""

    workers: int | Literal["auto"] = "auto"
    """Data loader processes for each training process; auto: the available cores divided by the
    GPUs, at most 8, and none on a single core."""

    timeout: float = 300.0
    """Seconds without a batch from the data loader after which the run ends with an error."""

    on_error: Literal["raise", "skip"] = "raise"
    """Stop at a file that cannot be used, or skip it and list it in skipped.csv."""

    max_skipped: float = 0.1
    """Fraction of the files that may be skipped; beyond it the run stops with an error."""

    def check(self) -> None:
        """Raise a ValueError if a number is out of range."""
        check_ranges(self, RULES, prefix="--data.")
        samples = round(self.seconds * self.rate)
        if self.hop is not None and not 1 <= self.hop <= samples:
            raise ValueError(f"--data.hop must be from 1 to {samples}, got {self.hop}")
        if samples < (self.rate // 64 if self.hop is None else self.hop):
            raise ValueError(f"--data.seconds must be at least 1/64, got {self.seconds}")
        with prefixed("--data."):
            _ = self.format

    @property
    def num_workers(self) -> int:
        """Processes that read clips, for each process that trains."""
        if self.workers != "auto":
            return self.workers
        here = hasattr(os, "sched_getaffinity")  # not on macOS
        cores = len(os.sched_getaffinity(0)) if here else os.cpu_count() or 1
        cores //= max(torch.cuda.device_count(), 1)
        return min(cores, 8) if cores > 1 else 0

    @property
    def multilabel(self) -> bool:
        """Whether a clip may have several classes."""
        return self.name.startswith("audioset")

    @property
    def format(self) -> ClipFormat:
        """The clip format of the model."""
        return ClipFormat(
            seconds=self.seconds,
            rate=self.rate,
            size=self.size,
            mels=self.mels,
            frames=self.frames,
            hop=self.rate // 64 if self.hop is None else self.hop,
        )

    @property
    def front_end(self) -> FrontEnd:
        """A front end for these clips."""
        return FrontEnd(self.format, color=self.color if self.augment else 0.0)

    @property
    def audio_size(self) -> tuple[int, int]:
        """Mel bins and frames of a spectrogram."""
        return self.format.audio_size


SCENES_DATA = Data(name="scenes", seconds=1.0, size=64, mels=64)
"""Scenes, at the size of the small model."""

COMPOSED_DATA = Data(
    name="composed", seconds=2.0, hop=500, size=64, mels=64, min_crop=0.3, color=0.3
)
"""Composed scenes, with as many tokens."""

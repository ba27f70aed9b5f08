"""`Data`: settings of the clips that a recipe reads."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import torch

from avblocks.data import ClipFormat, FrontEnd
from avblocks.data.datasets import ClipSet, subset, vggsounder
from avblocks.data.datasets.vggsounder import Modality
from avblocks.data.shards import Shards
from recipes.common.evaluation import evaluated
from recipes.common.sets import CACHE, DataName, read_set

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
        if not 0 < self.seconds < 3600:
            raise ValueError(f"--data.seconds must be above 0 and below 3600, got {self.seconds}")
        if not 0 <= self.max_skipped <= 1:
            raise ValueError(f"--data.max-skipped is a share in [0, 1], got {self.max_skipped}")
        if not (0 < self.min_crop <= 1 and 0 <= self.color < 1):
            given = f"--data.min-crop {self.min_crop} --data.color {self.color}"
            raise ValueError(f"--data.min-crop is in (0, 1], --data.color in [0, 1), got {given}")
        if self.rate < 64:
            raise ValueError(f"--data.rate must be at least 64, got {self.rate}")
        samples = round(self.seconds * self.rate)
        if self.hop is not None and not 1 <= self.hop <= samples:
            raise ValueError(f"--data.hop must be from 1 to {samples}, got {self.hop}")
        self._check_counts()

    def _check_counts(self) -> None:
        numbers = {"frames": self.frames, "size": self.size, "mels": self.mels}
        for name, value in {**numbers, "scenes": min(self.scenes)}.items():
            if value < 1:
                raise ValueError(f"--data.{name} must be at least 1, got {value}")
        if self.num_workers < 0:
            raise ValueError(f"--data.workers must be at least 0, got {self.workers}")
        if not self.timeout > 0:
            raise ValueError(f"--data.timeout must be above 0, got {self.timeout}")

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


def train_set(data: Data) -> ClipSet:
    """List the training clips, and print their number; a ValueError if there are none."""
    data.check()
    clips = _all(data, train=True)
    assert clips is not None
    return _reported(data, clips, data.list)


def test_set(data: Data) -> ClipSet | None:
    """List the labeled test clips, if there are any, see `train_set`."""
    clips = _all(data, train=False)
    return None if clips is None else _reported(data, clips, data.test_list)


def _all(data: Data, *, train: bool) -> ClipSet | None:
    """List the clips of the shards or the files."""
    val = data.split == "val"
    if data.shards is None:
        return read_set(
            data.name,
            data.root,
            train=train,
            counts=data.scenes,
            val=val,
            test_list=data.test_list,
        )
    if val:
        raise ValueError("shards have no split to validate on: leave --data.split out")
    shards, split = open_shards(data.shards), "train" if train else "test"
    return shards.clips(split) if train or split in shards.splits else None


def labels_by_modality(data: Data) -> dict[str, ClipSet]:
    """List the test clips with the classes that one can hear, see, and so on, of VGGSounder.

    Shards do not tell them apart.
    """
    if data.name != "vggsounder" or data.shards is not None:
        return {}
    assert data.root is not None
    every = {name: vggsounder(data.root, modality=name) for name in get_args(Modality)}
    tested = evaluated()
    return every if tested is None else {n: tested.change(clips) for n, clips in every.items()}


NEEDS: dict[str, tuple[str, tuple[DataName, ...]]] = {
    "boxes": (
        "boxes",
        (
            *("scene_boxes", "composed_boxes", "vggss", "vggss_plus_silent"),
            *("box_folder", "flickr", "flickr_plus_silent", "music_duet"),
            *("is3", "vpo_ss", "vpo_ms"),
        ),
    ),
    "masks": (
        "masks",
        (
            *("scene_masks", "composed_masks", "mask_folder"),
            *("avsbench_s4", "avsbench_ms3", "avsbench_avss"),
        ),
    ),
    "sources": (
        "classes to tell sounds apart by",
        (
            *("scenes", "composed", "class_folder", "vggsound", "vggsound_music"),
            *("audioset", "audioset_balanced", "music", "music21", "music_solo_duet"),
        ),
    ),
}
"""Requirements of tasks, in words, and the data sets that fulfill them."""


def train_test_sets(
    data: Data, *, needs: Literal["classes", "boxes", "masks", "sources"]
) -> tuple[ClipSet, ClipSet]:
    """List training and test clips; a ValueError if the data lacks what the task needs.

    In an evaluation, see `evaluating`, both are the test clips.
    """
    _check_needs(data, needs)
    if (tested := evaluated()) is not None:
        data.check()
        test = test_set(data)
        if test is None:
            raise ValueError(f"--data.name {data.name} has no test clips: give another data set")
        return (test := tested.change(test)), test
    train, test = train_set(data), test_set(data)
    lacking = needs == "boxes" and test and any(item.boxes is None for item in test.items)
    if needs == "masks" and data.shards is not None:
        shards = open_shards(data.shards)
        lacking = not all(map(shards.have_masks, shards.splits))
    if lacking:
        raise ValueError(
            f"{data.shards or data.root}: a test clip has no {needs}; if these are shards, make "
            f"them of a data set that has them: python -m recipes.make_shards {data.name} --out DIR"
        )
    if needs == "classes" or test is None:
        return train, _with_classes(train, test)
    return train, test


def _check_needs(data: Data, needs: str) -> None:
    if needs not in NEEDS:
        return
    words, names = NEEDS[needs]
    if data.frames > 1:
        raise ValueError(
            "this task looks at one image of a clip: leave --data.frames out, and give the "
            "--checkpoint of an encoder of images, not of videos"
        )
    if data.name not in names:
        raise ValueError(f"--data.name {data.name} has no {words}: {', '.join(names)} have")


def _with_classes(train: ClipSet, test: ClipSet | None) -> ClipSet:
    if test is None or len(train.classes) < 2:
        raise ValueError(f"the data of {train.name} has fewer than two classes to tell apart")
    unlabeled = next((item for item in train.items if not item.labels), None)
    if unlabeled is not None:
        raise ValueError(f"{unlabeled.path}: has no class to learn")
    if train.classes != test.classes:
        raise ValueError(f"{train.name} and {test.name} have different classes")
    return test


@cache
def open_shards(root: str) -> Shards:
    """Open shards, once."""
    return Shards(root)


def _reported(data: Data, clips: ClipSet, only: Path | None) -> ClipSet:
    """Select the clips in the list ``only``, if given, and print the number of clips."""
    if only is not None:
        clips = subset(clips, only)
    print(clips.report(), flush=True)
    if not len(clips):
        root = data.shards or data.root or CACHE
        raise ValueError(f"{root}: none of the clips that {clips.name} lists is on disk")
    return clips

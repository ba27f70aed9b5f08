"""Data set of clips as samples, with randomness keyed by (seed, epoch, index)."""

from operator import index as as_index
from typing import Any, Literal, SupportsIndex

import torch
from torch.utils.data import Dataset

from avblocks.audio import pad_repeat
from avblocks.data.batch import AVBatch, Skipped
from avblocks.data.clip import ClipError
from avblocks.data.crop import mask_like, middle_part, random_part, whole_square
from avblocks.data.datasets.clipset import ClipSet, require_labels
from avblocks.data.format import ClipFormat
from avblocks.data.own_read import ReadClip, read_checked
from avblocks.data.read import read_clip
from avblocks.seed import sample_generator, sample_seed
from avblocks.shapes import require_choice

_GAIN = 6.0  # dB, in the paper


class TooManySkippedError(ValueError):
    """More files were skipped than ``max_skipped`` allows."""


def epoch_and_index(key: SupportsIndex | tuple[int, int], *, epoch: int) -> tuple[int, int]:
    """Return epoch and index of a key of a data set: both, or the index alone.

    Raises:
        TypeError: If it is something else, such as a slice or a list.
    """
    try:
        epoch, index = key if isinstance(key, tuple) else (epoch, key)
        return epoch, as_index(index)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"a sample has an index, or an epoch and an index, got {key!r}: for several samples, "
            "use torch.utils.data.Subset"
        ) from error


class ClipDataset(Dataset[AVBatch]):
    """Data set whose samples are batches of one clip, for ``DataLoader`` or ``collate``.

    In training, window, frame, crop, flip and gain are drawn from a generator of the sample. In
    evaluation, window, frame and crop are centered; with ``windows > 1``, index
    ``clip * windows + window`` is one of several windows of a clip, and the samples of a clip have
    the same path.

    ``dataset[3]`` is a sample of the epoch set by ``set_epoch`` (0 at first), so that
    ``DataLoader(shuffle=True)``, ``Subset`` and ``random_split`` work. ``dataset[epoch, 3]``
    includes the epoch, as `KeyedBatches` does for exact resume.

    Args:
        clips: The files.
        format: Window, rate and image size; the paper's if not given. Audio that is too short is
            padded with its mirror image.
        train: Whether to draw random windows, crops, flips and gains.
        seed: Seed of the run.
        on_error: What to do with a file that cannot be used: raise its ``ClipError``, or list it in
            ``AVBatch.skipped``. When it is skipped, training substitutes the next usable clip of
            the set, so that batches keep their size, and evaluation returns an empty batch.
        max_skipped: Fraction of the files that each worker may skip.
        read: Clip reader; ``Shards.read`` for shards.
        windows: Windows of each clip in evaluation, evenly spaced from the start of its audio to
            the end, each with its middle frame (paper: 10 over the 10 s of a clip).
        whole: Whether clips that are not augmented show the whole image, resized to a square,
            instead of a center crop, as is usual where masks and boxes are scored.
        min_crop: Smallest share of the area of an image that a random crop keeps.
        augment: Whether training is random; without it, training samples are centered and equal in
            every epoch.

    Raises:
        ValueError: If there are no clips, a label indexes no class, or a number is out of range.
    """

    def __init__(
        self,
        clips: ClipSet,
        format: ClipFormat | None = None,
        *,
        train: bool,
        seed: int = 0,
        on_error: Literal["raise", "skip"] = "raise",
        max_skipped: float = 0.1,
        read: ReadClip = read_clip,
        windows: int = 1,
        whole: bool = False,
        augment: bool = True,
        min_crop: float = 0.5,
    ) -> None:
        if not isinstance(clips, ClipSet):
            kind = type(clips).__name__
            raise TypeError(f"clips must be a ClipSet, such as class_folder() lists, got {kind}")
        if not len(clips) or not 0 <= max_skipped <= 1:
            given = f"{len(clips)} clips of {clips.name} and {max_skipped}"
            raise ValueError(f"expected clips and max_skipped in [0, 1], got {given}")
        if windows < 1 or (train and windows > 1):
            raise ValueError(f"expected windows >= 1, and 1 in training, got {windows}")
        if not 0 < min_crop <= 1:
            raise ValueError(f"expected min_crop in (0, 1], got {min_crop}")
        require_labels(clips)
        require_choice("raise", "skip", on_error=on_error)
        self.min_crop = min_crop
        self.clips = clips
        self.format = format or ClipFormat()
        self.train = train
        self.seed = seed
        self.on_error = on_error
        self.max_skipped = max_skipped
        self.read = read
        self.windows = windows
        self.augments = train and augment
        self.whole = whole and not self.augments
        self._bad: dict[int, Skipped] = {}
        # In shared memory, so that persistent workers see the next epoch too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Share the epoch of a copy with its workers too."""
        self.__dict__.update(state)
        self._epoch.share_memory_()

    def __len__(self) -> int:
        return len(self.clips) * self.windows

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of samples that are read by an index alone."""
        self._epoch.fill_(epoch)

    @property
    def epoch(self) -> int:
        """Epoch of samples that are read by an index alone."""
        return int(self._epoch)

    def __getitem__(self, key: SupportsIndex | tuple[int, int]) -> AVBatch:
        """Read the sample of an index, or of an epoch and index.

        Returns:
            A batch of one clip; empty if it was skipped in evaluation, or read by a plain index.

        Raises:
            IndexError: If there is no such sample.
            TypeError: If the key is something else, such as a slice.
            ClipError: If the file cannot be used and ``on_error`` is "raise".
            ValueError: If a reader of your own returns a clip of another kind than `AVClip` says.
            TooManySkippedError: If more files were skipped than allowed.
        """
        epoch, index = epoch_and_index(key, epoch=self.epoch)
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        index %= len(self)
        skipped: list[Skipped] = []
        # A plain index may come from a subset: do not substitute a clip from outside it.
        stands_in = self.train and isinstance(key, tuple)
        for step in range(len(self) if stands_in else 1):
            place = (index // self.windows + step) % len(self.clips)
            bad = self._bad.get(place)
            if bad is None:
                try:
                    return self._sample(epoch, index, place, skipped=tuple(skipped))
                except ClipError as error:
                    if self.on_error == "raise":
                        raise
                    bad = self._remember(place, error)
            skipped.append(bad)
        return self._none(tuple(skipped))

    def _remember(self, place: int, error: ClipError) -> Skipped:
        """Remember a file that cannot be used, and raise if there are too many."""
        self._bad[place] = Skipped(path=error.path, reason=error.reason)
        if len(self._bad) > self.max_skipped * len(self.clips):
            raise TooManySkippedError(
                f"{len(self._bad)} of {len(self.clips)} clips cannot be used, more than the share "
                f"of {self.max_skipped:g} allowed by max_skipped; the last is {error}"
            ) from error
        return self._bad[place]

    def _sample(
        self, epoch: int, index: int, place: int, *, skipped: tuple[Skipped, ...]
    ) -> AVBatch:
        """Read the clip number ``place`` with the randomness of sample ``index``."""
        generator = sample_generator(self.seed, epoch, index)
        middle = index % self.windows / (self.windows - 1) if self.windows > 1 else 0.5
        window, frame, flip, gain = middle, 0.5, 0.0, 0.5
        if self.augments:
            window, frame, flip, gain = torch.rand(4, generator=generator).tolist()
        item, size = self.clips.items[place], self.format.size
        clip = read_checked(
            self.read, item, format=self.format, classes=self.clips.classes, at=window, frame=frame
        )
        channels = clip.image.shape[:-2]
        flat = clip.image.flatten(0, -3)
        if self.augments:
            scale = self.min_crop, 1.0
            image, crop = random_part(flat, size=size, scale=scale, generator=generator)
        else:
            image, crop = (whole_square if self.whole else middle_part)(flat, size=size)
        mask = clip.mask
        if mask is not None:
            mask = mask_like(mask, image=image, whole=self.whole)[None]
        target = torch.zeros(1, len(self.clips.classes))
        target[0, list(item.labels)] = 1
        return AVBatch(
            image=image.unflatten(0, channels)[None],
            audio=pad_repeat(clip.audio, self.format.samples)[None],
            flip=torch.tensor([flip >= 0.5]),
            gain=torch.tensor([_GAIN * (2 * gain - 1)]),
            target=target,
            seeds=(sample_seed(self.seed, epoch, index),),
            paths=(item.path,),
            skipped=skipped,
            crop=crop[None],
            size=size,
            mask=mask,
            boxes=(clip.boxes,),
        )

    def _none(self, skipped: tuple[Skipped, ...]) -> AVBatch:
        """Return an empty batch."""
        size = self.format.size
        return AVBatch(
            image=torch.zeros(0, 3, *self.format.image_size, dtype=torch.uint8),
            audio=torch.zeros(0, self.format.samples),
            flip=torch.zeros(0, dtype=torch.bool),
            gain=torch.zeros(0),
            target=torch.zeros(0, len(self.clips.classes)),
            seeds=(),
            paths=(),
            skipped=skipped,
            crop=torch.zeros(0, 4),
            size=size,
        )

"""`Shards`: the clips in a folder of shards, and a reader for windows of them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from avblocks.data.clip import AVClip, ClipError
from avblocks.data.datasets.clipset import ClipSet, Item, StillImage
from avblocks.data.decode.stills import choose_still, with_stills
from avblocks.data.read import places, several_stills
from avblocks.data.shards.files import AGAIN
from avblocks.data.shards.index import INDEX, Shard, load_index, load_shard
from avblocks.data.shards.members import Members
from avblocks.data.shards.tar import is_mask
from avblocks.progress import progress_bar


class Shards:
    """The shards of a folder: ``ClipDataset(shards.clips("train"), read=shards.read, ...)``.

    Members are read in place; nothing is extracted, and only JPEG, PNG, FLAC and JSON are decoded.
    The checksum of each member is verified when it is read; for audio, the checksums of the blocks
    that are read.

    Args:
        root: The folder, as a path or a file:// address.
        verify: Whether to verify the checksums of all shards now.

    Raises:
        ValueError: If the shards are unfinished, incomplete or damaged.
    """

    def __init__(self, root: str | Path, *, verify: bool = False) -> None:
        self.root = _local(root)
        index = load_index(self.root)
        self.rate = int(index["settings"]["rate"])
        self._splits = index["splits"]
        self._shards: dict[str, Shard] = {}
        for facts in self._splits.values():
            for listed in facts["shards"]:
                shard = load_shard(self.root / listed["file"], classes=len(facts["classes"]))
                found = {"sha256": shard.sha256, "index_sha256": shard.index_sha256}
                if any(found[name] != listed[name] for name in found):
                    raise ValueError(
                        f"{shard.path.with_suffix('.json')}: damaged, not the one that "
                        f"{self.root / INDEX} names; {AGAIN}"
                    )
                self._shards[str(shard.path)] = shard
        # Frames of a clip have its path, as in files, and differ by their ids.
        self._frames = {
            (item.path, item.id): f"{shard.path}/{key}"
            for shard in self._shards.values()
            for key, item in zip(shard.rows, shard.items, strict=True)
            if item.path != f"{shard.path}/{key}"
        }
        if verify:
            for shard in progress_bar(self._shards.values(), "verify", unit="shard"):
                shard.verify()

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self._splits)

    def clips(self, split: str) -> ClipSet:
        """List the clips of a split, in the order of the source data set.

        Clips that were missing or skipped when the shards were made are missing.

        Raises:
            ValueError: If there is no such split.
        """
        if split not in self._splits:
            raise ValueError(f"{self.root}: no split {split!r}; it has {', '.join(self.splits)}")
        facts = self._splits[split]
        shards = [self._shards[str(self.root / listed["file"])] for listed in facts["shards"]]
        return ClipSet(
            name=f"{facts['name']} in shards",
            items=tuple(item for shard in shards for item in shard.items),
            classes=tuple(facts["classes"]),
            remarks=tuple(facts["remarks"]),
            missing=(*facts["missing"], *(name for s in shards for name, _, _ in s.skipped)),
        )

    def have_masks(self, split: str) -> bool:
        """Return whether each clip of a split has a mask."""
        shards = [self._shards[str(self.root / s["file"])] for s in self._splits[split]["shards"]]
        return all(any(map(is_mask, suffixes)) for shard in shards for suffixes in shard.suffixes)

    def read(
        self,
        source: str | Item,
        *,
        seconds: float = 3.0,
        rate: int = 16000,
        place: float = 0.5,
        frame: float = 0.5,
        frames: int = 1,
    ) -> AVClip:
        """Read a window of audio and the nearest images, as ``read_clip`` does.

        Args:
            source: A clip of ``clips``, or its path.
            seconds: Length of the window.
            rate: Samples per second; must be that of the shards.
            place: Position of the window in the audio, from 0 to 1; of image files with times, the
                position relative to the time of the image.
            frame: Position of the image in the window, from 0 to 1, or among image files.
            frames: Number of images; if the shards have fewer, some are repeated.

        Raises:
            ClipError: If the clip is damaged.
            ValueError: If the shards have no such clip, or another rate.
        """
        if (
            seconds <= 0
            or rate != self.rate
            or not 0 <= place <= 1
            or not 0 <= frame <= 1
            or frames < 1
        ):
            raise ValueError(
                f"the shards of {self.root} take seconds > 0, rate = {self.rate}, and place and "
                f"frame in [0, 1], got {seconds}, {rate}, {place} and {frame}"
            )
        shard, key, path = self._find(source)
        where = places(frames, frame)
        with _reading(shard, key, path=path) as members:
            if stills := members.notes.kind == "stills":
                clip = _stills(members, path, seconds=seconds, rate=rate, place=place, frame=frame)
            else:
                clip = _window(members, path, seconds=seconds, rate=rate, place=place, where=where)
        clip = several_stills(clip, where) if stills and frames > 1 else clip
        item = shard.items[shard.rows[key]]
        boxes = None
        if item.boxes is not None:
            boxes = torch.tensor(item.boxes, dtype=torch.float32).view(-1, 4)
        return replace(clip, labels=item.labels, boxes=boxes)

    def _find(self, source: str | Item) -> tuple[Shard, str, str]:
        """Return the shard, the key and the path of a clip."""
        path = source if isinstance(source, str) else source.path
        found = path if isinstance(source, str) else self._frames.get((path, source.id), path)
        tar, _, key = found.rpartition("/")
        shard = self._shards.get(tar)
        if shard is None or key not in shard.rows:
            raise ValueError(f"{path}: no such clip in the shards of {self.root}")
        return shard, key, path


def _local(root: str | Path) -> Path:
    address = str(root)
    if "://" in address and not address.startswith("file:///"):
        raise ValueError(f"{address}: shards are read from disks only, by path or file:///path")
    return Path(address.removeprefix("file://"))


@contextmanager
def _reading(shard: Shard, key: str, *, path: str) -> Iterator[Members]:
    """Open a tar file; errors in it become ``ClipError`` with the name of the clip."""
    # Opened for each clip: it takes microseconds, and no handle is shared or leaked.
    try:
        handle = os.open(shard.path, os.O_RDONLY)
    except OSError as error:
        raise ClipError(path, f"cannot be opened ({error.strerror})") from error
    try:
        yield Members(handle, key, shard.suffixes[shard.rows[key]], shard.members(key))
    except ValueError as error:
        if isinstance(error, ClipError):
            raise
        raise ClipError(path, str(error)) from error
    finally:
        os.close(handle)


def _window(
    members: Members, path: str, *, seconds: float, rate: int, place: float, where: Sequence[float]
) -> AVClip:
    """Read a window of audio, and the images nearest to positions in it."""
    notes = members.notes
    start = place * max(notes.duration - seconds, 0)
    indices = [notes.nearest(start=start, seconds=seconds, frame=at) for at in where]
    first = round(start * rate)
    audio = members.audio(rate=rate, first=first, last=first + round(seconds * rate))
    decoded = {index: members.image(index) for index in set(indices)}
    images = [decoded[index] for index in indices]
    return AVClip(
        image=images[0] if len(images) == 1 else torch.stack(images, dim=1),
        audio=audio,
        rate=rate,
        path=path,
        time=notes.known_times[indices[0]] - start,
    )


def _stills(
    members: Members, path: str, *, seconds: float, rate: int, place: float, frame: float
) -> AVClip:
    """Read an image with a window of audio around its time, and all other images of the clip."""
    notes = members.notes
    number, start = choose_still(
        notes.times, length=notes.duration, seconds=seconds, place=place, frame=frame
    )
    first = round(start * rate)
    audio = members.audio(rate=rate, first=first, last=first + round(seconds * rate))
    decoded = [(members.image(n), members.mask(n)) for n in range(len(notes.times))]
    files = tuple(StillImage(path, time=time) for time in notes.times)
    clip = AVClip(image=decoded[number][0], audio=audio, rate=rate, path=path)
    return with_stills(clip, files, decoded, number=number, start=start)

"""`Shards`: the clips in a folder of shards, and a reader for windows of them."""

from dataclasses import replace
from pathlib import Path

import torch

from avblocks.data.clip import AVClip
from avblocks.data.datasets.clipset import ClipSet, Item
from avblocks.data.read import places, several_stills
from avblocks.data.shards.files import AGAIN
from avblocks.data.shards.index import INDEX, load_index
from avblocks.data.shards.shard import Shard, load_shard
from avblocks.data.shards.tar import is_mask
from avblocks.data.shards.window import read_stills, read_window, reading
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
                f"the shards of {self.root} take seconds > 0, rate = {self.rate}, place and frame "
                f"in [0, 1] and frames > 0, got {seconds}, {rate}, {place}, {frame} and {frames}"
            )
        shard, key, path = self._find(source)
        where = places(frames, frame)
        with reading(shard, key, path=path) as members:
            if stills := members.notes.kind == "stills":
                clip = read_stills(
                    members, path, seconds=seconds, rate=rate, place=place, frame=frame
                )
            else:
                clip = read_window(
                    members, path, seconds=seconds, rate=rate, place=place, where=where
                )
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

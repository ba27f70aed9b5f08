"""`Shards`: the clips in a folder of shards, and a reader for windows of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.data.clip import AVClip, ClipError
from avblocks.data.datasets.clipset import ClipSet, Item
from avblocks.data.read import places
from avblocks.data.shards.files import AGAIN
from avblocks.data.shards.flac import BLOCK, HEAD, decode_flac, flac_length
from avblocks.data.shards.index import INDEX, Shard, load_index, load_shard
from avblocks.data.shards.jpeg import decode_jpeg
from avblocks.data.shards.notes import Notes, parse_notes
from avblocks.data.shards.tar import Span, member_names, read_bytes, read_member
from avblocks.progress import progress_bar


class Shards:
    """The shards of a folder: ``ClipDataset(shards.clips("train"), read=shards.read, ...)``.

    Members are read in place; nothing is extracted, and only JPEG, FLAC and JSON are decoded. The
    checksum of each member is verified when it is read; of audio, that of the blocks that are read.

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
            place: Position of the window in the audio, from 0 to 1.
            frame: Position of the image in the window, from 0 to 1.
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
        path = source if isinstance(source, str) else source.path
        tar, _, key = path.rpartition("/")
        shard = self._shards.get(tar)
        if shard is None or key not in shard.rows:
            raise ValueError(f"{path}: no such clip in the shards of {self.root}")
        item, members = shard.items[shard.rows[key]], shard.members(key)
        named = list(zip(member_names(key, len(members)), members, strict=True))
        with _reading(tar, path) as handle:
            data = read_member(handle, *named[0])
            notes = parse_notes(data, images=len(named) - 2, audio=members[1].size)
            start = place * max(notes.duration - seconds, 0)
            where = places(frames, frame)
            indices = [notes.nearest(start=start, seconds=seconds, frame=at) for at in where]
            first, last = round(start * rate), round(start * rate) + round(seconds * rate)
            audio = _audio(handle, *named[1], notes=notes, rate=rate, first=first, last=last)
            decoded = {i: decode_jpeg(read_member(handle, *named[2 + i])) for i in set(indices)}
        images = [torch.from_numpy(decoded[index]).permute(2, 0, 1) for index in indices]
        return AVClip(
            image=images[0] if frames == 1 else torch.stack(images, dim=1),
            audio=audio,
            rate=rate,
            path=path,
            labels=item.labels,
            boxes=None
            if item.boxes is None
            else torch.tensor(item.boxes, dtype=torch.float32).view(-1, 4),
            time=notes.times[indices[0]] - start,
        )


def _local(root: str | Path) -> Path:
    address = str(root)
    if "://" in address and not address.startswith("file:///"):
        raise ValueError(f"{address}: shards are read from disks only, by path or file:///path")
    return Path(address.removeprefix("file://"))


@contextmanager
def _reading(tar: str, path: str) -> Iterator[int]:
    """Open a tar file; errors in it become ``ClipError`` with the name of the clip."""
    # Opened for each clip: it takes microseconds, and no handle is shared or leaked.
    try:
        handle = os.open(tar, os.O_RDONLY)
    except OSError as error:
        raise ClipError(path, f"cannot be opened ({error.strerror})") from error
    try:
        yield handle
    except ValueError as error:
        raise ClipError(path, str(error)) from error
    finally:
        os.close(handle)


def _audio(
    handle: int, name: str, span: Span, *, notes: Notes, rate: int, first: int, last: int
) -> Float[Tensor, " s"]:
    """Decode the samples from ``first`` to ``last``, or to the end of the audio."""
    head = bytes(read_member(handle, name, span, first=HEAD))
    length = flac_length(head, rate=rate)
    last = min(last, length)
    if first >= last or len(notes.blocks) != -(-length // BLOCK):
        raise ValueError(f"no audio from {first / rate:.2f} s to {last / rate:.2f} s")
    low, high = notes.part(first, last)
    blocks = bytes(read_bytes(handle, span.start + low, high - low))
    notes.check(first, last, head=head, blocks=blocks)
    samples = decode_flac(head, blocks)
    samples = samples[first % BLOCK :][: last - first]
    if len(samples) < last - first:
        raise ValueError("the audio is damaged: its blocks are shorter than stated")
    return torch.from_numpy(samples.astype(np.float32) / 32768)

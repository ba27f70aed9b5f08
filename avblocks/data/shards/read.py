"""Shards as a data set: its list of clips, and the reader that takes a window out of one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from avblocks.data.clip import AVClip, ClipError
from avblocks.data.datasets.clipset import ClipSet, Item
from avblocks.data.read import places
from avblocks.data.shards.files import AGAIN
from avblocks.data.shards.flac import BLOCK, HEAD, decode_flac, flac_length
from avblocks.data.shards.index import INDEX, Shard, load_index, load_shard
from avblocks.data.shards.jpeg import decode_jpeg
from avblocks.data.shards.notes import Notes, parse_notes
from avblocks.data.shards.tar import Span, member_names, read_bytes, read_member


class Shards:
    """The shards of a folder: ``ClipDataset(shards.clips("train"), read=shards.read, ...)``.

    Nothing is ever extracted, and nothing but JPEG, FLAC and JSON is read. Each member is compared
    with its checksum when it is read, of sound the blocks that are.

    Args:
        root: The folder, as a path or a file:// address.
        verify: Whether to read all of it now and compare checksums.

    Raises:
        ValueError: If it is unfinished, incomplete or damaged.
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
            for shard in tqdm(self._shards.values(), "verify", unit="shard"):
                shard.verify()

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self._splits)

    def clips(self, split: str) -> ClipSet:
        """List the clips of a split, in the order of the data set they were made from.

        Missing are those that were missing then or could not be used.

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
        """Read a window of audio and the images in it nearest to some moments, as ``read_clip``.

        Args:
            source: A clip of ``clips``, or its path.
            seconds: Length of the window.
            rate: Samples per second; those of the shards.
            place: Where the window lies in the sound, from 0 to 1.
            frame: Where in the window the picture is taken, from 0 to 1.
            frames: How many images to read; where the shards have fewer, one stands for several.

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
        members = shard.members(key)
        named = list(zip(member_names(key, len(members)), members, strict=True))
        with _reading(tar, path) as handle:
            data = read_member(handle, *named[0])
            notes = parse_notes(data, pictures=len(named) - 2, sound=members[1].size)
            start = place * max(notes.duration - seconds, 0)
            where = places(frames, frame)
            shown = [notes.nearest(start=start, seconds=seconds, frame=place) for place in where]
            first, last = round(start * rate), round(start * rate) + round(seconds * rate)
            audio = _sound(handle, *named[1], notes=notes, rate=rate, first=first, last=last)
            decoded = {i: decode_jpeg(read_member(handle, *named[2 + i])) for i in set(shown)}
        images = [torch.from_numpy(decoded[index]).permute(2, 0, 1) for index in shown]
        return AVClip(
            image=images[0] if frames == 1 else torch.stack(images, dim=1),
            audio=audio,
            rate=rate,
            path=path,
            labels=shard.items[shard.rows[key]].labels,
            time=notes.times[shown[0]] - start,
        )


def _local(root: str | Path) -> Path:
    address = str(root)
    if "://" in address and not address.startswith("file:///"):
        raise ValueError(f"{address}: shards are read from disks only, by path or file:///path")
    return Path(address.removeprefix("file://"))


@contextmanager
def _reading(tar: str, path: str) -> Iterator[int]:
    """Open a tar file, and tell of whatever is wrong in it by the name of a clip."""
    # For each clip anew: it takes microseconds, and no handle is shared, leaked or run out of.
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


def _sound(
    handle: int, name: str, span: Span, *, notes: Notes, rate: int, first: int, last: int
) -> Float[Tensor, " s"]:
    """Decode the samples from ``first`` to ``last``, as far as there are any."""
    head = bytes(read_member(handle, name, span, first=HEAD))
    length = flac_length(head, rate=rate)
    last = min(last, length)
    if first >= last or len(notes.blocks) != -(-length // BLOCK):
        raise ValueError(f"no sound from {first / rate:.2f} s to {last / rate:.2f} s")
    low, high = notes.part(first, last)
    blocks = bytes(read_bytes(handle, span.start + low, high - low))
    notes.check(first, last, head=head, blocks=blocks)
    samples = decode_flac(head, blocks)
    samples = samples[first % BLOCK :][: last - first]
    if len(samples) < last - first:
        raise ValueError("the sound is damaged: its blocks are shorter than they say")
    return torch.from_numpy(samples.astype(np.float32) / 32768)

"""Files that were made to do harm: bounded, or refused."""

import json
import os
import resource
import shutil
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

from avblocks.data import ClipError, read_clip
from avblocks.data.datasets import Item
from avblocks.data.decode.image import decode_image
from avblocks.data.health import check_file
from avblocks.data.shards import Shards, ShardSettings
from avblocks.data.shards.encode import encode_clip
from avblocks.data.shards.tar import HEADER
from tests.reliability.runs import Bench

SIDE = 100_000


def hostile(bench: Bench) -> dict[str, float]:
    """Read files that lead elsewhere, or claim to be huge.

    Returns:
        How many were `tried` and `refused` by name; how many were read with what they claim cut
        down (`bounded`); `seconds` and memory (`mb`) that one took at most.
    """
    refused, bounded, seconds, megabytes = 0, 0, 0.0, 0.0
    reads = _reads(bench)
    for path, read in reads:
        begin, before = time.monotonic(), _peak()
        try:
            read()
            bounded += 1
        except ValueError as error:
            refused += path.stem in str(error)
        seconds = max(seconds, time.monotonic() - begin)
        megabytes = max(megabytes, _peak() - before)
    return {
        "tried": len(reads),
        "refused": refused,
        "bounded": bounded,
        "seconds": round(seconds, 2),
        "mb": round(megabytes, 1),
    }


def _reads(bench: Bench) -> list[tuple[Path, Callable[[], object]]]:
    folder = bench.folder / "hostile"
    folder.mkdir()
    hours, playlist = folder / "hours.mp4", folder / "playlist.mp4"
    clip = next(bench.clips.rglob("*.mp4"))
    hours.write_bytes(claims_hours(clip.read_bytes()))
    playlist.write_text(f"ffconcat version 1.0\nfile '{clip}'\n", encoding="utf-8")
    huge, bomb = folder / "huge.png", folder / "bomb.png"
    huge.write_bytes(png(SIDE, SIDE, b""))
    bomb.write_bytes(png(64, 64, bytes(1 << 28)))
    item, settings = Item(id="hours", path=str(hours)), ShardSettings()
    return [
        *((hours, lambda place=place: read_clip(str(hours), place=place)) for place in (0.0, 1.0)),
        (hours, lambda: encode_clip(item, classes=(), settings=settings)),
        (hours, lambda: _checked(hours)),
        (playlist, lambda: read_clip(str(playlist))),
        (huge, lambda: decode_image(str(huge))),
        (bomb, lambda: decode_image(str(bomb))),
        *(_shard(bench, folder / name, place, data) for name, place, data in _POKES),
        _outside(bench, folder / "outside"),
    ]


# Into the header of a shard's first member: its kind, where it leads, its name, its size.
_POKES = (
    ("link", 156, b"2/etc/passwd\0"),
    ("hard-link", 156, b"1/etc/passwd\0"),
    ("up", 0, b"../../evil.json\0"),
    ("absolute", 0, b"/tmp/evil.json\0"),
    ("size", 124, b"77777777777"),
)


def _shard(
    bench: Bench, folder: Path, place: int, data: bytes
) -> tuple[Path, Callable[[], object]]:
    """A copy of the shards whose first member is something else, and what reads that member."""
    shutil.copytree(bench.shards, folder)
    tar = sorted(folder.glob("train-*.tar"))[0]
    start = json.loads(tar.with_suffix(".json").read_text())["clips"][0]["members"][0][0]
    with tar.open("r+b") as file:
        os.pwrite(file.fileno(), data, start - HEADER + place)
    shards = Shards(str(folder))
    return tar, lambda: shards.read(shards.clips("train").items[0], seconds=0.5)


def _outside(bench: Bench, folder: Path) -> tuple[Path, Callable[[], object]]:
    """Shards whose index says that a member lies beyond the file."""
    shutil.copytree(bench.shards, folder)
    index = sorted(folder.glob("train-*.json"))[0]
    facts = json.loads(index.read_text())
    facts["clips"][0]["members"][0] = [10**12, 10]
    index.write_text(json.dumps(facts))
    return index, lambda: Shards(str(folder))


def claims_hours(mp4: bytes, *, times: int = 10_000) -> bytes:
    """Stretch all durations in an mp4 file's headers: of the film, its tracks and their samples."""
    data = bytearray(mp4)
    for kind, place in ((b"mvhd", 16), (b"mdhd", 16), (b"tkhd", 20), (b"elst", 8)):
        for box in _boxes(data, kind):
            _stretch(data, box + place, times)
    for box in _boxes(data, b"stts"):
        (count,) = struct.unpack_from(">I", data, box + 4)
        for number in range(count):
            _stretch(data, box + 12 + 8 * number, times)
    return bytes(data)


def _boxes(data: bytearray, kind: bytes) -> list[int]:
    """Where the contents of boxes of a kind begin."""
    parts = bytes(data).split(kind)[:-1]
    return [sum(map(len, parts[: n + 1])) + (n + 1) * len(kind) for n in range(len(parts))]


def _stretch(data: bytearray, place: int, times: int) -> None:
    (value,) = struct.unpack_from(">I", data, place)
    struct.pack_into(">I", data, place, min(times * value, 2**31 - 1))


def png(width: int, height: int, pixels: bytes) -> bytes:
    """Write a grey png file that says what size it has, whatever its pixels are."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(pixels, 1)), (b"IEND", b""))
    boxes = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(boxes)


def _checked(path: Path) -> None:
    """Look a file through as `check_data` does, which gives a reason and no error."""
    found = check_file(path)
    if found.reason:
        raise ClipError(str(path), found.reason)


def _peak() -> float:
    """MB of memory that this process had at most, by the system's account."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3

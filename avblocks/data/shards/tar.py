"""Members of a tar file: written sequentially, and read by their offset."""

import os
import re
import tarfile
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple
from zlib import crc32

import numpy as np
from jaxtyping import Int64

Spans = Int64[np.ndarray, "members 3"]
"""Offset, size and CRC-32 of each member."""


class Span(NamedTuple):
    """Offset, size and CRC-32 of a member of a tar file."""

    start: int
    size: int
    crc: int


HEADER = 512
END = bytes(2 * HEADER)
_PLAIN = tarfile.TarInfo().tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
_LIMITS = {"json": 1 << 20, "flac": 1 << 26, "jpg": 1 << 24, "png": 1 << 24}
_IMAGE = re.compile(r"\d{4}(?:\.jpg|\.png|\.mask\.png)")


def member_names(key: str, images: Sequence[str]) -> list[str]:
    """Return the names of the members of a clip in order: notes, audio, images and masks.

    >>> member_names("00000007_a", ["0000.png", "0000.mask.png"])[1:]
    ['00000007_a.flac', '00000007_a.0000.png', '00000007_a.0000.mask.png']
    """
    return [f"{key}.{suffix}" for suffix in ("json", "flac", *images)]


def frame_suffixes(count: int) -> tuple[str, ...]:
    """Return the suffixes of the images of a video."""
    return tuple(f"{number:04d}.jpg" for number in range(count))


def is_mask(suffix: str) -> bool:
    """Return whether a suffix is that of a mask, which has the number of its image."""
    return suffix.endswith(".mask.png")


def are_suffixes(suffixes: Sequence[str]) -> bool:
    """Return whether these are suffixes of images in order, and then of masks of some of them."""
    masks = [one for one in suffixes if is_mask(one)]
    images = [one for one in suffixes if not is_mask(one)]
    numbered = [one[:4] for one in images] == [f"{n:04d}" for n in range(len(images))]
    masked = len({*masks}) == len(masks) and {m[:4] for m in masks} <= {i[:4] for i in images}
    ordered = [*images, *masks] == [*suffixes]
    return numbered and masked and ordered and all(map(_IMAGE.fullmatch, suffixes))


def make_key(index: int, name: str) -> str:
    """Return a unique key of a clip that is safe in tar files and WebDataset.

    >>> make_key(7, "a/b c.mp4")
    '00000007_a-b-c-mp4'
    """
    return f"{index:08d}_{re.sub('[^A-Za-z0-9_-]+', '-', name)[:64]}"


def is_key(key: str) -> bool:
    """Return whether a string is a possible result of ``make_key``."""
    return re.fullmatch(r"\d{8,}_[A-Za-z0-9_-]{0,64}", key) is not None


def header(name: str, size: int) -> bytes:
    """Return the header of a regular file without owner and time, 5x faster than ``TarInfo``."""
    head = name.encode("ascii").ljust(100, b"\0") + _PLAIN[100:124] + b"%011o\0" % size
    head += _PLAIN[136:148]
    total = sum(head) + 8 * ord(" ") + sum(_PLAIN[156:])
    return head + b"%06o\0 " % total + _PLAIN[156:]


def next_header(end: int) -> int:
    """Return the offset of the header after a member that ends at ``end``."""
    return -(-end // HEADER) * HEADER


def write_member(file: BinaryIO, name: str, data: bytes) -> Span:
    """Append a member, and return its offset, size and checksum."""
    file.write(header(name, len(data)))
    start = file.tell()
    file.write(data + bytes(next_header(len(data)) - len(data)))
    return Span(start, len(data), crc32(data))


def span_fault(spans: Spans, *, size: int) -> str | None:
    """Return what is wrong with the spans of a tar file of a given size, or None."""
    starts, sizes, _ = spans.T
    if (sizes < 0).any() or (starts < 0).any() or (starts + sizes > size).any():
        return "its index points outside the file"
    ends = np.concatenate([[0], -(-(starts + sizes) // HEADER) * HEADER])
    if (starts != ends[:-1] + HEADER).any() or ends[-1] + len(END) != size:
        return "its index does not follow the file from member to member"
    return None


def read_member(handle: int, name: str, span: Span, *, first: int | None = None) -> bytearray:
    """Read a member, or its ``first`` bytes, after a check of its header.

    Raises:
        ValueError: If the header is that of a link, or of another name or size; if the member is
            too large; if the checksum of the whole member differs; or if the file is too short.
    """
    start, size, crc = span
    limit = _LIMITS[name.rpartition(".")[2]]
    if size > limit:
        raise ValueError(f"{name} has {size:,} bytes, over the {limit:,} allowed")
    length = size if first is None else min(first, size)
    data = read_bytes(handle, start - HEADER, HEADER + length)
    if data[:HEADER] != header(name, size):
        raise ValueError(f"the tar file holds something else where its index says {name}")
    data = data[HEADER:]
    if first is None and crc32(data) != crc:
        raise ValueError(f"{name} is damaged: its checksum differs")
    return data


def read_bytes(handle: int, start: int, size: int) -> bytearray:
    """Read ``size`` bytes of a file from offset ``start``.

    Raises:
        ValueError: If the file ends before that.
    """
    data = bytearray(size)
    if os.preadv(handle, [data], start) != size:
        raise ValueError(f"the tar file ends before byte {start + size:,}")
    return data

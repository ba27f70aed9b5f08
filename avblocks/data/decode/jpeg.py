"""Structure of JPEG files (size and end), and the EXIF orientation of JPEG and PNG files."""

import re
import struct
from collections.abc import Container, Iterator

# Start-of-frame markers, which hold the size; C4, C8 and CC are something else.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START, _SCAN, _END, _APP1 = 0xD8, 0xDA, 0xD9, 0xE1
_BARE = frozenset({0x01, _START, _END})  # markers without a length
# In compressed data 0xFF is followed by a zero, or is part of a restart marker; before a marker
# there may be any number of them.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_ORIENTATION = 0x112
_FORMATS = {3: "H", 4: "I"}  # SHORT, as EXIF has it, and LONG, as some write it

Bytes = bytes | bytearray


def segments(data: Bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the kind of each segment, and the offsets where its content begins and ends.

    The compressed data follow the content of a scan segment; the last segment may be the end
    marker.
    """
    offset = 2
    while match := _MARKER.search(data, offset):
        kind, begin = data[match.start() + 1], match.end()
        length = 0 if kind in _BARE else int.from_bytes(data[begin : begin + 2])
        if kind == _START or (length < 2 and kind not in _BARE):  # another image: this one is cut
            return
        yield kind, min(begin + 2, begin + length), begin + length
        if kind == _END:
            return
        offset = begin + length


def jpeg_size(data: Bytes, *, kinds: Container[int] = _FRAMES) -> tuple[int, int] | None:
    """Read height and width from the first start-of-frame marker of the given kinds, if any."""
    for kind, begin, _ in segments(data):
        if kind in kinds and begin + 5 <= len(data):
            sizes = data[begin + 1 : begin + 5]
            return int.from_bytes(sizes[:2]), int.from_bytes(sizes[2:])
        if kind == _SCAN:
            break
    return None


def jpeg_end(data: Bytes) -> int | None:
    """Find the offset after the end marker, where phones append videos; None without a marker."""
    return next((end for kind, _, end in segments(data) if kind == _END), None)


def jpeg_orientation(data: Bytes) -> int:
    """Return the orientation number of the EXIF segment, 1 if there is none."""
    for kind, begin, end in segments(data):
        if kind == _APP1 and data[begin : begin + 6] == b"Exif\0\0":
            return exif_orientation(data[begin + 6 : end])
        if kind == _SCAN:
            break
    return 1


def png_orientation(data: Bytes) -> int:
    """Return the orientation number of the eXIf chunk of a PNG file, 1 if there is none."""
    offset = 8
    while offset + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        if kind == b"eXIf":
            return exif_orientation(data[offset + 8 : offset + 8 + length])
        offset += 12 + length
    return 1


def exif_orientation(tiff: Bytes) -> int:
    """Return the orientation number in EXIF data (a TIFF header), 1 if there is none."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(tiff[:2]))
    if order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, offset)
        for entry in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, entry)
            if tag == _ORIENTATION and kind in _FORMATS:
                return struct.unpack_from(order + _FORMATS[kind], tiff, entry + 8)[0]
    except struct.error:  # the data end too early
        pass
    return 1

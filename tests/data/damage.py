"""Changes to the bytes of media files, made without any tool."""

import struct
from pathlib import Path

ONE = 1 << 16
QUARTER = (0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30)


def rotate(path: Path, *, matrix: tuple[int, ...] = QUARTER) -> None:
    """Write a display matrix, a quarter turn clockwise, into the video track of an mp4 file."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    data[place : place + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(data)


def shift_edit(path: Path, milliseconds: int) -> None:
    """Let the first edit of an mp4 file's video leave out so much more of the beginning."""
    data = bytearray(path.read_bytes())
    scale = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
    place = data.index(b"elst") + 12  # version, flags, count; then duration, time, rate
    duration, time = struct.unpack_from(">Ii", data, place)
    # The movie's clock has milliseconds.
    struct.pack_into(
        ">Ii", data, place, duration - milliseconds, time + milliseconds * scale // 1000
    )
    path.write_bytes(data)


def without_reorder_depth(path: Path) -> None:
    """Take its usability information, and so the reorder depth, from an H.264 file's header."""
    data = path.read_bytes()
    start = data.index(b"\x67\x64\x00")  # parameter set of the High profile
    length = struct.unpack_from(">H", data, start - 2)[0]
    parameters = data[start : start + length]
    path.write_bytes(data[:start] + _shortened(parameters) + data[start + length :])


def _shortened(parameters: bytes) -> bytes:
    """Unset `vui_parameters_present_flag` and end there; zeros keep the length."""
    bits = "".join(f"{byte:08b}" for byte in parameters.replace(b"\0\0\3", b"\0\0"))
    place = 32  # the unit's head, profile, constraints, level

    def skip(numbers: int = 0, flags: int = 0) -> None:
        """Pass over Exp-Golomb numbers, then flags."""
        nonlocal place
        for _ in range(numbers):
            place += 2 * (bits.index("1", place) - place) + 1
        place += flags

    skip(4, 2)  # id, colours, two depths; lossless, scaling matrix
    skip(1)  # length of frame numbers
    skip(2 if bits[place] == "1" else 1)  # kind of order, and its length for kind 0
    skip(1, 1)  # reference frames; gaps
    skip(2, 2)  # width, height; no fields, direct prediction
    cropped = bits[place] == "1"
    skip(flags=1)
    skip(4 if cropped else 0)
    assert bits[place] == "1", "there is nothing to take out"
    kept = bits[:place] + "01"  # and the bit that ends it
    kept += "0" * (-len(kept) % 8)
    short = bytes(int(kept[i : i + 8], 2) for i in range(0, len(kept), 8))
    assert b"\0\0" not in short
    return short.ljust(len(parameters), b"\0")

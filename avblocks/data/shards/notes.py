"""What ``KEY.json`` says about a clip."""

import json
import math
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from avblocks.data.shards.flac import BLOCK, HEAD, LARGEST, checksums

_EDGE = 1e-6  # seconds


@dataclass(frozen=True)
class Notes:
    """A clip's annotation, and what a reader must know to take a part of it.

    ``duration`` of the sound and ``times`` of the pictures in it are in seconds; ``blocks`` are the
    bytes of each FLAC block, ``checks`` the CRC-32 of what comes before them and of each of them,
    ``path`` is the file that the clip was made from.
    """

    id: str
    path: str
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    duration: float
    rate: int
    times: tuple[float, ...]
    blocks: tuple[int, ...]
    checks: tuple[int, ...]

    def to_json(self) -> bytes:
        """Give the notes as the bytes of a JSON file."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    def nearest(self, *, start: float, seconds: float, frame: float) -> int:
        """Find the picture of a window nearest to a place in it, ``frame``, from 0 to 1.

        If the window has no picture it is the nearest outside of it.
        """
        wanted = start + frame * min(seconds, self.duration)
        low, high = start - _EDGE, start + seconds + _EDGE
        inside = [i for i, time in enumerate(self.times) if low <= time <= high]
        return min(inside or range(len(self.times)), key=lambda i: abs(self.times[i] - wanted))

    def part(self, first: int, last: int) -> tuple[int, int]:
        """Find where the FLAC blocks that hold samples from ``first`` to ``last`` begin and end."""
        ends = list(accumulate(self.blocks, initial=HEAD))
        return ends[first // BLOCK], ends[min(-(-last // BLOCK), len(ends) - 1)]

    def check(self, first: int, last: int, *, head: bytes, blocks: bytes) -> None:
        """Compare the head, and the blocks of samples from ``first`` to ``last``.

        Raises:
            ValueError: If the checksum of any differs.
        """
        rows = slice(first // BLOCK, -(-last // BLOCK))
        wanted = self.checks[0], *self.checks[1:][rows]
        if checksums(head + blocks, self.blocks[rows]) != wanted:
            raise ValueError("the sound is damaged: its checksum differs")


def parse_notes(data: bytes | bytearray, *, pictures: int, sound: int) -> Notes:
    """Read notes from an untrusted JSON file, with so many pictures and bytes of sound beside it.

    Raises:
        ValueError: If they are incomplete, or do not fit pictures and sound.
    """
    try:
        found: dict[str, Any] = json.loads(data)
        notes = Notes(
            id=str(found["id"]),
            path=str(found["path"]),
            labels=tuple(map(int, found["labels"])),
            classes=tuple(map(str, found["classes"])),
            duration=float(found["duration"]),
            rate=int(found["rate"]),
            times=tuple(map(float, found["times"])),
            blocks=tuple(map(int, found["blocks"])),
            checks=tuple(map(int, found["checks"])),
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ValueError(f"its json file is damaged ({error!r})") from error
    fits = len(notes.times) == pictures and HEAD + sum(notes.blocks) == sound
    fits = fits and len(notes.checks) == 1 + len(notes.blocks)
    bounded = all(0 < size <= LARGEST for size in notes.blocks)
    finite = all(map(math.isfinite, (notes.duration, *notes.times)))
    if not fits or not bounded or not finite or notes.duration < 0 or not notes.blocks:
        raise ValueError("its json file does not fit its pictures and its sound")
    return notes

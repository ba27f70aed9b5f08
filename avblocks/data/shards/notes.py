"""Notes on a clip in a shard, the content of ``KEY.json``."""

import json
import math
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any, Literal, get_args

from avblocks.data.shards.flac import BLOCK, HEAD, LARGEST, checksums

_EDGE = 1e-6  # seconds
Kind = Literal["video", "stills", "extracted"]
"""Images of a video, image files of an audio file, or such files extracted evenly from a video."""


@dataclass(frozen=True)
class Notes:
    """Annotation of a clip, and what is needed to read parts of it.

    ``duration`` of the audio and ``times`` of the images are in seconds; the time of an image file
    may be unknown. ``blocks`` are the sizes of the FLAC blocks in bytes, and ``checks`` the CRC-32
    of the head and of each block. ``path`` is the source file.
    """

    id: str
    path: str
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    duration: float
    rate: int
    times: tuple[float | None, ...]
    blocks: tuple[int, ...]
    checks: tuple[int, ...]
    kind: Kind = "video"

    def to_json(self) -> bytes:
        """Return the notes as the bytes of a JSON file."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    def nearest(self, *, start: float, seconds: float, frame: float) -> int:
        """Return the index of the image nearest to a position ``frame`` in a window, from 0 to 1.

        If the window of a video contains no image, it is the nearest one outside.
        """
        wanted, times = start + frame * min(seconds, self.duration), self.known_times
        low, high = start - _EDGE, start + seconds + _EDGE
        inside = [i for i, time in enumerate(times) if low <= time <= high]
        among = inside if inside and self.kind == "video" else range(len(times))
        return min(among, key=lambda i: abs(times[i] - wanted))

    @property
    def known_times(self) -> tuple[float, ...]:
        """The times, of which none is unknown."""
        return tuple(0.0 if time is None else time for time in self.times)

    def part(self, first: int, last: int) -> tuple[int, int]:
        """Return the byte range of the FLAC blocks with the samples from ``first`` to ``last``."""
        ends = list(accumulate(self.blocks, initial=HEAD))
        return ends[first // BLOCK], ends[min(-(-last // BLOCK), len(ends) - 1)]

    def check(self, first: int, last: int, *, head: bytes, blocks: bytes) -> None:
        """Verify the checksums of the head, and of the blocks of samples ``first`` to ``last``.

        Raises:
            ValueError: If a checksum differs.
        """
        rows = slice(first // BLOCK, -(-last // BLOCK))
        wanted = self.checks[0], *self.checks[1:][rows]
        if checksums(head + blocks, self.blocks[rows]) != wanted:
            raise ValueError("the audio is damaged: its checksum differs")


def parse_notes(data: bytes | bytearray, *, images: int, audio: int) -> Notes:
    """Parse notes from an untrusted JSON file.

    Args:
        data: The file.
        images: Number of images of the clip.
        audio: Size of the audio file in bytes.

    Raises:
        ValueError: If the notes are incomplete, or do not match the images and the audio.
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
            times=tuple(None if time is None else float(time) for time in found["times"]),
            blocks=tuple(map(int, found["blocks"])),
            checks=tuple(map(int, found["checks"])),
            kind=found.get("kind", "video"),  # the only kind of older shards
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ValueError(f"its json file is damaged ({error!r})") from error
    fits = len(notes.times) == images and HEAD + sum(notes.blocks) == audio
    fits = fits and len(notes.checks) == 1 + len(notes.blocks)
    bounded = all(0 < size <= LARGEST for size in notes.blocks)
    finite = all(map(math.isfinite, (notes.duration, *notes.known_times)))
    fits = fits and notes.kind in get_args(Kind)
    fits = fits and (notes.kind == "stills" or None not in notes.times)
    if not fits or not bounded or not finite or notes.duration < 0 or not notes.blocks:
        raise ValueError("its json file does not fit its images and its audio")
    return notes

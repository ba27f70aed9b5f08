"""Seconds of the videos that the ids of clips name, and clips of the same seconds."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from avblocks.data.datasets.disk import read_rows
from avblocks.jsonfile import read_json

CLIP_SECONDS = 10.0
"""Length of the clips of VGGSound, whose ids have only the start."""
_ID = r"(?P<video>[A-Za-z0-9_-]{11})"
_START = re.compile(rf"{_ID}_(?P<start>\d{{6}})")
_BOTH = re.compile(rf"{_ID}_(?P<start>\d+(?:\.\d+)?)_(?P<end>\d+(?:\.\d+)?)")
_ANY = re.compile(rf"{_ID}(?:_\d+)*")
_HEADERS = frozenset(
    ("id", "name", "file", "video", "video_id", "vid", "ytid", "youtube_id", "uid", "source_1")
)
_NUMBER = re.compile(r"\d+(\.\d+)?")
_MILLISECONDS = 1000  # a clip of as many seconds is one of milliseconds

Kind = Literal["overlap", "unknown", "apart"]
"""Clips of one video: in the same seconds, at unknown times, or in other seconds."""


@dataclass(frozen=True, slots=True)
class Span:
    """A clip and the seconds of its video.

    Attributes:
        id: Id of the clip.
        video: Id of the video; the id of the clip if it names no video.
        start: First second, if known.
        end: Last second, if known.
    """

    id: str
    video: str
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two clips of one video, and the seconds that they have in common, if known."""

    kind: Kind
    id: str
    other: str
    seconds: float | None = None


def parse_span(key: str) -> Span:
    """Parse the id of a clip.

    Known forms are ``ID_ssssss`` (VGGSound; ten seconds), and ``ID_START_END`` in seconds or
    milliseconds. A YouTube id with other numbers, such as the frames of AVSBench and MUSIC, is a
    clip at an unknown time; any other id is a video of its own.

    >>> parse_span("00W1lcxW-WU_000030")
    Span(id='00W1lcxW-WU_000030', video='00W1lcxW-WU', start=30.0, end=40.0)
    >>> parse_span("00W1lcxW-WU_5000_10000").end, parse_span("00W1lcxW-WU_3").start
    (10.0, None)
    """
    if match := _START.fullmatch(key):
        start = float(match["start"])
        return Span(key, match["video"], start, start + CLIP_SECONDS)
    match = _BOTH.fullmatch(key)
    if match and not _is_frame(match):
        start, end = float(match["start"]), float(match["end"])
        unit = _MILLISECONDS if end - start >= _MILLISECONDS else 1
        return Span(key, match["video"], start / unit, end / unit)
    match = _ANY.fullmatch(key)
    return Span(key, match["video"] if match else key)


def _is_frame(match: re.Match[str]) -> bool:
    """Return whether the numbers are those of MUSIC's frames, ``ID_000_00007``, or no interval."""
    frame = len(match["start"]) == 3 and len(match["end"]) == 5 and match["end"].startswith("0")
    return frame or float(match["end"]) <= float(match["start"])


def names_video(span: Span) -> bool:
    """Return whether the id of a clip, or the table that lists it, names a YouTube video.

    >>> names_video(parse_span("00W1lcxW-WU_000030")), names_video(parse_span("dog/1.mp4"))
    (True, False)
    """
    return span.start is not None or _ANY.fullmatch(span.id) is not None


def overlaps(clips: Iterable[Span], others: Iterable[Span]) -> Iterator[Overlap]:
    """Yield the pairs of clips of one video, in linear time and memory.

    >>> pair = parse_span("00W1lcxW-WU_000030"), parse_span("00W1lcxW-WU_000036")
    >>> next(overlaps(pair[:1], pair[1:]))
    Overlap(kind='overlap', id='00W1lcxW-WU_000030', other='00W1lcxW-WU_000036', seconds=4.0)
    """
    videos: dict[str, list[Span]] = {}
    for other in others:
        videos.setdefault(other.video, []).append(other)
    for clip in clips:
        for other in videos.get(clip.video, ()):
            yield _compared(clip, other)


def _compared(clip: Span, other: Span) -> Overlap:
    if clip.start is None or clip.end is None or other.start is None or other.end is None:
        kind: Kind = "overlap" if clip.id == other.id else "unknown"
        return Overlap(kind, clip.id, other.id)
    seconds = min(clip.end, other.end) - max(clip.start, other.start)
    return Overlap("overlap" if seconds > 0 else "apart", clip.id, other.id, max(seconds, 0.0))


def read_spans(path: Path, *, split: str | None = None) -> Mapping[str, Span]:
    """Read the clips of a published list, by id, in their order.

    Supported are lists with ids in the first column, and in other columns if they have the form
    ``ID_ssssss`` (such as pairs of VGGSound-Music), ``vggsound.csv``, the segments of AudioSet, and
    ``vggss.json``.

    Args:
        path: A csv, txt or json file.
        split: Only the lines of this split, of ``vggsound.csv`` and the tables of AVSBench.

    Raises:
        ValueError: If the file is missing, of another form, or has no clip of the split.
    """
    if path.suffix == ".json":
        entries = read_json(path, [{"file": str}], remedy="expected the form of vggss.json")
        found = [parse_span(entry["file"]) for entry in entries]
    else:
        rows = [row for _, row in read_rows(path, columns=None)]
        rows = rows[1:] if rows and rows[0][0].lower() in _HEADERS else rows
        kept = [row for row in rows if split is None or split in row[1:]]
        found = [span for row in kept for span in _row_spans(row)]
    if not found:
        raise ValueError(f"{path}: no clip{f' of the split {split!r}' if split else ''} in it")
    return {span.id: span for span in _as_read(found)}


def _as_read(spans: list[Span]) -> Iterator[Span]:
    """Name the only segment of a video of AudioSet by the video, as the reader of AudioSet does."""
    count = Counter(span.video for span in spans)
    for span in spans:
        alone = count[span.video] == 1 and span.start is not None
        named = alone and span.id == f"{span.video}_{span.start:g}"
        yield replace(span, id=span.video) if named else span


def _row_spans(row: list[str]) -> Iterator[Span]:
    """Yield the clips of a row, in the form of its table."""
    first, *rest = row
    times = [float(text) for text in rest[:2] if _NUMBER.fullmatch(text)]
    if len(first) == 11 and _ANY.fullmatch(first) and len(rest) == 3 and times:
        start, *end = times
        if end:  # a segment of AudioSet
            yield Span(f"{first}_{start:g}", first, start, end[0])
        else:
            yield parse_span(f"{first}_{int(start):06d}")
    else:
        yield parse_span(first)
        yield from (parse_span(text) for text in rest if _START.fullmatch(text))

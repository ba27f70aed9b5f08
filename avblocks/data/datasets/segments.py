"""Segments of YouTube videos: check their ids, and find their files by common naming schemes."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from avblocks.data.datasets.clipset import Item
from avblocks.data.datasets.disk import SPREADSHEET, media_files
from avblocks.data.datasets.stills import has_stills, still_items

_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_TIMES = re.compile(r"(?:[ _-]+\[?(?P<start>\d+(?:\.\d+)?)(?:[ _-]+(?P<end>\d+(?:\.\d+)?))?\]?)?")
_DOWNLOADED = re.compile(rf".* \[(?P<id>{_ID.pattern})\]", re.DOTALL)  # as yt-dlp names files
_SECOND = 1000  # milliseconds
_NEAR = 0.5  # seconds by which the start in a name may differ, due to rounding


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a video: the id of the video and the start of the part in seconds."""

    video: str
    start: float


@dataclass(frozen=True)
class FoundClips:
    """The clips of a list of segments that are on disk.

    Attributes:
        items: Clips by the key of the segment, which is also their id.
        unfit: Files that match no segment, or more than one.
        doubled: Additional files of segments that have one.
        halves: Names of audio files without images, or images without audio.
        stills: Whether the clips are audio files with images instead of videos.
    """

    items: Mapping[str, Item]
    unfit: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    halves: tuple[str, ...] = ()
    stills: bool = False

    def remarks(self, wanted: Mapping[str, Segment]) -> tuple[str, ...]:
        """Return remarks for the report if wanted segments have no file."""
        remarks: tuple[str, ...] = ()
        if self.doubled:
            more = f"{len(self.doubled)} files of clips that have another, such as"
            remarks = (f"{more} {Path(self.doubled[0]).name}, are left out",)
        missing = next((s for key, s in wanted.items() if key not in self.items), None)
        if missing is None:
            return remarks
        if self.halves:
            alone = f"{len(self.halves)} audio files or images have no counterpart of their name"
            remarks = (*remarks, f"{alone}, such as {self.halves[0]}")
        looked = f"looked for names such as {self._usual_names(missing)}"
        if not self.unfit:
            return (*remarks, looked) if not self.items.keys() & wanted.keys() else remarks
        fit = f"{len(self.unfit)} files fit no listed clip, such as {Path(self.unfit[0]).name}"
        return (*remarks, fit, looked)

    def _usual_names(self, segment: Segment) -> str:
        names = usual_names(segment, suffix=".wav" if self.stills else ".mp4")
        there = " in audio and their .jpg in frames or frames/frame_0" if self.stills else ""
        return ", ".join(names) + there


def youtube_id(text: str, *, where: str) -> str:
    """Validate the id of a YouTube video from a table.

    Raises:
        ValueError: If it is not an id.
    """
    if not _ID.fullmatch(text):
        raise ValueError(f"{where}: {text!r} is no id of a video; {SPREADSHEET}")
    return text


def usual_names(segment: Segment, *, suffix: str = ".mp4") -> tuple[str, ...]:
    """Return the most common file names of a segment.

    >>> usual_names(Segment("00W1lcxW-WU", 30.0))
    ('00W1lcxW-WU_30_40.mp4', '00W1lcxW-WU_000030.mp4', '00W1lcxW-WU.mp4')
    """
    video, start = segment.video, round(segment.start)
    names = f"{video}_{start}_{start + 10}", f"{video}_{start:06d}", video
    return tuple(name + suffix for name in names)


def find_clips(root: Path, known: Mapping[str, Segment]) -> FoundClips:
    """Find the clips of segments in a folder, by the id and start in the file names.

    A name is the id, optionally with a Y before it, and optionally followed by the start, or start
    and end, in seconds or milliseconds: ``ID_30_40``, ``ID-30``, ``ID_000030_000040``,
    ``ID_30000_40000``, ``ID_30.000_40.000``, ``ID [30]``; or ``TITLE [ID]``, as yt-dlp names files.
    The id alone matches a segment if it is the only one of its video. A file with the start in its
    name is preferred. If the folder has subfolders of audio and images, see ``stills``, clips are
    searched there; otherwise they are videos.

    Args:
        root: The folder.
        known: All possible segments, by key.

    Raises:
        ValueError: If the folder is missing, or contains no video, or no audio or image.
    """
    segments: dict[str, dict[str, Segment]] = {}
    for key, segment in known.items():
        segments.setdefault(segment.video, {})[key] = segment
    there = _list_clips(root)
    timed, plain, unfit = dict[str, list[Item]](), dict[str, list[Item]](), list[str]()
    for item in filter(None, there.values()):
        key, has_start = next(_fitting(Path(item.path).stem, segments), (None, False))
        if key is None:
            unfit.append(item.path)
        else:
            (timed if has_start else plain).setdefault(key, []).append(replace(item, id=key))
    found = {key: timed.get(key, []) + plain.get(key, []) for key in (timed | plain)}
    return FoundClips(
        items={key: items[0] for key, items in found.items()},
        unfit=tuple(unfit),
        doubled=tuple(item.path for items in found.values() for item in items[1:]),
        halves=tuple(name for name, item in there.items() if item is None),
        stills=has_stills(root),
    )


def _list_clips(root: Path) -> dict[str, Item | None]:
    """List videos, or audio with images, by name; ``None`` if audio or images are missing."""
    if has_stills(root):
        return still_items(root)
    return {str(path): Item(id=path.stem, path=str(path)) for path in media_files(root)}


def _fitting(
    stem: str, segments: Mapping[str, Mapping[str, Segment]]
) -> Iterator[tuple[str, bool]]:
    """Yield the segments that a name matches, and whether the name includes the start."""
    for video, rest in _ids(stem):
        listed, times = segments.get(video, {}), _TIMES.fullmatch(rest)
        if times is None or not listed:
            continue
        if times["start"] is None:
            yield from ((key, False) for key in listed if len(listed) == 1)
            continue
        near = {
            abs(start - segment.start): key
            for key, segment in listed.items()
            for start in _starts(times["start"], times["end"])
        }
        if near and min(near) < _NEAR:
            yield near[min(near)], True


def _starts(start: str, end: str | None) -> list[float]:
    """Return the possible starts in seconds of a name whose numbers may be milliseconds.

    >>> _starts("30000", "40000"), _starts("30", "40"), _starts("000030", None)
    ([30.0], [30.0], [30.0])
    """
    number, length = float(start), float(end or start) - float(start)
    padded = re.match(r"0\d", start) is not None
    if padded or "." in start or 0 < length < _SECOND:
        return [number]
    if length >= _SECOND:
        return [number / _SECOND]
    return [number, number / _SECOND] if number >= _SECOND else [number]


def _ids(stem: str) -> Iterator[tuple[str, str]]:
    """Yield the possible ids in a name, each with the rest of the name."""
    yield stem[:11], stem[11:]
    if stem.startswith("Y"):
        yield stem[1:12], stem[12:]
    if downloaded := _DOWNLOADED.fullmatch(stem):
        yield downloaded["id"], ""


def numbered(segments: Collection[Segment]) -> dict[Segment, str]:
    """Name segments by the id of their video, with the start if the video has several.

    >>> numbered([Segment("a", 0.0), Segment("b", 5.0), Segment("b", 30.0)]).values()
    dict_values(['a', 'b_5', 'b_30'])
    """
    count = Counter(segment.video for segment in segments)
    return {s: f"{s.video}_{s.start:g}" if count[s.video] > 1 else s.video for s in segments}

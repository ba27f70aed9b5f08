"""`VideoWindows`: a video of any length, cut into overlapping or adjacent windows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from math import inf
from pathlib import Path

import torch

from avblocks.data import ClipError, ClipFormat
from avblocks.data.decode.audio import extent
from avblocks.data.decode.frames import decode_frames, to_tensor
from avblocks.data.decode.media import Media, open_media
from avblocks.progress import progress_bar
from avblocks.shapes import require, require_positive
from avblocks.video.audio import stream_audio
from avblocks.video.batch import WindowBatch

MAX_HOURS = 24
"""Longest audio that is read."""


@dataclass(frozen=True, kw_only=True)
class VideoWindows:
    """The windows of a video; `open_windows` makes them.

    Nothing is decoded until `batches` is called, which may be done several times, for instance
    once for each model.

    Attributes:
        path: The video.
        format: Length and rate of the windows, and size of their images.
        file_start: Time stamp at which a player shows 0, seconds.
        audio_start: Time stamp at which the audio starts, seconds.
        num_samples: Length of the audio at the rate of the format.
        starts: First sample of each window.
        remark: A remark on the file, if any.
        audio: A wav or flac file that replaces the audio of the video, or of the part, from its
            start on, if any.
        part: Start and end of the part of the video, in seconds as a player shows them; ``None``
            for the whole video.
    """

    path: str
    format: ClipFormat
    file_start: float
    audio_start: float
    num_samples: int
    starts: tuple[int, ...]
    remark: str = ""
    part: tuple[float, float] | None = None
    audio: str | None = None

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def decoding(self) -> tuple[str, str | None, float, int, int, int]:
        """Files, part, samples of a window, and rate: windows with equal values can be merged."""
        part = self.audio_start, self.num_samples
        return self.path, self.audio, *part, self.format.samples, self.format.rate

    @property
    def offset(self) -> float:
        """Time at which the audio starts, in seconds as a player shows them."""
        return self.audio_start - self.file_start

    @property
    def seconds(self) -> float:
        """Length of the audio, or of its part."""
        return self.num_samples / self.format.rate

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Start and end of each window, in seconds as a player shows them."""
        rate = self.format.rate
        ends = (min(start + self.format.samples, self.num_samples) for start in self.starts)
        return [
            (self.offset + start / rate, self.offset + end / rate)
            for start, end in zip(self.starts, ends, strict=True)
        ]

    @property
    def nearest_until(self) -> list[float]:
        """Time until which the center of each window is nearest, seconds; the last is infinite."""
        centers = [(start + end) / 2 for start, end in self.spans]
        return [*((a + b) / 2 for a, b in pairwise(centers)), inf]

    def batches(self, batch: int = 8, *, progress: str | None = None) -> Iterator[WindowBatch]:
        """Decode the windows in one pass, with no more than one batch in memory.

        Args:
            batch: Windows in a batch; the last one may have fewer.
            progress: Label of a progress bar; without one there is no bar.

        Raises:
            ClipError: If the video cannot be decoded.
            ValueError: If ``batch`` is not a positive integer.
        """
        require_positive(batch=batch)
        times = [self.file_start + (start + end) / 2 for start, end in self.spans]
        audio = stream_audio(
            self.audio or self.path,
            self.format,
            starts=self.starts,
            num_samples=self.num_samples,
            begin=None if self.audio else self.audio_start,
            alone=self.audio is not None,
        )
        about, hidden = progress or "", progress is None
        with (
            open_media(self.path) as media,
            progress_bar(
                about=about, total=len(self), unit="window", leave=False, disable=hidden
            ) as bar,
        ):
            images = map(to_tensor, decode_frames(media, times=times))
            stream = zip(self.starts, images, audio, strict=True)
            while windows := list(islice(stream, batch)):
                starts, frames, waves = zip(*windows, strict=True)
                yield WindowBatch(
                    path=self.path,
                    size=self.format.size,
                    starts=starts,
                    images=frames,
                    audio=torch.stack(waves),
                )
                bar.update(len(windows))

    def select(self, batches: Iterable[WindowBatch], batch: int = 8) -> Iterator[WindowBatch]:
        """Select these windows among those of `merge_windows`, in batches of another size."""
        mine, size = set(self.starts), self.format.size
        windows = (one for some in batches for one in some.split() if one.starts[0] in mine)
        while group := list(islice(windows, batch)):
            yield replace(WindowBatch.join(group), size=size)


def merge_windows(several: Sequence[VideoWindows]) -> VideoWindows:
    """Merge the windows of several sets, so that each is decoded once.

    `VideoWindows.select` separates them again.

    Raises:
        ValueError: If they are of several videos or parts, or differ in length or rate.
    """
    kinds = {windows.decoding for windows in several}
    require(len(kinds) == 1, "windows", kinds, "of one video and part, length and rate")
    starts = sorted({start for windows in several for start in windows.starts})
    return replace(several[0], starts=tuple(starts))


def open_windows(
    path: str | Path,
    format: ClipFormat | None = None,
    *,
    hop: int | None = None,
    part: tuple[float, float] | None = None,
    audio: str | Path | None = None,
) -> VideoWindows:
    """Cut a video into windows, based on the times in its headers.

    The last window is moved back to end with the audio.

    Args:
        path: An mp4, mov, mkv, webm or avi file with images and audio.
        format: Clip format of the model; the paper's if not given.
        hop: Samples from one window to the next, at most a window; a window if not given.
        part: Start and end of the part to cut into windows, in seconds as a player shows them; all
            of the video if not given.
        audio: A wav or flac file that replaces the audio of the video, or of the part, from its
            start on, of the same length; `fit_audio` writes one.

    Raises:
        ClipError: If the file cannot be used, its audio is longer than `MAX_HOURS`, or it has none
            in the part.
        ValueError: If ``hop`` is below 1 or above a window, or the format has several frames.

    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> from avblocks.data import write_clip
    >>> with TemporaryDirectory() as folder:
    ...     path, frames = Path(folder, "gray.mp4"), np.full((20, 32, 48, 3), 128, np.uint8)
    ...     write_clip(path, frames=frames, audio=np.zeros(40000), fps=8, rate=16000)
    ...     windows = open_windows(path, ClipFormat(seconds=1.0, size=32))
    ...     [batch.to_batch().audio.shape for batch in windows.batches(2)]
    [torch.Size([2, 16000]), torch.Size([1, 16000])]
    >>> windows.starts
    (0, 16000, 24000)
    """
    path, format = str(path), format or ClipFormat()
    hop = format.samples if hop is None else hop
    fits = isinstance(hop, int) and 1 <= hop <= format.samples
    require(fits, "hop", hop, f"1 to the {format.samples} of a window")
    require(format.frames == 1, "format.frames", format.frames, "1: a window has a single image")
    with open_media(path) as media:
        (begin, end), file_start, remark = extent(media), start_time(media), media.remark
    if part is not None:
        whole = f"its audio lasts from {begin - file_start:g} to {end - file_start:g} s"
        begin, end = max(begin, file_start + part[0]), min(end, file_start + part[1])
        if not part[0] < part[1] or begin >= end:
            end = "the end" if part[1] == inf else f"{part[1]:g} s"
            raise ClipError(path, f"no audio from {part[0]:g} s to {end}: {whole}")
    num_samples = round((end - begin) * format.rate)
    if not 0 < num_samples <= MAX_HOURS * 3600 * format.rate:
        reason = f"its audio lasts {end - begin:g} s, not between 0 and {MAX_HOURS} hours"
        raise ClipError(path, reason)
    return VideoWindows(
        path=path,
        format=format,
        file_start=file_start,
        audio_start=begin,
        num_samples=num_samples,
        starts=window_starts(num_samples, length=format.samples, hop=hop),
        remark=remark,
        part=part,
        audio=None if audio is None else str(audio),
    )


def window_starts(num_samples: int, *, length: int, hop: int) -> tuple[int, ...]:
    """List where windows start; the last one is moved back to end with the audio.

    Audio shorter than ``length`` has one window; ``hop`` is from one window to the next.

    >>> window_starts(10, length=4, hop=3), window_starts(11, length=4, hop=3)
    ((0, 3, 6), (0, 3, 6, 7))
    """
    last = max(num_samples - length, 0)
    return (*range(0, last, hop), last)


def start_time(media: Media) -> float:
    """Return the time stamp at which a player shows 0, seconds: where the first stream starts."""
    first = (media.video.start_time or 0) * (media.video.time_base or 0)
    return min(extent(media)[0], float(first))

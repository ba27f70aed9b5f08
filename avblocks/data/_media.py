"""Media files opened with nothing trusted: containers, protocols and sizes are bounded."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from avblocks.data.clip import ClipError

# A text file named .mp4 can make FFmpeg play another file, and a small file can ask for gigabytes.
_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi",
}
# Titles that are no UTF-8 must not matter; from av 19 on they never do.
_TITLES: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)
_MAX_PIXELS = 8192 * 4320
_RATES = (1_000, 768_000)


@dataclass(frozen=True)
class Media:
    """An open file with one video and one audio stream.

    Attributes:
        path: The file.
        container: Its demuxer.
        video: First video stream.
        audio: First audio stream.
    """

    path: str
    container: InputContainer
    video: VideoStream
    audio: AudioStream


@contextmanager
def open_media(path: str) -> Iterator[Media]:
    """Open a file for as long as the block lasts, and turn decoding errors into ``ClipError``.

    Args:
        path: The file.

    Yields:
        The open file.

    Raises:
        ClipError: If it is missing, empty, no mp4, mov, mkv, webm or avi, damaged, without picture
            or sound, or out of bounds.
    """
    file = Path(path)
    if not file.is_file():
        raise ClipError(path, "no such file")
    if not file.stat().st_size:
        raise ClipError(path, "the file is empty")
    try:
        container = av.open(f"file:{path}", options=_OPTIONS, **_TITLES)
    except FFmpegError as error:
        reason = f"cannot be opened as mp4, mov, mkv, webm or avi ({error.strerror})"
        raise ClipError(path, reason) from error
    with container:
        try:
            yield _checked(path, container)
        except FFmpegError as error:
            raise ClipError(path, f"cannot be decoded ({error.strerror})") from error


def _checked(path: str, container: InputContainer) -> Media:
    """Take the first stream of each kind and refuse sizes that no clip has."""
    if not container.streams.video:
        raise ClipError(path, "no video stream")
    if not container.streams.audio:
        raise ClipError(path, "no audio stream")
    video, audio = container.streams.video[0], container.streams.audio[0]
    for stream in (video, audio):
        if stream.codec_context is None:
            raise ClipError(path, f"the {stream.type} stream is of an unknown codec")
    if video.codec_context.width * video.codec_context.height > _MAX_PIXELS:
        size = f"{video.codec_context.width}x{video.codec_context.height}"
        raise ClipError(path, f"frames of {size} are over the {_MAX_PIXELS:,} pixels allowed")
    if not _RATES[0] <= audio.codec_context.sample_rate <= _RATES[1]:
        rate = audio.codec_context.sample_rate
        raise ClipError(path, f"a sample rate of {rate} Hz is outside {_RATES[0]} to {_RATES[1]}")
    video.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}
    video.codec_context.thread_count = audio.codec_context.thread_count = 1
    return Media(path=path, container=container, video=video, audio=audio)

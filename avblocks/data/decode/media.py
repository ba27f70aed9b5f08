"""Media files opened with nothing trusted: containers, protocols and sizes are bounded.

PyAV is the one decoder. On the clips of ``recipes.benchmark.data`` with a key frame every 16 frames
torchcodec 0.17, with the same FFmpeg 8.1, read 0.6 times as many a second as ``read_clip``, and the
same picture: it is no faster, and needs a system's FFmpeg.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from avblocks.data.clip import ClipError

# A text file named .mp4 can make FFmpeg play another file, and a small file can ask for gigabytes.
_VIDEOS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
_SOUNDS = "wav,flac"
# Titles that are no UTF-8 must not matter; from av 19 on they never do.
_TITLES: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)
MAX_PIXELS = 8192 * 4320
"""Of a picture or a frame."""
_RATES = (1_000, 768_000)
NOT_ENOUGH = "its header does not say enough"
# What FFmpeg else decodes and reads ahead to learn what the headers of mp4 and mov say anyway.
_HEADER_ALONE = {"skip_frame": "all", "probesize": "4096"}


@dataclass(frozen=True)
class Media:
    """An open file and its first video and audio streams; ``probed`` if they were looked into."""

    path: str
    container: InputContainer
    video: VideoStream
    audio: AudioStream
    probed: bool = True


@dataclass(frozen=True)
class Sound:
    """An open file and its first audio stream; nothing else of it matters."""

    path: str
    container: InputContainer
    audio: AudioStream


@contextmanager
def open_media(path: str, *, probe: bool = True) -> Iterator[Media]:
    """Open a file for as long as the block lasts, and turn decoding errors into ``ClipError``.

    Args:
        path: The file.
        probe: Whether to look into the streams first. Without, opening takes a sixth of the time,
            the header is trusted, and one that does not say enough is an error: open it again.

    Raises:
        ClipError: If it is missing, empty, no mp4, mov, mkv, webm or avi, damaged, without picture
            or sound, or out of bounds.
    """
    kinds, more = "mp4, mov, mkv, webm or avi", {} if probe else _HEADER_ALONE
    with _opened(path, formats=_VIDEOS, named=kinds, more=more) as container:
        media = replace(_media(path, container), probed=probe)
        if not probe and not _says_enough(media):
            raise ClipError(path, NOT_ENOUGH)
        yield media


@contextmanager
def open_sound(path: str) -> Iterator[Sound]:
    """Open a sound file for as long as the block lasts, see ``open_media``.

    Raises:
        ClipError: If it is missing, empty, no wav or flac, damaged, without sound or out of bounds.
    """
    with _opened(path, formats=_SOUNDS, named="wav or flac") as container:
        yield Sound(path=path, container=container, audio=_audio(path, container))


@contextmanager
def reopen(media: Media | Sound) -> Iterator[Sound]:
    """Open a file once more, for its packets: moving in it disturbs no decoder of the first."""
    formats = f"{_VIDEOS},{_SOUNDS}"
    with _opened(media.path, formats=formats, named="before", more=_HEADER_ALONE) as container:
        yield Sound(path=media.path, container=container, audio=_audio(media.path, container))


@contextmanager
def _opened(
    path: str, *, formats: str, named: str, more: dict[str, str] | None = None
) -> Iterator[InputContainer]:
    """Open a file of one of some formats, and turn FFmpeg's errors into ``ClipError``."""
    if not file_size(path):
        raise ClipError(path, "the file is empty")
    try:
        options = {"protocol_whitelist": "file", "format_whitelist": formats, **(more or {})}
        container = av.open(f"file:{path}", options=options, **_TITLES)
    except FFmpegError as error:
        reason = f"cannot be opened as {named} ({error.strerror})"
        raise ClipError(path, reason) from error
    with container:
        try:
            yield container
        except FFmpegError as error:
            raise ClipError(path, f"cannot be decoded ({error.strerror})") from error


def file_size(path: str) -> int:
    """Bytes of a file, which must be one: a pipe, for one, may never end.

    Raises:
        ClipError: If it is none, or its folder may not be looked into.
    """
    try:
        if Path(path).is_file():
            return Path(path).stat().st_size
    except OSError as error:
        raise ClipError(path, f"cannot be opened ({error.strerror})") from error
    raise ClipError(path, "no such file")


def _media(path: str, container: InputContainer) -> Media:
    """Take the first stream of each kind and refuse sizes that no clip has."""
    if not container.streams.video:
        raise ClipError(path, "no video stream")
    audio, video = _audio(path, container), container.streams.video[0]
    if video.codec_context is None:
        raise ClipError(path, "the video stream is of an unknown codec")
    if video.codec_context.width * video.codec_context.height > MAX_PIXELS:
        size = f"{video.codec_context.width}x{video.codec_context.height}"
        raise ClipError(path, f"frames of {size} are over the {MAX_PIXELS:,} pixels allowed")
    video.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    video.codec_context.thread_count = 1
    return Media(path=path, container=container, video=video, audio=audio)


def _says_enough(media: Media) -> bool:
    """Whether a file's header gave what is else learnt by a look into its streams."""
    sound = media.audio
    known = None not in (sound.start_time, sound.duration, sound.codec_context.format)
    return known and media.container.format.name.startswith("mov,mp4")


def _audio(path: str, container: InputContainer) -> AudioStream:
    """Take the first audio stream and refuse rates that no sound has."""
    if not container.streams.audio:
        raise ClipError(path, "no audio stream")
    audio = container.streams.audio[0]
    if audio.codec_context is None:
        raise ClipError(path, "the audio stream is of an unknown codec")
    if not _RATES[0] <= audio.codec_context.sample_rate <= _RATES[1]:
        rate = audio.codec_context.sample_rate
        raise ClipError(path, f"a sample rate of {rate} Hz is outside {_RATES[0]} to {_RATES[1]}")
    audio.codec_context.thread_count = 1
    return audio

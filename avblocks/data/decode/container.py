"""Safe opening of media files: an allow-list of containers and protocols, errors with file name."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError

from avblocks.data.clip import ClipError

VIDEO_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
"""FFmpeg's names of the video containers."""
AUDIO_FORMATS = "wav,flac"
"""FFmpeg's names of the audio containers."""
RECORDINGS = f"{AUDIO_FORMATS},ogg,mp3"
"""FFmpeg's names of the containers of recordings for composed scenes."""
# A text file named .mp4 can make FFmpeg play another file, and a small file can ask for gigabytes.
# Titles that are not UTF-8 must not be an error; from av 19 on they never are.
_TITLES: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)
# Skip FFmpeg's analysis of the streams: the headers of mp4 and mov hold its results anyway.
_HEADER_ALONE = {"skip_frame": "all", "probesize": "4096"}

# A forked process has the decoders of its parent without their threads. To free one waits for them
# forever (av 18.1), so the garbage of the parent is left alone there.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=gc.freeze)


@contextmanager
def opened(
    path: str, *, formats: str, named: str = "before", probe: bool = True
) -> Iterator[InputContainer]:
    """Open a file of the given formats; FFmpeg's errors become ``ClipError``.

    Args:
        path: The file.
        formats: FFmpeg's names of the formats, separated by commas.
        named: The names of the formats in error messages.
        probe: Whether to analyze the streams first.
    """
    if not file_size(path):
        raise ClipError(path, "the file is empty")
    try:
        options = {
            "protocol_whitelist": "file",
            "format_whitelist": formats,
            **({} if probe else _HEADER_ALONE),
        }
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
    """Return the size of a regular file in bytes; other kinds, such as pipes, may never end.

    Raises:
        ClipError: If it is not a regular file, or its folder cannot be read.
    """
    try:
        if Path(path).is_file():
            return Path(path).stat().st_size
    except OSError as error:
        raise ClipError(path, f"cannot be opened ({error.strerror})") from error
    raise ClipError(path, "no such file")

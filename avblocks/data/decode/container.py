"""Files opened with nothing trusted: containers and protocols are bounded, errors are by name."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError

from avblocks.data.clip import ClipError

VIDEOS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
"""FFmpeg's names of the containers of videos."""
SOUNDS = "wav,flac"
"""FFmpeg's names of the containers of sounds."""
# A text file named .mp4 can make FFmpeg play another file, and a small file can ask for gigabytes.
# Titles that are no UTF-8 must not matter; from av 19 on they never do.
_TITLES: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)
# What FFmpeg else decodes and reads ahead to learn what the headers of mp4 and mov say anyway.
_HEADER_ALONE = {"skip_frame": "all", "probesize": "4096"}


@contextmanager
def opened(
    path: str, *, formats: str, named: str = "before", probe: bool = True
) -> Iterator[InputContainer]:
    """Open a file of one of some formats, and turn FFmpeg's errors into ``ClipError``.

    Args:
        path: The file.
        formats: FFmpeg's names of them.
        named: What a user calls them.
        probe: Whether to look into the streams first.
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

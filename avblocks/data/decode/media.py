"""Media files opened with nothing trusted: containers, protocols and sizes are bounded.

PyAV is the one decoder. On the clips of ``recipes.benchmark.data`` with a key frame every 16 frames
torchcodec 0.17, with the same FFmpeg 8.1, read 0.6 times as many a second as ``read_clip``, and the
same picture: it is no faster, and needs a system's FFmpeg.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import cast

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from avblocks.data.clip import ClipError
from avblocks.data.decode.container import SOUNDS, VIDEOS, opened
from avblocks.data.decode.streams import pick_audio, pick_video

MAX_PIXELS = 8192 * 4320
"""Of a picture or a frame."""
NOT_ENOUGH = "its header does not say enough"


@dataclass(frozen=True)
class Media:
    """An open file and its first usable streams; ``probed`` if they were looked into.

    A ``remark`` says if and why audio is not the first stream of its kind.
    """

    path: str
    container: InputContainer
    video: VideoStream
    audio: AudioStream
    probed: bool = True
    remark: str = ""


@dataclass(frozen=True)
class Sound:
    """An open file and its first usable audio stream; nothing else of it matters."""

    path: str
    container: InputContainer
    audio: AudioStream
    remark: str = ""


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
    kinds = "mp4, mov, mkv, webm or avi"
    with opened(path, formats=VIDEOS, named=kinds, probe=probe) as container:
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
    with opened(path, formats=SOUNDS, named="wav or flac") as container:
        audio, remark = pick_audio(path, container)
        yield Sound(path=path, container=container, audio=audio, remark=remark)


@contextmanager
def reopen(media: Media | Sound) -> Iterator[Sound]:
    """Open a file once more, for its packets: moving in it disturbs no decoder of the first."""
    with opened(media.path, formats=f"{VIDEOS},{SOUNDS}", probe=False) as container:
        audio = cast(AudioStream, container.streams[media.audio.index])
        yield Sound(path=media.path, container=container, audio=audio)


def _media(path: str, container: InputContainer) -> Media:
    """Pick the streams and refuse sizes that no clip has."""
    video = pick_video(path, container)
    audio, remark = pick_audio(path, container)
    if video.codec_context.width * video.codec_context.height > MAX_PIXELS:
        size = f"{video.codec_context.width}x{video.codec_context.height}"
        raise ClipError(path, f"frames of {size} are over the {MAX_PIXELS:,} pixels allowed")
    video.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    video.codec_context.thread_count = 1
    return Media(path=path, container=container, video=video, audio=audio, remark=remark)


def _says_enough(media: Media) -> bool:
    """Whether a file's header gave what is else learnt by a look into its streams."""
    sound = media.audio
    known = None not in (sound.start_time, sound.duration, sound.codec_context.format)
    return known and media.container.format.name.startswith("mov,mp4")

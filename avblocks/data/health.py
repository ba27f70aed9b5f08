"""Health check of media files: decode a whole file and report its defects."""

from dataclasses import dataclass, replace
from pathlib import Path

from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from avblocks.data.clip import ClipError
from avblocks.data.datasets.disk import AUDIO_SUFFIXES, IMAGE_SUFFIXES
from avblocks.data.decode.audio import extent, iter_audio
from avblocks.data.decode.image import decode_image
from avblocks.data.decode.media import AudioFile, Media, open_audio, open_media
from avblocks.data.decode.packets import made_up, overstated, take_only, untimed, video_frames
from avblocks.data.decode.survey import STILLNESS as STILLNESS
from avblocks.data.decode.survey import AudioSurvey, VideoSurvey
from avblocks.files import sha256

SILENCE = 1e-3
"""Peak below which audio counts as silent: -60 dB of full scale."""
LONGEST = 600.0
"""Seconds of each stream that are decoded; the rest is not checked."""
_MOST = 36_000  # frames: 60 per second
_TOLERANCE = 0.5  # seconds by which a stream may be shorter than its metadata state


@dataclass(frozen=True, kw_only=True)
class ClipHealth:
    """Result of a health check; a value is ``None`` if it is unknown or does not apply.

    Attributes:
        path: The file.
        reason: Why the file cannot be used; empty if it can.
        video_seconds: Duration of the video; from the metadata if over ``LONGEST``.
        audio_seconds: Duration of the audio, likewise.
        frame_rate: Frames per second.
        sample_rate: Samples per second.
        width: Width of the image as it is shown, upright and with square pixels.
        height: Height of the image as it is shown.
        silent: Whether the peak of the audio is below ``SILENCE``.
        still: Whether frames, compared once a second, differ by no more than ``STILLNESS``.
        sha256: Hash of the file; equal for exact duplicates.
        remark: A remark on a file that can be used.
    """

    path: str
    reason: str = ""
    video_seconds: float | None = None
    audio_seconds: float | None = None
    frame_rate: float | None = None
    sample_rate: int | None = None
    width: int | None = None
    height: int | None = None
    silent: bool | None = None
    still: bool | None = None
    sha256: str | None = None
    remark: str = ""


def check_file(path: str | Path) -> ClipHealth:
    """Decode a file up to ``LONGEST`` seconds; damage is reported in ``reason``, not raised.

    Args:
        path: A wav, flac, jpg or png file by its suffix, or else an mp4, mov, mkv, webm or avi
            file.
    """
    health = ClipHealth(path=str(path))
    try:
        if Path(path).is_file():  # others, such as pipes, may never end
            health = replace(health, sha256=sha256(Path(path)))
        return _decoded(health)
    except ClipError as error:
        return replace(health, reason=error.reason)
    except OSError as error:
        return replace(health, reason=f"cannot be opened ({error.strerror})")


def _decoded(health: ClipHealth) -> ClipHealth:
    """Decode a file of the kind given by its suffix."""
    kind = Path(health.path).suffix.lower()
    if kind in IMAGE_SUFFIXES:
        height, width = decode_image(health.path).shape[1:]
        return replace(health, width=width, height=height)
    if kind in AUDIO_SUFFIXES:
        with open_audio(health.path) as media:
            return _check_audio(health, media)
    # Opened twice, so that each stream is read as clips are.
    with open_media(health.path) as media:
        health = _check_audio(health, media)
    with open_media(health.path) as media:
        return _check_video(health, media)


def _check_audio(health: ClipHealth, media: Media | AudioFile) -> ClipHealth:
    """Decode the audio, up to ``LONGEST``, and add its results."""
    rate, audio = media.audio.codec_context.sample_rate, AudioSurvey(media.path)
    for place, samples in iter_audio(media, start=extent(media)[0]):
        audio.add(place, samples)
        if audio.length > LONGEST * rate:
            break
    stated, decoded = _stated_seconds(media, media.audio), audio.length / rate
    cut = decoded > LONGEST
    reason, remark = ("", "") if cut else _missing_audio(media, stated, decoded)
    return replace(
        health,
        reason=reason if audio.samples else "no audio can be decoded",
        audio_seconds=max(stated, decoded) if cut else decoded,
        sample_rate=rate,
        remark="; ".join(filter(None, (media.remark, remark))),
        silent=audio.peak < SILENCE,
    )


def _missing_audio(media: Media | AudioFile, stated: float, decoded: float) -> tuple[str, str]:
    """Return a reason against the file, or a remark if clips are read without what is missing."""
    short = _cut_short("audio", stated, decoded)
    if not short or not untimed(media):
        return short, ""
    start, end = extent(media)  # of the packets in the file; the header of avi also counts others
    return _cut_short("audio", end - start, decoded), short


def _check_video(health: ClipHealth, media: Media) -> ClipHealth:
    """Decode the video, up to ``LONGEST``, and add its results."""
    take_only(media, media.video)
    video, cut = VideoSurvey(media), False
    for frame in video_frames(media):
        video.add(frame)
        cut = video.seconds > LONGEST or video.count > _MOST
        if cut:
            break
    stated, decoded = _stated_seconds(media, media.video), video.seconds
    # The video is complete if all frames of the index are there, regardless of the duration that
    # FFmpeg gives the last one. The index of avi counts empty slots.
    complete = untimed(media) or video.count >= media.video.frames > 0
    reason = "" if cut or complete else _cut_short("video", stated, decoded)
    return replace(
        health,
        reason=(health.reason or reason) if video.count else "no video frame can be decoded",
        video_seconds=max(stated, decoded) if cut else decoded,
        frame_rate=video.rate if video.count else None,
        width=video.size[1] if video.count else media.video.codec_context.width,
        height=video.size[0] if video.count else media.video.codec_context.height,
        still=video.still,
    )


def _stated_seconds(media: Media | AudioFile, stream: AudioStream | VideoStream) -> float:
    """Return the duration of a stream in the file's metadata, in seconds; 0 if not stored."""
    if made_up(media, stream):
        return 0.0
    ticks = stream.duration or 0
    if overstated(media, stream):
        last = stream.index_entries[len(stream.index_entries) - 1].timestamp
        ticks = max(last - (stream.start_time or 0), 0)
    return float(ticks * (stream.time_base or 0))


def _cut_short(kind: str, stated: float, decoded: float) -> str:
    """Return a reason if less could be decoded than the metadata state, else ""."""
    if decoded >= stated - _TOLERANCE:
        return ""
    return f"cut short: {decoded:.1f} s of the {stated:.1f} s of {kind} can be decoded"

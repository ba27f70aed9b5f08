"""Look a file through from its first byte to its last, and say what is wrong with it."""

from dataclasses import dataclass, replace
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from avblocks.data.clip import ClipError
from avblocks.data.datasets.disk import PICTURES, SOUNDS
from avblocks.data.decode.image import decode_picture
from avblocks.data.decode.media import Media, Sound, open_media, open_sound
from avblocks.data.decode.packets import packets, sounds
from avblocks.data.decode.survey import STILLNESS as STILLNESS
from avblocks.data.decode.survey import PassingPictures, PassingSound
from avblocks.files import sha256

SILENCE = 1e-3
"""Peak below which a sound is silent: -60 dB of full scale."""
LONGEST = 600.0
"""Seconds that are decoded of each stream; what comes after is not looked at."""
_MOST = 36_000  # frames: 60 a second of them
_LOST = 0.5  # seconds that a stream may be shorter than its file says


@dataclass(frozen=True, kw_only=True)
class ClipHealth:
    """What is known of a file once all of it was decoded; ``None`` where it is not, or has no such.

    Attributes:
        reason: Why the file cannot be used; empty if it can.
        video_seconds: Duration of the pictures; by the file's own account if over ``LONGEST``.
        audio_seconds: Duration of the sound, likewise.
        frame_rate: Pictures a second.
        sample_rate: Samples a second.
        width: Of the pictures, pixels, before they are turned as the file says; so is ``height``.
        silent: Whether no sample reaches ``SILENCE``.
        still: Whether the pictures, one a second of them, stay the same within ``STILLNESS``.
        sha256: Of the file's bytes: equal for exact duplicates.
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


def check_file(path: str | Path) -> ClipHealth:
    """Decode a whole file once, as far as ``LONGEST``; a bad one gives a reason and no error.

    Args:
        path: A wav, flac, jpg or png file by its name, or else an mp4, mov, mkv, webm or avi file.
    """
    health = ClipHealth(path=str(path))
    try:
        if Path(path).is_file():  # anything else, a pipe for one, may never end
            health = replace(health, sha256=sha256(Path(path)))
        return _decoded(health)
    except ClipError as error:
        return replace(health, reason=error.reason)
    except OSError as error:
        return replace(health, reason=f"cannot be opened ({error.strerror})")


def _decoded(health: ClipHealth) -> ClipHealth:
    """Decode a file of the kind that its name says."""
    kind = Path(health.path).suffix.lower()
    if kind in PICTURES:
        height, width = decode_picture(health.path).shape[1:]
        return replace(health, width=width, height=height)
    if kind in SOUNDS:
        with open_sound(health.path) as media:
            return _decode_sound(media, health)
    with open_media(health.path) as media:
        return _decode_all(media, health)


def _decode_sound(media: Sound, health: ClipHealth) -> ClipHealth:
    """Decode a sound file and put together what was found."""
    sound, cut = PassingSound(media), False
    for frame in sounds(media):
        sound.add(frame)
        cut = sound.seconds > LONGEST
        if cut:
            break
    return _with_sound(health, media, sound, cut=cut)


def _with_sound(
    health: ClipHealth, media: Media | Sound, sound: PassingSound, *, cut: bool
) -> ClipHealth:
    """Add what was found of the sound, all of it or what comes before a cut."""
    told, found = _told(media.audio), sound.seconds
    reason = "" if cut else _lost("sound", told, found)
    return replace(
        health,
        reason=reason if sound.samples else "no sound can be decoded",
        audio_seconds=max(told, found) if cut else found,
        sample_rate=sound.rate,
        silent=sound.peak < SILENCE,
    )


def _told(stream: AudioStream | VideoStream) -> float:
    """Seconds of a stream by the file's own account."""
    return float((stream.duration or 0) * (stream.time_base or 0))


def _decode_all(media: Media, health: ClipHealth) -> ClipHealth:
    """Decode both streams side by side and put together what was found."""
    pictures, sound = PassingPictures(media), PassingSound(media)
    cut = False
    for packet in packets(media, media.video, media.audio):
        for frame in packet.decode():
            if isinstance(frame, av.VideoFrame):
                pictures.add(frame)
            elif isinstance(frame, av.AudioFrame):
                sound.add(frame)
        cut = max(pictures.seconds, sound.seconds) > LONGEST or pictures.count > _MOST
        if cut:
            break
    health = _with_sound(health, media, sound, cut=cut)
    told, found = _told(media.video), pictures.seconds
    lost = _lost("picture", told, found) if sound.samples and not cut else ""
    return replace(
        health,
        reason=lost or health.reason if pictures.count else "no video frame can be decoded",
        video_seconds=max(told, found) if cut else found,
        frame_rate=pictures.rate if pictures.count else None,
        width=media.video.codec_context.width,
        height=media.video.codec_context.height,
        still=pictures.still,
    )


def _lost(kind: str, told: float, found: float) -> str:
    """Say how much is missing of what the file promises, if any is."""
    if found >= told - _LOST:
        return ""
    return f"cut short: {found:.1f} s of the {told:.1f} s of {kind} can be decoded"

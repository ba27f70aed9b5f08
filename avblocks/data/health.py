"""Look a file through from its first byte to its last, and say what is wrong with it."""

from dataclasses import dataclass, replace
from pathlib import Path

from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from avblocks.data.clip import ClipError
from avblocks.data.datasets.disk import PICTURES, SOUNDS
from avblocks.data.decode.audio import extent, placed_sounds
from avblocks.data.decode.image import decode_picture
from avblocks.data.decode.media import Media, Sound, open_media, open_sound
from avblocks.data.decode.order import untimed
from avblocks.data.decode.packets import pictures, take_only
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
        width: Of the pictures as they are shown, upright and with square pixels; so is ``height``.
        silent: Whether no sample reaches ``SILENCE``.
        still: Whether the pictures, one a second of them, stay the same within ``STILLNESS``.
        sha256: Of the file's bytes: equal for exact duplicates.
        remark: What else is worth knowing of a file that can be used.
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
            return _with_sound(health, media)
    # One after the other, so that each is read as clips are.
    with open_media(health.path) as media:
        health = _with_sound(health, media)
    with open_media(health.path) as media:
        return _with_pictures(health, media)


def _with_sound(health: ClipHealth, media: Media | Sound) -> ClipHealth:
    """Decode the sound and add what was found of it, all of it or what comes before a cut."""
    rate, sound = media.audio.codec_context.sample_rate, PassingSound(media.path)
    for place, samples in placed_sounds(media, start=extent(media)[0]):
        sound.add(place, samples)
        if sound.length > LONGEST * rate:
            break
    told, found = _told(media.audio), sound.length / rate
    cut = found > LONGEST
    reason = "" if cut else _lost("sound", told, found)
    return replace(
        health,
        reason=reason if sound.samples else "no sound can be decoded",
        audio_seconds=max(told, found) if cut else found,
        sample_rate=rate,
        remark=media.remark,
        silent=sound.peak < SILENCE,
    )


def _with_pictures(health: ClipHealth, media: Media) -> ClipHealth:
    """Decode the pictures and add what was found of them, likewise."""
    take_only(media, media.video)
    seen, cut = PassingPictures(media), False
    for frame in pictures(media):
        seen.add(frame)
        cut = seen.seconds > LONGEST or seen.count > _MOST
        if cut:
            break
    told, found = _told(media.video), seen.seconds
    # All pictures of the index are there, however long FFmpeg says that the last one lasts. That of
    # avi counts empty slots, but avi has pictures and sound by turns.
    held = not health.reason if untimed(media) else seen.count >= media.video.frames > 0
    lost = "" if cut or held else _lost("picture", told, found)
    return replace(
        health,
        reason=(health.reason or lost) if seen.count else "no video frame can be decoded",
        video_seconds=max(told, found) if cut else found,
        frame_rate=seen.rate if seen.count else None,
        width=seen.size[1] if seen.count else media.video.codec_context.width,
        height=seen.size[0] if seen.count else media.video.codec_context.height,
        still=seen.still,
    )


def _told(stream: AudioStream | VideoStream) -> float:
    """Seconds of a stream by the file's own account."""
    return float((stream.duration or 0) * (stream.time_base or 0))


def _lost(kind: str, told: float, found: float) -> str:
    """Say how much is missing of what the file promises, if any is."""
    if found >= told - _LOST:
        return ""
    return f"cut short: {found:.1f} s of the {told:.1f} s of {kind} can be decoded"

"""`fingerprint`: the audio codes and frame hashes of a clip."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import UInt8, UInt16, UInt32
from torch import Tensor

from avblocks.data.clip import ClipError
from avblocks.data.datasets.clipset import Item
from avblocks.data.datasets.disk import AUDIO_SUFFIXES
from avblocks.data.decode.audio import decode_audio, extent
from avblocks.data.decode.frames import display_size, period, rgb, to_tensor
from avblocks.data.decode.image import decode_image
from avblocks.data.decode.media import Media, open_audio, open_media
from avblocks.data.decode.packets import take_only, video_frames
from avblocks.data.leaks.audio_codes import RATE, audio_codes
from avblocks.data.leaks.frame_hash import frame_hash

LONGEST = 600.0
"""Seconds of a file that are fingerprinted."""
_EVERY = 0.5  # seconds between hashed frames
_SMALL = 128  # pixels, longest side of a frame before it is hashed
_ALIKE = 8  # bits up to which a frame is that before it, which has a hash already

Hashes = UInt16[np.ndarray, "t 8"]


@dataclass(frozen=True)
class Fingerprint:
    """The fingerprint of a clip.

    Attributes:
        path: The video or audio file.
        codes: Codes of its audio, see `audio_codes`.
        hashes: Hashes of its frames, two per second without repetitions, see `frame_hash`.
        reason: Why there is no fingerprint; empty if there is one.
    """

    path: str
    codes: UInt32[np.ndarray, "s 2"] = field(default_factory=lambda: np.zeros((0, 2), np.uint32))
    hashes: Hashes = field(default_factory=lambda: np.zeros((0, 8), np.uint16))
    reason: str = ""


def fingerprint(item: Item) -> Fingerprint:
    """Decode the first ten minutes of a clip; damage is reported in ``reason``, not raised."""
    try:
        return _decoded(item)
    except ClipError as error:
        return Fingerprint(item.path, reason=error.reason)
    except OSError as error:
        return Fingerprint(item.path, reason=f"cannot be opened ({error.strerror})")


def _decoded(item: Item) -> Fingerprint:
    if item.path.lower().endswith(tuple(AUDIO_SUFFIXES)):
        with open_audio(item.path) as file:
            audio = decode_audio(file, start=extent(file)[0], seconds=LONGEST, rate=RATE)
        images = (decode_image(image.path) for image in item.images)
        return Fingerprint(item.path, audio_codes(audio), _hashes(images))
    # Opened twice, so that each stream is read as clips are.
    with open_media(item.path) as media:
        audio = decode_audio(media, start=extent(media)[0], seconds=LONGEST, rate=RATE)
    with open_media(item.path) as media:
        return Fingerprint(item.path, audio_codes(audio), _hashes(_frames(media)))


def _frames(media: Media) -> Iterator[UInt8[Tensor, "3 height width"]]:
    """Yield two reduced frames per second."""
    take_only(media, media.video)
    time, following, until, size = 0.0, None, LONGEST, None
    for frame in video_frames(media):
        time = time + period(media) if frame.time is None else frame.time
        following = time if following is None else following
        if size is None:
            height, width = display_size(frame, media)
            scale = min(_SMALL / max(height, width), 1.0)
            size = max(round(height * scale), 1), max(round(width * scale), 1)
            until = time + LONGEST
        if time >= following:
            following = max(following + _EVERY, time)
            yield to_tensor(rgb(frame, media, size))
        if time > until:
            return


def _hashes(images: Iterator[UInt8[Tensor, "3 height width"]]) -> Hashes:
    """Hash images, except blank ones and those like the one before."""
    kept: list[UInt16[np.ndarray, 8]] = []
    for image in images:
        words = frame_hash(torch.as_tensor(image))
        if words is None or (kept and np.bitwise_count(words ^ kept[-1]).sum() <= _ALIKE):
            continue
        kept.append(words)
    return np.stack(kept) if kept else np.zeros((0, 8), np.uint16)

"""Read a clip: one picture and the sound around it, from a video or from a sound and pictures."""

from contextlib import suppress
from dataclasses import replace
from functools import partial

import torch

from avblocks.data.clip import AVClip, ClipError
from avblocks.data.datasets.clipset import Item
from avblocks.data.decode.audio import decode_audio, extent
from avblocks.data.decode.extracted import read_extracted
from avblocks.data.decode.frames import decode_frame, to_tensor
from avblocks.data.decode.media import Media, open_media
from avblocks.data.decode.stills import read_stills


def read_clip(
    source: str | Item,
    *,
    seconds: float = 3.0,
    rate: int = 16000,
    place: float = 0.5,
    frame: float = 0.5,
    frames: int = 1,
) -> AVClip:
    """Read a window of audio and frames of it; the same arguments give the same clip.

    Args:
        source: An mp4, mov, mkv, webm or avi file with picture and sound, or an item of a data set:
            such a file, or a wav or flac file with jpg or png pictures beside it.
        seconds: Length of the window.
        rate: Samples per second.
        place: Where the window lies in the sound: 0 at the start, 0.5 centred, 1 at the end. Around
            a picture file that has a time of its own, as far as the sound reaches: 0 the window
            ends with it, 0.5 it is in the middle, 1 the window begins with it.
        frame: Where in the window the picture is taken, from 0 to 1; the last picture there is if
            the video is shorter. Of several picture files: which one, or the nearest to that place
            if they were extracted evenly from a video. With several frames: where in each of as
            many equal parts of the window.
        frames: How many to read; of fewer picture files some several times.

    Returns:
        The clip, with fewer than ``seconds * rate`` samples if the audio is shorter; with boxes,
        masks and further frames if the item has them. With several frames, ``image`` is
        (3, frames, height, width), and ``time`` is that of the first.

    Raises:
        ClipError: If a file gives no picture or no sound; it says why.
        ValueError: If an argument is out of range, or several frames of an item with masks are
            wanted.
    """
    if seconds <= 0 or rate < 1 or not 0 <= place <= 1 or not 0 <= frame <= 1 or frames < 1:
        raise ValueError(
            "read_clip takes seconds > 0, rate >= 1, place and frame in [0, 1], and frames >= 1, "
            f"got {seconds}, {rate}, {place}, {frame} and {frames}"
        )
    item = Item(id=source, path=source) if isinstance(source, str) else source
    if item.pictures and item.pictures[0].part is not None:
        where = places(frames, frame)
        clip = read_extracted(item, seconds=seconds, rate=rate, place=place, frames=where)
    elif item.pictures:
        clip = read_stills(item, seconds=seconds, rate=rate, place=place, frame=frame)
        clip = clip if frames == 1 else _several(clip, places(frames, frame))
    else:
        where = places(frames, frame)
        clip = _read_video(item, seconds=seconds, rate=rate, place=place, frames=where)
    if item.boxes is None:
        return replace(clip, labels=item.labels)
    boxes = torch.tensor(item.boxes, dtype=torch.float32).reshape(len(item.boxes), 4)
    return replace(clip, labels=item.labels, boxes=boxes)


def places(frames: int, frame: float) -> list[float]:
    """Places of frames in a window, from 0 to 1: one in each of as many equal parts.

    >>> places(1, 0.25), places(4, 0.5)
    ([0.25], [0.125, 0.375, 0.625, 0.875])
    """
    return [(number + frame) / frames for number in range(frames)]


def _several(clip: AVClip, where: list[float]) -> AVClip:
    """Take several of the pictures beside the audio for one."""
    if clip.mask is not None or (clip.frames is not None and bool(clip.frames.masked.any())):
        raise ValueError(f"{clip.path} has masks, which go with one frame: give frames=1")
    images = clip.image[None] if clip.frames is None else clip.frames.image
    indices = [min(int(place * len(images)), len(images) - 1) for place in where]
    return replace(clip, image=images[indices].transpose(0, 1))


def _read_video(
    item: Item, *, seconds: float, rate: int, place: float, frames: list[float]
) -> AVClip:
    """Read both from one opening of a video file, or two where its header is not enough."""
    window = partial(_window, seconds=seconds, rate=rate, place=place, frames=frames)
    with suppress(ClipError), open_media(item.path, probe=False) as media:
        return window(media)
    with open_media(item.path) as media:
        return window(media)


def _window(
    media: Media, *, seconds: float, rate: int, place: float, frames: list[float]
) -> AVClip:
    """Read both from an open file."""
    start, end = extent(media)
    start += place * max(end - start - seconds, 0)
    audio = decode_audio(media, start=start, seconds=seconds, rate=rate, end=end)
    times = [frame * min(seconds, max(end - start, 0)) for frame in frames]
    images = [to_tensor(decode_frame(media, time=start + time)) for time in times]
    return AVClip(
        image=images[0] if len(images) == 1 else torch.stack(images, dim=1),
        audio=torch.from_numpy(audio),
        rate=rate,
        path=media.path,
        time=times[0],
    )

"""Read a clip: audio and images, from a video or from an audio file with image files."""

from dataclasses import replace
from functools import partial

import torch

from avblocks.data.clip import AVClip
from avblocks.data.datasets.clipset import Item
from avblocks.data.decode.audio import decode_audio, extent
from avblocks.data.decode.extracted import read_extracted
from avblocks.data.decode.frames import decode_frame, stack_frames, to_tensor
from avblocks.data.decode.media import Media, of_media
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
    """Read a window of audio with one or several frames; equal arguments give equal clips.

    Args:
        source: An mp4, mov, mkv, webm or avi file with video and audio, or an item of a data set:
            such a file, or a wav or flac file with jpg or png images.
        seconds: Length of the window.
        rate: Samples per second.
        place: Position of the window in the audio: 0 at the start, 0.5 centered, 1 at the end. If
            the item has image files with times, its position relative to the time of the image: the
            window ends there for 0, is centered there for 0.5, and begins there for 1, within the
            limits of the audio.
        frame: Position of the frame in the window, from 0 to 1; the last frame if the video is
            shorter. With several image files, it selects the file: by its number, or by its time if
            the images were extracted evenly from a video. With several frames, the window has as
            many equal parts, and ``frame`` is the position in each of them.
        frames: Number of frames; if there are fewer image files, some are repeated.

    Returns:
        The clip, with fewer than ``seconds * rate`` samples if the audio is shorter, and with the
        boxes, masks and further images of the item. With several frames, ``image`` is
        (3, frames, height, width), and ``time`` is that of the first frame.

    Raises:
        ClipError: If a file has no usable image or audio; the error gives the reason.
        ValueError: If an argument is out of range, or ``frames > 1`` for an item with masks.
    """
    if seconds <= 0 or rate < 1 or not 0 <= place <= 1 or not 0 <= frame <= 1 or frames < 1:
        raise ValueError(
            "read_clip takes seconds > 0, rate >= 1, place and frame in [0, 1], and frames >= 1, "
            f"got {seconds}, {rate}, {place}, {frame} and {frames}"
        )
    item = Item(id=source, path=source) if isinstance(source, str) else source
    if item.images and item.images[0].part is not None:
        where = places(frames, frame)
        clip = read_extracted(item, seconds=seconds, rate=rate, place=place, frames=where)
    elif item.images:
        clip = read_stills(item, seconds=seconds, rate=rate, place=place, frame=frame)
        clip = clip if frames == 1 else several_stills(clip, places(frames, frame))
    else:
        where = places(frames, frame)
        clip = _read_video(item, seconds=seconds, rate=rate, place=place, frames=where)
    if item.boxes is None:
        return replace(clip, labels=item.labels)
    boxes = torch.tensor(item.boxes, dtype=torch.float32).reshape(len(item.boxes), 4)
    return replace(clip, labels=item.labels, boxes=boxes)


def places(frames: int, frame: float) -> list[float]:
    """Return the positions of frames in a window, from 0 to 1: one in each equal part.

    >>> places(1, 0.25), places(4, 0.5)
    ([0.25], [0.125, 0.375, 0.625, 0.875])
    """
    return [(number + frame) / frames for number in range(frames)]


def several_stills(clip: AVClip, where: list[float]) -> AVClip:
    """Select several images of a clip with image files."""
    if clip.mask is not None or (clip.frames is not None and bool(clip.frames.masked.any())):
        raise ValueError(f"{clip.path} has masks, which go with one frame: give frames=1")
    images = clip.image[None] if clip.frames is None else clip.frames.image
    indices = [min(int(place * len(images)), len(images) - 1) for place in where]
    return replace(clip, image=images[indices].transpose(0, 1))


def _read_video(
    item: Item, *, seconds: float, rate: int, place: float, frames: list[float]
) -> AVClip:
    window = partial(_window, seconds=seconds, rate=rate, place=place, frames=frames)
    return of_media(item.path, window)


def _window(
    media: Media, *, seconds: float, rate: int, place: float, frames: list[float]
) -> AVClip:
    """Read audio and frames from an open file."""
    start, end = extent(media)
    start += place * max(end - start - seconds, 0)
    audio = decode_audio(media, start=start, seconds=seconds, rate=rate, end=end)
    times = [frame * min(seconds, max(end - start, 0)) for frame in frames]
    images = [to_tensor(decode_frame(media, time=start + time)) for time in times]
    return AVClip(
        image=stack_frames(media.path, images),
        audio=torch.from_numpy(audio),
        rate=rate,
        path=media.path,
        time=times[0],
    )

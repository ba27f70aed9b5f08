"""Read a clip: one picture and the sound around it, from a video or from a sound and pictures."""

from contextlib import suppress
from dataclasses import replace
from functools import partial

import torch

from avblocks.data.clip import AVClip, ClipError
from avblocks.data.datasets.clipset import Item
from avblocks.data.decode.audio import decode_audio, extent
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
) -> AVClip:
    """Read a window of sound and one frame of it; the same arguments give the same clip.

    Args:
        source: An mp4, mov, mkv, webm or avi file with picture and sound, or an item of a data set:
            such a file, or a wav or flac file with jpg or png pictures beside it.
        seconds: Length of the window.
        rate: Samples per second.
        place: Where the window lies in the sound: 0 at the start, 0.5 centred, 1 at the end. Around
            a picture file that has a time of its own, as far as the sound reaches: 0 the window
            ends with it, 0.5 it is in the middle, 1 the window begins with it.
        frame: Where in the window the picture is taken, from 0 to 1; the last picture there is if
            the video is shorter. Of several picture files: which one.

    Returns:
        The clip, with fewer than ``seconds * rate`` samples if the sound is shorter; with boxes,
        masks and further frames if the item has them.

    Raises:
        ClipError: If a file gives no picture or no sound; it says why.
        ValueError: If an argument is out of range.
    """
    if seconds <= 0 or rate < 1 or not 0 <= place <= 1 or not 0 <= frame <= 1:
        raise ValueError(
            "read_clip takes seconds > 0, rate >= 1, and place and frame in [0, 1], "
            f"got {seconds}, {rate}, {place} and {frame}"
        )
    item = Item(id=source, path=source) if isinstance(source, str) else source
    read = read_stills if item.pictures else _read_video
    clip = read(item, seconds=seconds, rate=rate, place=place, frame=frame)
    if item.boxes is None:
        return replace(clip, labels=item.labels)
    boxes = torch.tensor(item.boxes, dtype=torch.float32).reshape(len(item.boxes), 4)
    return replace(clip, labels=item.labels, boxes=boxes)


def _read_video(item: Item, *, seconds: float, rate: int, place: float, frame: float) -> AVClip:
    """Read both from one opening of a video file, or two where its header is not enough."""
    window = partial(_window, seconds=seconds, rate=rate, place=place, frame=frame)
    with suppress(ClipError), open_media(item.path, probe=False) as media:
        return window(media)
    with open_media(item.path) as media:
        return window(media)


def _window(media: Media, *, seconds: float, rate: int, place: float, frame: float) -> AVClip:
    """Read both from an open file."""
    start, end = extent(media)
    start += place * max(end - start - seconds, 0)
    audio = decode_audio(media, start=start, seconds=seconds, rate=rate, end=end)
    time = frame * min(seconds, max(end - start, 0))
    image = decode_frame(media, time=start + time)
    return AVClip(
        image=to_tensor(image), audio=torch.from_numpy(audio), rate=rate, path=media.path, time=time
    )

"""Read a clip: one picture and the sound around it, from one opening of the file."""

import numpy as np
import torch

from avblocks.data._decode import decode_audio, decode_frame, extent
from avblocks.data._media import open_media
from avblocks.data.clip import AVClip


def read_clip(
    path: str, *, seconds: float = 3.0, rate: int = 16000, place: float = 0.5, frame: float = 0.5
) -> AVClip:
    """Read a window of sound and one frame of it; the same arguments give the same clip.

    Args:
        path: An mp4, mov, mkv, webm or avi file with picture and sound.
        seconds: Length of the window.
        rate: Samples per second.
        place: Where the window lies in the sound: 0 at the start, 0.5 centred, 1 at the end.
        frame: Where in the window the picture is taken, from 0 to 1; the last picture there is if
            the video is shorter.

    Returns:
        The clip, with fewer than ``seconds * rate`` samples if the sound is shorter.

    Raises:
        ClipError: If the file gives no picture or no sound; it says why.
        ValueError: If an argument is out of range.
    """
    if seconds <= 0 or rate < 1 or not 0 <= place <= 1 or not 0 <= frame <= 1:
        raise ValueError(
            "read_clip takes seconds > 0, rate >= 1, and place and frame in [0, 1], "
            f"got {seconds}, {rate}, {place} and {frame}"
        )
    with open_media(path) as media:
        start, end = extent(media)
        start += place * max(end - start - seconds, 0)
        audio = decode_audio(media, start=start, seconds=seconds, rate=rate)
        image = decode_frame(media, time=start + frame * min(seconds, max(end - start, 0)))
    planes = np.ascontiguousarray(image.transpose(2, 0, 1))
    return AVClip(
        image=torch.from_numpy(planes), audio=torch.from_numpy(audio), rate=rate, path=path
    )

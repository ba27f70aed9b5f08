"""Windows of a clip in a shard: a part of its audio, and images."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from avblocks.data.clip import AVClip, ClipError
from avblocks.data.datasets.clipset import StillImage
from avblocks.data.decode.frames import stack_frames
from avblocks.data.decode.stills import choose_still, with_stills
from avblocks.data.shards.members import Members
from avblocks.data.shards.shard import Shard


@contextmanager
def reading(shard: Shard, key: str, *, path: str) -> Iterator[Members]:
    """Open a tar file; errors in it become ``ClipError`` with the name of the clip."""
    # Opened for each clip: it takes microseconds, and no handle is shared or leaked.
    try:
        handle = os.open(shard.path, os.O_RDONLY)
    except OSError as error:
        raise ClipError(path, f"cannot be opened ({error.strerror})") from error
    try:
        yield Members(handle, key, shard.suffixes[shard.rows[key]], shard.members(key))
    except ValueError as error:
        if isinstance(error, ClipError):
            raise
        raise ClipError(path, str(error)) from error
    finally:
        os.close(handle)


def read_window(
    members: Members, path: str, *, seconds: float, rate: int, place: float, where: Sequence[float]
) -> AVClip:
    """Read a window of audio, and the images nearest to positions in it."""
    notes = members.notes
    start = place * max(notes.duration - seconds, 0)
    indices = [notes.nearest(start=start, seconds=seconds, frame=at) for at in where]
    first = round(start * rate)
    audio = members.audio(rate=rate, first=first, last=first + round(seconds * rate))
    decoded = {index: members.image(index) for index in set(indices)}
    images = [decoded[index] for index in indices]
    return AVClip(
        image=stack_frames(path, images),
        audio=audio,
        rate=rate,
        path=path,
        time=notes.known_times[indices[0]] - start,
    )


def read_stills(
    members: Members, path: str, *, seconds: float, rate: int, place: float, frame: float
) -> AVClip:
    """Read an image with a window of audio around its time, and all other images of the clip."""
    notes = members.notes
    number, start = choose_still(
        notes.times, length=notes.duration, seconds=seconds, place=place, frame=frame
    )
    first = round(start * rate)
    audio = members.audio(rate=rate, first=first, last=first + round(seconds * rate))
    decoded = [(members.image(n), members.mask(n)) for n in range(len(notes.times))]
    files = tuple(StillImage(path, time=time) for time in notes.times)
    clip = AVClip(image=decoded[number][0], audio=audio, rate=rate, path=path)
    return with_stills(clip, files, decoded, number=number, start=start)

"""Packets of an open file: what is left half-way is closed."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from avblocks.data.decode.packets import audio_frames, packets, video_frames


class Demuxed:
    """Packets without end, as PyAV gives them: they are only freed by `close`."""

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[SimpleNamespace]:
        return self

    def __next__(self) -> SimpleNamespace:
        return SimpleNamespace(decode=lambda: ["frame", "frame"])

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("read", [packets, video_frames, audio_frames])
@pytest.mark.parametrize("taken", [1, 3])
def test_what_is_left_half_way_is_closed(
    read: Callable[..., Iterator[object]], taken: int, unchecked: None
) -> None:
    found = Demuxed()
    container = SimpleNamespace(demux=lambda *_: found, format=SimpleNamespace(name="mp4"))
    media = SimpleNamespace(container=container, video=0, audio=1)
    stream = read(media)
    for _ in range(taken):
        next(stream)
    assert not found.closed
    del stream
    assert found.closed

"""Avi files, whose packets have no times to be shown at."""

import random
from math import inf
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from avblocks.data import read_clip
from avblocks.data.datasets import Item
from avblocks.data.health import check_file
from avblocks.data.shards.encode import ShardSettings, encode_clip
from avblocks.data.shards.jpeg import decode_jpeg
from avblocks.video import make_overlay, video_size, write_overlay
from tests.data.clip_files import count
from tests.media.files import FPS, Kind, write_kind
from tests.media.readings import window_start

PCM = "pcm_s16le"
KINDS = {
    "B-frames": Kind(suffix=".avi", codecs=("libx264", PCM), video={"bf": "3", "g": "30"}),
    "many B-frames": Kind(
        suffix=".avi",
        codecs=("libx264", PCM),
        video={"x264-params": "bframes=9:b-adapt=0:b-pyramid=strict:ref=6", "g": "40"},
    ),
    "open groups": Kind(
        suffix=".avi",
        codecs=("libx264", PCM),
        video={"x264-params": "open-gop=1:bframes=3:b-adapt=0", "g": "10"},
    ),
    "no B-frames": Kind(suffix=".avi", codecs=("libx264", PCM), video={"bf": "0"}),
    "mpeg4": Kind(suffix=".avi", codecs=("mpeg4", PCM), video={"bf": "2", "g": "12"}),
    "mpeg4, no B-frames": Kind(suffix=".avi", codecs=("mpeg4", PCM)),
}


def copied(folder: Path) -> Path:
    """A stream copied from another container, in slots of a thousandth of a second."""
    source = write_kind(folder, Kind(suffix=".mp4", video={"bf": "3", "g": "30"}), "source")
    path = folder / "copied.avi"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        streams = {}
        for stream in (old.streams.video[0], old.streams.audio[0]):
            streams[stream.index] = new.add_stream_from_template(stream)
        change = BitStreamFilterContext("h264_mp4toannexb", old.streams.video[0])
        for packet in old.demux():
            if packet.dts is None:
                continue
            moved = change.filter(packet) if packet.stream.type == "video" else [packet]
            for each in moved:
                each.stream = streams[packet.stream.index]
                new.mux(each)
    return path


@pytest.mark.parametrize("name", [*KINDS, "copied"])
def test_pictures_are_in_the_order_in_which_they_are_shown(tmp_path: Path, name: str) -> None:
    path = copied(tmp_path) if name == "copied" else write_kind(tmp_path, KINDS[name])
    rng = random.Random(0)
    for _ in range(20):
        place, frame = rng.random(), rng.random()
        clip = read_clip(str(path), seconds=1.0, place=place, frame=frame)
        shown = (window_start(str(path), place=place, seconds=1.0) + frame) * FPS
        if abs(shown - round(shown)) > 0.02:
            assert count(clip.image.numpy()) == min(int(shown), 6 * FPS - 1), (place, frame)
    _, _, *images = encode_clip(
        Item(id="a", path=str(path)), classes=(), settings=ShardSettings(fps=FPS / 2)
    ).values()
    numbers = [count(decode_jpeg(image).transpose(2, 0, 1)) for image in images]
    wanted = np.minimum(2 * np.arange(len(numbers)), 6 * FPS - 1)
    assert np.abs(np.array(numbers) - wanted).max() <= 1
    found = check_file(path)
    assert not found.reason and found.frame_rate == pytest.approx(FPS, rel=0.01)
    size = video_size(path)
    write_overlay(path, tmp_path / "drawn.mp4", [(inf, make_overlay(lambda x: x, size))])
    with av.open(str(tmp_path / "drawn.mp4")) as container:
        frames = list(container.decode(container.streams.video[0]))[: 6 * FPS]
    assert [count(f.to_ndarray(format="rgb24").transpose(2, 0, 1)) for f in frames] == list(
        range(6 * FPS)
    )
    assert [f.time for f in frames] == pytest.approx([n / FPS for n in range(6 * FPS)], abs=2e-3)

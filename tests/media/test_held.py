"""Images that are held: the last one of a screen recording, each one of slides."""

from fractions import Fraction
from math import inf
from pathlib import Path

import av
import numpy as np
import pytest

from avblocks.data import ClipFormat
from avblocks.data.health import check_file
from avblocks.video import make_overlay, open_windows, video_size, write_overlay
from tests.media.files import Kind, write_kind

HELD = {
    # Mp4 knows how long the packet lasts that is decoded last.
    "mp4": Kind(suffix=".mp4", shown=1.5, video={"bf": "0"}),
    "mov": Kind(suffix=".mov", shown=1.5, video={"bf": "0"}),
    "mkv": Kind(suffix=".mkv", shown=1.5),
    "webm": Kind(suffix=".webm", codecs=("libvpx-vp9", "libopus"), shown=1.5),
    "avi": Kind(suffix=".avi", codecs=("mpeg4", "pcm_s16le"), shown=1.5),
}


def slides(folder: Path) -> Path:
    """Three images of two seconds each."""
    path, whole = folder / "slides.mp4", write_kind(folder, Kind(suffix=".mp4"), "whole")
    with av.open(str(whole)) as old, av.open(str(path), "w") as new:
        audio = new.add_stream_from_template(old.streams.audio[0])
        video = new.add_stream("libx264", 20, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        packets = []
        for number in range(3):
            gray = np.full((48, 64, 3), 100 + 20 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(gray, format="rgb24")
            frame.pts, frame.time_base = 2000 * number, Fraction(1, 1000)
            packets += video.encode(frame)
        packets += video.encode(None)
        packets[-1].duration = round(2 / packets[-1].time_base)
        new.mux(packets)
        for packet in old.demux(old.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = audio
                new.mux(packet)
    return path


@pytest.mark.parametrize("name", [*HELD, "slides"])
def test_each_window_is_shown_for_as_long_as_it_lasts(tmp_path: Path, name: str) -> None:
    path = slides(tmp_path) if name == "slides" else write_kind(tmp_path, HELD[name])
    assert check_file(path).reason == ""
    windows, size = open_windows(path, ClipFormat(seconds=0.5)), video_size(path)
    grays = [20 * (1 + number % 10) for number in range(len(windows))]
    overlays = [
        (until, make_overlay(lambda images, gray=gray: images * 0 + gray / 255, size))
        for until, gray in zip(windows.nearest_until, grays, strict=True)
    ]
    assert len(overlays) >= 12 and overlays[-1][0] == inf
    write_overlay(path, tmp_path / "drawn.mp4", overlays)
    with av.open(str(tmp_path / "drawn.mp4")) as container:
        video = container.streams.video[0]
        frames = list(container.decode(video))
        assert float(video.duration * video.time_base) == pytest.approx(6.0, abs=0.08)
    times = np.array([frame.time for frame in frames])
    values = np.array([frame.to_ndarray(format="gray").mean() for frame in frames])
    for (begin, end), gray in list(zip(windows.spans, grays, strict=True))[:-1]:
        shown = values[np.searchsorted(times, (begin + end) / 2, side="right") - 1]
        assert shown == pytest.approx(gray, abs=4), (begin, end)
    found = check_file(tmp_path / "drawn.mp4")
    assert not found.reason and found.video_seconds == pytest.approx(6.0, abs=0.08)

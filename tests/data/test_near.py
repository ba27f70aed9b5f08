"""Decoding from near a time: the same frames as from the beginning of the file."""

from fractions import Fraction
from math import inf
from pathlib import Path

import av
import numpy as np
import pytest
from clip_files import counter, encode

from avblocks.data.decode import near
from avblocks.data.decode.frames import decode_frames
from avblocks.data.decode.media import open_media

FRAMES, FPS = 60, 20
OPEN = {"x264-params": "open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0"}
REFRESH = {"x264-params": "intra-refresh=1:keyint=12:bframes=0"}


def write(path: Path, codec: str, options: dict[str, str], **container: str) -> Path:
    """Write numbered frames, with noise that only whole decoding shows, and silence."""
    rng, clock = np.random.default_rng(0), Fraction(1, 1000)
    with av.open(str(path), "w", options=container) as file:
        video = file.add_stream(codec, rate=FPS, options=options)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        video.time_base = video.codec_context.time_base = clock
        audio = file.add_stream("aac", rate=16000, layout="mono")
        for number in range(FRAMES):
            image = counter(number).astype(int) + rng.integers(-20, 20, (48, 64, 3))
            frame = av.VideoFrame.from_ndarray(image.clip(0, 255).astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(1000 * number / FPS), clock
            file.mux(video.encode(frame))
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), "fltp", "mono")
        sound.sample_rate, sound.pts, sound.time_base = 16000, 0, Fraction(1, 16000)
        file.mux(audio.encode(sound))
        for stream in (video, audio):
            file.mux(stream.encode(None))
    return path


def cut(path: Path, out: Path, seconds: float) -> Path:
    """Copy a video from a time on, which mp4 does by an edit list in the middle of a group."""
    options = {"avoid_negative_ts": "disabled", "use_editlist": "1"}
    with av.open(str(path)) as source, av.open(str(out), "w", options=options) as copy:
        streams = {s.index: copy.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None and packet.pts is not None:
                shift = round(seconds / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)
    return out


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("near")
    open_gop = write(folder / "open.mp4", "libx264", OPEN)
    return {
        "closed": encode(folder / "closed.mp4"),
        "late": encode(folder / "late.mp4", offset=1.5),
        "open": open_gop,
        "open mkv": write(folder / "open.mkv", "libx264", OPEN),
        "refresh": write(folder / "refresh.mp4", "libx264", REFRESH),
        "fragments": write(folder / "parts.mp4", "libx264", OPEN, movflags="frag_keyframe"),
        "edit list": cut(open_gop, folder / "cut.mp4", 0.83),
        "mpeg4": write(folder / "old.mp4", "mpeg4", {"g": "12", "bf": "2"}),
        "avi": encode(folder / "late.avi", codecs=("libx264", "pcm_s16le")),
    }


KINDS = ("closed", "late", "open", "open mkv", "refresh", "fragments", "edit list", "mpeg4", "avi")


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_those_of_a_whole_decode(
    files: dict[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, moments = str(files[kind]), np.arange(0.013, 2.9, 0.16).tolist()
    with open_media(path) as media:
        whole = list(decode_frames(media, times=moments))
    monkeypatch.setattr(near, "_FAR", 0.0)
    keys = []
    for place, time in enumerate(moments):
        with open_media(path) as media:
            keys.append(near.begin_near(media, time))
        with open_media(path) as media:
            found = list(decode_frames(media, times=moments[place : place + 2]))
        assert all(map(np.array_equal, found, whole[place : place + 2])), time
    if kind == "avi":
        assert set(keys) == {-inf}
    else:
        assert max(keys) > 1 and all(key < time for key, time in zip(keys, moments, strict=True))


def test_near_the_beginning_nothing_is_skipped(files: dict[str, Path]) -> None:
    with open_media(str(files["closed"])) as media:
        assert near.begin_near(media, 2.5) == -inf

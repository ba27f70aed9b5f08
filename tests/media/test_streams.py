"""Which streams are read: no cover images, and the first audio track that can be decoded."""

from collections.abc import Sequence
from fractions import Fraction
from math import inf
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from avblocks.data import ClipError, read_clip
from avblocks.data.health import check_file
from avblocks.video import make_overlay, open_windows, video_size, write_overlay
from tests.data.clip_files import chirp, count, counter
from tests.media.files import Kind, write_kind
from tests.media.readings import likeness, streamed


def tone(encoder, *, seconds: float = 3.0, start: float = 0.0) -> list[av.Packet]:
    """Encode the chirp from a time on."""
    rate, channels = encoder.codec_context.sample_rate, encoder.codec_context.channels
    wave = chirp(start + np.arange(round(seconds * rate)) / rate)
    layout = "mono" if channels == 1 else "stereo"
    packed = np.repeat(wave, channels)[None].astype(np.float32)
    frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return [*encoder.encode(frame), *encoder.encode(None)]


def images(encoder, numbers: Sequence[int]) -> list[av.Packet]:
    encoder.width, encoder.height = 64, 48
    encoder.pix_fmt = (
        "yuvj420p" if encoder.codec.name == "mjpeg" else encoder.codec.video_formats[0].name
    )
    frames = [av.VideoFrame.from_ndarray(counter(number), format="rgb24") for number in numbers]
    return [*(p for frame in frames for p in encoder.encode(frame)), *encoder.encode(None)]


def music(path: Path, *, codec: str = "mjpeg", marked: bool, film: bool = False) -> Path:
    """Music with a cover image as first stream, and a video behind it if wanted."""
    with av.open(str(path), "w", format="mp4" if path.suffix == ".m4a" else None) as container:
        cover = container.add_stream(codec, 1)
        if marked:
            cover.disposition = Disposition.attached_pic
        video = container.add_stream("libx264", 20, options={"bf": "0"}) if film else None
        audio = container.add_stream("aac", rate=16000, layout="mono")
        packets = images(cover, [7])
        if video is not None:
            packets += images(video, range(60))
        for packet in [*packets, *tone(audio)]:
            container.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "codec", "marked"),
    [
        ("a.m4a", "mjpeg", True),
        ("a.mp4", "png", True),
        ("a.mp4", "mjpeg", False),
        ("a.mov", "png", False),
        ("a.mkv", "mjpeg", False),
        ("a.avi", "mjpeg", False),
    ],
)
def test_a_cover_is_no_video(tmp_path: Path, name: str, codec: str, marked: bool) -> None:
    path = music(tmp_path / name, codec=codec, marked=marked)
    for read in (read_clip, open_windows):
        with pytest.raises(ClipError, match="no video stream, only a cover image"):
            read(str(path))
    assert check_file(path).reason == "no video stream, only a cover image"


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_the_video_behind_a_cover_is_read(tmp_path: Path, name: str) -> None:
    path = music(tmp_path / name, marked=False, film=True)
    assert count(read_clip(str(path), seconds=1.0, place=0.0, frame=0.51).image.numpy()) == 10
    assert not check_file(path).reason


def test_a_video_of_jpg_images_is_one(tmp_path: Path) -> None:
    for name, audio in (("a.avi", "pcm_s16le"), ("a.mov", "aac"), ("a.mkv", "aac")):
        path = write_kind(tmp_path, Kind(suffix=name[1:], codecs=("mjpeg", audio)))
        assert count(read_clip(str(path), seconds=1.0, place=0.0, frame=0.51).image.numpy()) == 10


def two_tracks(path: Path, *, noise: bool) -> Path:
    """A video whose first audio track holds bytes that are no AAC, or is of an unknown codec."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", 20, options={"bf": "0"})
        broken = container.add_stream("aac" if noise else "flac", rate=16000, layout="mono")
        whole = container.add_stream("aac", rate=16000, layout="mono")
        packets = [*images(video, range(60)), *tone(whole)]
        for packet in tone(broken):
            if noise and packet.size:
                pts, length, scale = packet.pts, packet.duration, packet.time_base
                packet = av.Packet(b"\x55" * packet.size)
                packet.pts = packet.dts = pts
                packet.duration, packet.time_base, packet.stream = length, scale, broken
            packets.append(packet)
        for packet in packets:
            container.mux(packet)
    if not noise:
        data = path.read_bytes()
        old = b"A_FLAC" if path.suffix == ".mkv" else b"fLaC\0\0\0\0\0\0\0\1"
        assert data.count(old) == 1
        path.write_bytes(data.replace(old, b"X" * 4 + old[4:]))
    return path


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_the_first_track_that_can_be_decoded_is_read(
    tmp_path: Path, name: str, noise: bool
) -> None:
    path = two_tracks(tmp_path / name, noise=noise)
    audio = read_clip(str(path), seconds=1.0, place=0.0).audio.numpy()
    assert likeness(audio, start=0.0, rate=16000) > 0.99
    assert likeness(streamed(str(path), rate=16000)[:16000], start=0.0, rate=16000) > 0.99
    found = check_file(path)
    assert not found.reason
    if noise or name == "a.mp4":  # of mkv, FFmpeg does not list tracks of unknown codecs
        assert found.remark.startswith("audio stream 2 is read: the audio stream ")
    assert open_windows(path).remark == found.remark


def test_audio_that_becomes_stereo_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", 20, options={"bf": "0"})
        mono = container.add_stream("aac", rate=16000, layout="mono")
        stereo = av.CodecContext.create("aac", "w")
        stereo.sample_rate, stereo.layout, stereo.format = 16000, "stereo", "fltp"
        stereo.time_base = Fraction(1, 16000)
        packets = [*images(video, range(120)), *tone(mono)]
        end = packets[-1].pts + packets[-1].duration
        wave = np.repeat(chirp(3 + np.arange(48000) / 16000), 2)[None].astype(np.float32)
        frame = av.AudioFrame.from_ndarray(wave, "flt", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
        for packet in (*stereo.encode(frame), *stereo.encode(None)):
            packet.pts, packet.dts = packet.pts + end + 1024, packet.dts + end + 1024
            packet.stream = mono
            packets.append(packet)
        for packet in packets:
            container.mux(packet)
    late = read_clip(str(path), seconds=1.0, place=0.8).audio.numpy()
    start = 0.8 * 5.05
    assert np.abs(late).max() > 0.4
    whole = streamed(str(path), rate=16000)
    part = whole[round(start * 16000) - 1000 :][: len(late) + 2000]
    assert max(np.correlate(part, late)) / np.dot(late, late) == pytest.approx(1, abs=0.05)
    size = video_size(path)
    write_overlay(path, tmp_path / "drawn.mp4", [(inf, make_overlay(lambda x: x, size))])
    written = streamed(str(tmp_path / "drawn.mp4"), rate=16000)
    assert np.corrcoef(written[:90000], whole[:90000])[0, 1] > 0.95

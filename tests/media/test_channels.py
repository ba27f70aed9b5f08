"""Surround audio: FFmpeg's own downmix of integers, which never clips, says what is right."""

import struct
from math import inf
from pathlib import Path

import av
import numpy as np
import pytest

from avblocks.data import read_clip
from avblocks.data.decode.channels import downmix, mono, stereo
from avblocks.video import make_overlay, video_size, write_overlay
from tests.media.files import Kind, write_kind
from tests.media.readings import likeness, streamed

LAYOUTS = ["5.1", "5.1(side)", "5.0", "quad", "3.0", "3.1", "4.0", "2.1", "6.1", "7.1"]


def noise(layout: str) -> av.AudioFrame:
    """Half a second of noise, another on each channel."""
    count = av.AudioLayout(layout).nb_channels
    samples = np.random.default_rng(0).integers(-32768, 32767, (1, 8000 * count), dtype=np.int16)
    frame = av.AudioFrame.from_ndarray(samples, "s16", layout)
    frame.sample_rate, frame.pts = 16000, 0
    return frame


def converted(frame: av.AudioFrame, **kind: str) -> av.AudioFrame:
    """The same in another format or layout, by FFmpeg."""
    settings = {"format": "s16", "layout": frame.layout, "rate": 16000} | kind
    resampler = av.AudioResampler(**settings)
    (found,) = [*resampler.resample(frame), *resampler.resample(None)]
    return found


@pytest.mark.parametrize("format", ["s16", "s16p"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_surround_is_mixed_as_ffmpeg_does(layout: str, format: str) -> None:
    frame = converted(noise(layout), format=format)
    # FFmpeg leaves the LFE out by default.
    wanted = converted(frame, format="s16p", layout="stereo").to_ndarray() / 32768
    assert np.abs(stereo(frame) - wanted).max() < 2e-4
    assert np.abs(mono(frame) - wanted.mean(axis=0)).max() < 2e-4


@pytest.mark.parametrize("channels", range(2, 10))
def test_channels_without_names_are_the_usual_ones(tmp_path: Path, channels: int) -> None:
    """FFmpeg's own downmix says which these are; it has none for nine."""
    samples = np.random.default_rng(0).integers(-9000, 9000, (8000, channels), dtype=np.int16)
    data, size = samples.tobytes(), 2 * channels
    sizes = struct.pack("<HHIIHHHHI", 0xFFFE, channels, 16000, 16000 * size, size, 16, 22, 16, 0)
    head = sizes + bytes.fromhex("0100000000001000800000aa00389b71")
    body = (
        b"WAVEfmt " + struct.pack("<I", 40) + head + b"data" + struct.pack("<I", len(data)) + data
    )
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    with av.open(str(tmp_path / "a.wav")) as container:
        frames = list(container.decode(audio=0))
    mixed = np.concatenate([mono(frame) for frame in frames])
    if channels == 9:
        wanted = samples.mean(axis=1) / 32768
    else:
        parts = [converted(frame, format="s16p", layout="stereo") for frame in frames]
        wanted = np.concatenate([p.to_ndarray() for p in parts], axis=1).mean(axis=0) / 32768
    assert len(mixed) == 8000 and np.abs(mixed - wanted).max() < 2e-4
    assert np.allclose(downmix(("AMBI0", "AMBI1", "AMBI2", "AMBI3")), 0.25)


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_integers_of_64_bits(layout: str) -> None:
    frame = noise(layout)
    wide = converted(frame, format="s64")
    assert np.abs(mono(wide) - mono(frame)).max() < 1e-6


def test_speech_from_the_front_is_10_7_db_down_and_the_lfe_is_silent() -> None:
    weights = downmix(("FL", "FR", "FC", "LFE", "SL", "SR")).mean(axis=0)
    assert 20 * np.log10(weights[2]) == pytest.approx(-10.67, abs=0.01)
    assert weights[3] == 0


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1", "7.1"])
def test_full_scale_stays_in_scale_for_every_reader(tmp_path: Path, layout: str) -> None:
    kind = Kind(suffix=".mkv", codecs=("libx264", "pcm_s16le"), layout=layout, loud=1.0)
    path = write_kind(tmp_path, kind)
    start = 0.0
    audio = read_clip(str(path), seconds=2.0, place=0.0).audio.numpy()
    # All channels but the LFE hear the same: the mixture is that, too.
    assert likeness(audio, start=start, rate=16000) > 0.999
    assert 0.97 < np.abs(audio).max() <= 1
    assert np.abs(streamed(str(path), rate=16000)[: len(audio)] - audio)[20:-20].max() < 1e-3
    size = video_size(path)
    write_overlay(path, tmp_path / "drawn.mp4", [(inf, make_overlay(lambda x: x, size))])
    with av.open(str(tmp_path / "drawn.mp4")) as container:
        assert container.streams.audio[0].channels == (1 if layout == "mono" else 2)
        written = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    assert 0.9 < np.abs(written[:, 5000:-5000]).max() < 1.05  # AAC is not exact

import av
import numpy as np
import pytest
import torch
from clip_files import chirp, count, counter

from avblocks.data import read_clip, write_clip, write_wave
from avblocks.files import replacing


@pytest.fixture
def frames():
    return np.stack([counter(number) for number in range(20)])


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
def test_what_is_written_is_read_back(tmp_path, frames, convert):
    audio = chirp(np.arange(32000) / 16000).astype(np.float32)
    path = tmp_path / "new" / "clip.mp4"
    write_clip(path, frames=convert(frames), audio=convert(audio), fps=10.0, rate=16000)
    for number in (0, 7, 19):
        clip = read_clip(str(path), seconds=2.0, frame=(number + 0.5) / 20)
        assert count(clip.image.numpy()) == number
        error = np.abs(clip.image.numpy().transpose(1, 2, 0).astype(int) - frames[number])
        assert error.mean() < 4
    assert np.abs(clip.audio.numpy() - audio).max() < 0.02
    assert [file.name for file in path.parent.iterdir()] == ["clip.mp4"]


def test_same_input_same_bytes(tmp_path, frames):
    audio = chirp(np.arange(32000) / 16000)
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / name, frames=frames, audio=audio, fps=12.5, rate=16000)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_key_frames_are_as_close_as_asked(tmp_path, frames):
    path = tmp_path / "a.mp4"
    write_clip(path, frames=frames, audio=np.zeros(16000), fps=10, rate=16000, keyframe_every=4)
    with av.open(str(path)) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert [place for place, key in enumerate(keys) if key] == [0, 4, 8, 12, 16]
    with pytest.raises(ValueError, match="keyframe_every must be at least 1, got 0"):
        write_clip(path, frames=frames, audio=np.zeros(9), fps=10, rate=16000, keyframe_every=0)


def test_a_failed_write_leaves_the_old_file_and_no_half(tmp_path, frames):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"old")
    with pytest.raises(ValueError):
        write_clip(path, frames=frames, audio=np.zeros(100), fps=10.0, rate=12345)  # no AAC rate
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


def test_what_is_half_written_is_cleared_away(tmp_path):
    with pytest.raises(KeyError), replacing(tmp_path / "a.txt") as half:
        half.write_text("half")
        raise KeyError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("height", "frames", "samples"), [(47, 2, 100), (48, 0, 100), (48, 2, 0)])
def test_impossible_input(tmp_path, height, frames, samples):
    pictures = np.zeros((frames, height, 64, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"clip\.mp4: H\.264 with audio needs"):
        write_clip(
            tmp_path / "clip.mp4", frames=pictures, audio=np.zeros(samples), fps=10.0, rate=16000
        )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "audio",
    [np.zeros(900, np.int16), np.zeros((2, 900), np.float32), np.full(900, np.nan, np.float32)],
)
def test_audio_is_mono_and_of_finite_floats(tmp_path, frames, audio):
    with pytest.raises(ValueError, match=r"mono samples \(s,\) of finite floats in \[-1, 1\]"):
        write_wave(tmp_path / "a.wav", audio, rate=16000)
    with pytest.raises(ValueError, match=r"mono samples \(s,\) of finite floats in \[-1, 1\]"):
        write_clip(tmp_path / "a.mp4", frames=frames, audio=audio, fps=10, rate=16000)
    assert list(tmp_path.iterdir()) == []

"""Health: what a whole decode finds, and that no file makes it raise."""

import hashlib
import os
import shutil
import struct

import av
import numpy as np
import pytest
from clip_files import chirp, counter, encode

from avblocks.data import health, write_clip, write_image
from avblocks.data.health import check_file


def clip(path, *, pictures=range(40), peak=0.5, seconds=2.0):
    """Twenty pictures a second and a chirp of a loudness."""
    audio = 2 * peak * chirp(np.arange(round(seconds * 16000)) / 16000)
    frames = np.stack([counter(number) for number in pictures])
    write_clip(path, frames=frames, audio=audio, fps=20, rate=16000)
    return path


def test_what_is_known_of_a_good_clip(make):
    path = make(frames=50, fps=20, seconds=3.0, rate=44100, layout="stereo")
    found = check_file(path)
    assert (found.path, found.reason, found.sample_rate) == (str(path), "", 44100)
    assert (found.width, found.height, found.silent, found.still) == (64, 48, False, False)
    assert found.frame_rate == pytest.approx(20) and found.video_seconds == pytest.approx(2.5)
    assert found.audio_seconds == pytest.approx(3.0, abs=0.05)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("a.mkv", ("libx264", "pcm_s16le")),
        ("a.webm", ("libvpx-vp9", "libopus")),
        ("a.avi", ("mpeg4", "pcm_u8")),
    ],
)
def test_other_containers(make, name, codecs):
    found = check_file(make(name, codecs=codecs, rate=48000, offset=0.4))
    assert (found.reason, found.silent, found.still) == ("", False, False)
    assert found.audio_seconds == pytest.approx(3.0, abs=0.03)


def test_sounds_and_pictures(tmp_path):
    sound = encode(tmp_path / "a.wav", frames=0, seconds=1.5, codecs=("", "pcm_s16le"))
    found = check_file(sound)
    assert (found.reason, found.audio_seconds, found.sample_rate) == ("", 1.5, 16000)
    assert found.silent is False and found.still is None and found.width is None
    write_image(tmp_path / "b.PNG", counter(1))
    found = check_file(tmp_path / "b.PNG")
    assert (found.reason, found.width, found.height) == ("", 64, 48)
    assert found.silent is None and found.audio_seconds is None and found.sha256
    flac = encode(tmp_path / "a.flac", frames=0, seconds=3.0, codecs=("", "flac"))
    os.truncate(flac, flac.stat().st_size // 2)
    assert check_file(flac).reason.startswith(("cut short: ", "cannot be decoded"))
    sound.write_bytes(b"RIFF is no sound")
    assert "cannot be opened as wav or flac" in check_file(sound).reason
    (tmp_path / "c.jpg").write_bytes(b"\xff\xd8 is no picture")
    assert "cannot be decoded" in check_file(tmp_path / "c.jpg").reason


def test_silence_and_stillness(tmp_path):
    quiet = check_file(clip(tmp_path / "quiet.mp4", peak=2e-4))
    assert (quiet.silent, quiet.still, quiet.reason) == (True, False, "")
    still = check_file(clip(tmp_path / "still.mp4", pictures=[5] * 40))
    assert (still.silent, still.still, still.reason) == (False, True, "")
    soft = check_file(clip(tmp_path / "soft.mp4", peak=0.01))
    assert soft.silent is False


def test_a_small_thing_that_moves_is_no_stillness(tmp_path):
    frames = np.full((40, 360, 640, 3), 90, dtype=np.uint8)
    frames[25:, 100:120, 300:320] = 200
    write_clip(tmp_path / "a.mp4", frames=frames, audio=np.ones(32000), fps=20, rate=16000)
    assert check_file(tmp_path / "a.mp4").still is False


def half(path, *, extra):
    """Cut a file that begins with its index, so many bytes after the start of a packet."""
    encode(path, frames=200, seconds=10, options={"movflags": "faststart"})
    with av.open(str(path)) as container:
        places = sorted(p.pos for p in container.demux() if p.size)
    path.write_bytes(path.read_bytes()[: places[len(places) // 2] + extra])


def not_numbers(path):
    """Replace the samples from some place on."""
    encode(path.with_suffix(".mkv"), frames=2, seconds=1, codecs=("libx264", "pcm_f32le"))
    data = path.with_suffix(".mkv").read_bytes()
    place = data.index(chirp(np.arange(8000, 8010) / 16000).astype("<f4").tobytes())
    path.write_bytes(data[:place] + struct.pack("<f", np.nan) * 10 + data[place + 40 :])


HARMS = {
    "missing": (lambda path: None, "no such file"),
    "folder": (lambda path: path.mkdir(), "no such file"),
    "pipe": (os.mkfifo, "no such file"),
    "empty": (lambda path: path.touch(), "the file is empty"),
    "text": (lambda path: path.write_text("#EXTM3U\nfile:///etc/passwd\n"), "cannot be opened as"),
    "cut at a packet": (lambda path: half(path, extra=0), "cut short: "),
    "cut in a packet": (lambda path: half(path, extra=5), "cannot be decoded"),
    "no audio": (lambda path: encode(path, seconds=0), "no audio stream"),
    "no video": (lambda path: encode(path, frames=0), "no video stream"),
    "not numbers": (not_numbers, "NaN or infinite values"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_damage_is_told_and_not_raised(tmp_path, harm):
    path, (do, reason) = tmp_path / "clip.mp4", HARMS[harm]
    do(path)
    found = check_file(path)
    assert reason in found.reason
    assert found.path == str(path)


@pytest.mark.parametrize("seed", range(8))
def test_flipped_bytes_raise_nothing(tmp_path, make, seed):
    data = bytearray(make().read_bytes())
    generator = np.random.default_rng(seed)
    for place in generator.integers(0, len(data), 30):
        data[place] ^= 1 << int(generator.integers(8))
    (tmp_path / "flipped.mp4").write_bytes(data)
    assert check_file(tmp_path / "flipped.mp4").sha256


def test_an_unreadable_file_is_told(make, monkeypatch):
    path = make()
    monkeypatch.setattr(health, "sha256", _refuse)
    assert check_file(path).reason == "cannot be opened (Permission denied)"


def _refuse(*_):
    raise PermissionError(13, "Permission denied")


def test_names_of_all_kinds(tmp_path):
    good = clip(tmp_path / "good.mp4")
    for name in ("größe 音.mp4", "a b.mp4", "100%.mp4", os.fsdecode(b"latin-\xe9.mp4"), "a\nb.mp4"):
        shutil.copy(good, tmp_path / name)
        assert check_file(tmp_path / name).reason == ""


def test_a_long_clip_is_looked_at_for_so_long_only(make, monkeypatch):
    path = make(frames=60, seconds=3.0)
    monkeypatch.setattr(health, "LONGEST", 1.0)
    found = check_file(path)
    assert found.reason == ""
    assert found.video_seconds == pytest.approx(3.0, abs=0.1)
    assert found.audio_seconds == pytest.approx(3.0, abs=0.1)

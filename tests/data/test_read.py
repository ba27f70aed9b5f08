import os
import pickle
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from clip_files import chirp, count, counter, encode
from damage import rotate
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from avblocks.data import ClipError, read_clip
from tests.media.readings import streamed


def lag(audio: np.ndarray, *, start: float, rate: int = 16000, reach: int = 200) -> int:
    """Samples, up to ``reach``, by which a sound comes after the chirp from a time on."""
    wave = chirp(start + np.arange(len(audio)) / rate)
    spectra = np.fft.rfft([audio, wave], n=2 * len(audio))
    scores = np.fft.irfft(spectra[0] * spectra[1].conj())
    shifts = np.arange(-reach, reach + 1)
    return int(shifts[np.argmax(scores[shifts])])


def test_lag_is_signed():
    late = chirp(1 + (np.arange(16000) - 7) / 16000)
    assert lag(late, start=1.0) == 7


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    return str(encode(tmp_path_factory.mktemp("long") / "long.mp4", frames=200, seconds=10))


@settings(max_examples=25, deadline=None)
@given(place=st.floats(0, 1), frame=st.floats(0, 1))
def test_picture_and_sound_are_those_of_the_asked_time(long, place, frame):
    start = place * 8.0
    number = (start + frame * 2.0) * 20
    assume(abs(number - round(number)) > 1e-3)
    clip = read_clip(long, seconds=2.0, place=place, frame=frame)
    assert count(clip.image.numpy()) == min(int(number), 199)
    assert clip.audio.shape == (32000,)
    assert lag(clip.audio.numpy(), start=start) == 0


def test_reading_is_pure(long):
    first, second = read_clip(long, place=0.3), read_clip(long, place=0.3)
    assert torch.equal(first.image, second.image) and torch.equal(first.audio, second.audio)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_every_rate_and_layout_gives_the_same_sound(make, rate, layout):
    clip = read_clip(str(make(rate=rate, layout=layout)), seconds=1.5)
    assert clip.rate == 16000 and clip.audio.shape == (24000,)
    error = np.abs(clip.audio.numpy() - chirp(0.75 + np.arange(24000) / 16000))
    assert error.max() < 0.07  # AAC's own
    assert lag(clip.audio.numpy(), start=0.75) == 0


@pytest.mark.parametrize("rate", [11127, 16000, 48000])
def test_lossless_sound_is_exact(make, rate):
    path = make("clip.mkv", codecs=("libx264", "pcm_s16le"), rate=rate)
    audio = read_clip(str(path), seconds=1.0).audio.numpy()
    np.testing.assert_allclose(audio, chirp(1 + np.arange(16000) / 16000), atol=0.02, rtol=0)
    assert np.abs(audio - chirp(1 + np.arange(16000) / 16000))[50:-50].max() < 1e-3


@pytest.mark.parametrize("rate", [16000, 48000])
def test_aac_is_right_from_its_first_sample(make, rate):
    """FFmpeg 8.1 passes over the first packet after a seek: `findings/audio_seek_to_start.sh`."""
    path = str(make(rate=rate))
    wave = chirp(np.arange(1024) / rate)
    for audio in (
        read_clip(path, seconds=1.0, rate=rate, place=0.0).audio.numpy(),
        streamed(path, rate=rate),
    ):
        assert np.abs(audio[:1024] - wave).max() < 0.07  # AAC's own


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("a.mov", ("libx264", "aac")),
        ("a.mkv", ("libx264", "flac")),
        ("a.webm", ("libvpx-vp9", "libopus")),
        ("a.avi", ("mpeg4", "pcm_s16le")),
    ],
)
def test_other_containers(make, name, codecs):
    clip = read_clip(str(make(name, codecs=codecs, rate=48000)), seconds=2.0, place=0.0, frame=0.26)
    assert count(clip.image.numpy()) == 10
    assert lag(clip.audio.numpy(), start=0.0) == 0


def test_a_late_start_is_counted_once(make):
    clip = read_clip(str(make(offset=1.48)), seconds=1.0, frame=0.51)
    start = (3.064 - 1.0) / 2 - 0.064  # AAC's first packet, of 64 ms, comes before the chirp
    assert count(clip.image.numpy()) == int((start + 0.51) * 20)
    assert lag(clip.audio.numpy(), start=start) == 0


def test_short_sound_is_returned_unpadded(make):
    clip = read_clip(str(make(seconds=1.25)), seconds=3.0)
    assert 20000 <= len(clip.audio) <= 21024  # AAC may fill its last packet
    assert count(clip.image.numpy()) == 12


def test_one_picture_and_a_long_sound(make):
    clip = read_clip(str(make(frames=1)), seconds=1.0, place=1.0, frame=1.0)
    assert count(clip.image.numpy()) == 0
    assert lag(clip.audio.numpy(), start=2.0) == 0


def test_rotation_is_applied(make):
    path = make()
    straight = read_clip(str(path)).image.numpy()
    rotate(path)
    turned = read_clip(str(path)).image.numpy()
    np.testing.assert_array_equal(turned, np.rot90(straight, -1, axes=(1, 2)))


def test_names_outside_ascii_with_spaces_and_with_colons(make):
    for name in ("нота 音.mp4", "two words  and 'more'.mp4", "concat:a|b.mp4", "http:x.mp4"):
        assert read_clip(str(make(name)), seconds=1.0).audio.shape == (16000,)


def test_titles_may_be_no_text(make):
    path = make(title="Zzzz")
    data = path.read_bytes()
    assert data.count(b"Zzzz") == 1
    path.write_bytes(data.replace(b"Zzzz", b"Z\xff\xfez"))
    assert read_clip(str(path), seconds=1.0).audio.shape == (16000,)


def test_fields_and_repr(make):
    clip = read_clip(str(make()), seconds=1.0)
    assert clip.image.dtype == torch.uint8 and clip.audio.dtype == torch.float32
    assert "image=(3, 48, 64), audio=(16000,)" in repr(clip)


def cut(path, *, share):
    """Keep only the beginning of a file."""
    os.truncate(path, int(path.stat().st_size * share))


def hollow(path, *, pictures=0):
    """Write a file with both streams, some pictures and no sound."""
    with av.open(str(path), "w", format="avi") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        container.add_stream("pcm_s16le", rate=16000, layout="mono")
        container.start_encoding()
        for number in range(pictures):
            picture = av.VideoFrame.from_ndarray(counter(number), format="rgb24")
            container.mux(video.encode(picture))
        container.mux(video.encode(None))


def circle(path):
    """Link two names to each other."""
    path.symlink_to(path.with_suffix(".other"))
    path.with_suffix(".other").symlink_to(path)


DAMAGE = {
    "missing": lambda path, make: None,
    "folder": lambda path, make: path.mkdir(),
    "empty": lambda path, make: path.touch(),
    "text": lambda path, make: path.write_text("I was renamed.\n" * 100),
    "playlist": lambda path, make: path.write_text(
        f"ffconcat version 1.0\nfile '{make('other.mp4').name}'\n"
    ),
    "transport stream": lambda path, make: shutil.move(make("a.ts"), path),
    "cut": lambda path, make: cut(make(path.name), share=0.5),
    "cut with header": lambda path, make: cut(
        make(path.name, options={"movflags": "faststart"}), share=0.67
    ),
    "no sound": lambda path, make: make(path.name, seconds=0),
    "no picture": lambda path, make: make(path.name, frames=0),
    "no length": lambda path, make: hollow(path),
    "no samples": lambda path, make: hollow(path, pictures=20),
    "circle": lambda path, make: circle(path),
    "pipe": lambda path, make: os.mkfifo(path),
}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "no such file"),
        ("folder", "no such file"),
        ("empty", "the file is empty"),
        ("text", "cannot be opened"),
        ("playlist", "cannot be opened"),
        ("transport stream", "cannot be opened"),
        ("cut", "cannot be opened"),
        ("cut with header", "cannot be decoded"),
        ("no sound", "no audio stream"),
        ("no picture", "no video stream"),
        ("no length", "no audio from"),
        ("no samples", "no audio from"),
        ("circle", "no such file"),
        ("pipe", "no such file"),
    ],
)
def test_bad_files_are_refused_by_name_and_reason(make, tmp_path, kind, reason):
    DAMAGE[kind](tmp_path / "bad.mp4", make)
    path = str(tmp_path / "bad.mp4")
    with pytest.raises(ClipError) as caught:
        read_clip(path, place=1.0)
    assert caught.value.path == path
    assert reason in caught.value.reason
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.path, copy.reason) == (caught.value.path, caught.value.reason)


def test_flipped_bytes_are_read_or_refused(make, tmp_path):
    data = bytearray(make().read_bytes())
    generator = np.random.default_rng(0)
    for trial in range(10):
        broken = data.copy()
        for place in generator.integers(0, len(data), 40):
            broken[place] ^= 0xFF
        path = tmp_path / f"{trial}.mp4"
        path.write_bytes(broken)
        try:
            clip = read_clip(str(path), seconds=1.0)
        except ClipError as error:
            assert error.reason
        else:
            assert 0 < len(clip.audio) <= 16000


def test_pixel_bombs_are_refused_before_decoding(make, monkeypatch):
    monkeypatch.setattr("avblocks.data.decode.media.MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(ClipError, match="frames of 64x48 are over"):
        read_clip(str(make()))


@contextmanager
def unprivileged():
    """Be nobody instead of root, who may read everything."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_forbidden_files_and_folders(make):
    # Not in pytest's own folder, which is closed as a whole.
    with tempfile.TemporaryDirectory() as name:
        folder, closed = Path(name), Path(name, "closed")
        folder.chmod(0o755)
        closed.mkdir()
        for path in (folder / "a.mp4", closed / "a.mp4"):
            shutil.copy(make(), path)
        (folder / "a.mp4").chmod(0)
        closed.chmod(0)
        for path in (folder / "a.mp4", closed / "a.mp4"):
            with (
                unprivileged(),
                pytest.raises(ClipError, match=r"a\.mp4: cannot be opened .*[Pp]ermission denied"),
            ):
                read_clip(str(path))
        closed.chmod(0o700)


def test_missing_times_are_counted_on_from_those_there_are(tmp_path):
    # Matroska has no times before its beginning: the first 0.5 s of packets come without any.
    path = encode(tmp_path / "a.mkv", offset=-0.5, options={"avoid_negative_ts": "disabled"})
    with av.open(str(path)) as container:
        assert any(packet.pts is None for packet in container.demux(video=0) if packet.size)
    for place in (0.0, 0.5, 1.0):
        clip = read_clip(str(path), seconds=0.5, place=place)
        assert len(clip.audio) > 6000 and count(clip.image.numpy()) < 60
    assert count(read_clip(str(path), seconds=0.5, place=1.0, frame=1.0).image.numpy()) == 59


@pytest.mark.parametrize("bad", [{"seconds": 0.0}, {"rate": 0}, {"place": 1.1}, {"frame": -0.1}])
def test_impossible_arguments(make, bad):
    with pytest.raises(ValueError, match="read_clip takes"):
        read_clip(str(make()), **bad)


def test_counter_counts():
    assert [count(counter(n).transpose(2, 0, 1)) for n in (0, 1, 77, 255)] == [0, 1, 77, 255]


REAL = {
    "music_duet_1.mp4": (230, 256),
    "music_duet_2.mp4": (230, 256),
    "vggsound_dog_barking.mp4": (720, 1280),
    "audioset_00W1lcxW-WU.mp4": (144, 256),
}


@pytest.mark.parametrize("name", REAL)
def test_real_clips(real_clips, name):
    clip = read_clip(str(real_clips / name))
    assert clip.image.shape[0] == 3 and min(clip.image.shape[1:]) > 0
    assert clip.audio.shape == (48000,)
    assert clip.audio.abs().max() > 0.01


def test_real_clip_without_sound(real_clips):
    with pytest.raises(ClipError, match="no audio stream"):
        read_clip(str(real_clips / "no_audio_track.mp4"))

"""Audio that replaces that of a video: its length, what models are given, and what is written."""

from math import inf
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_files import encode
from video_files import samples

from avblocks.data import ClipError, ClipFormat, write_wave
from avblocks.video import fit_audio, make_overlay, open_windows, video_size, write_overlays

RATE = 16000


def tone(path: Path, *, seconds: float, hertz: float) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    write_wave(path, wave.astype(np.float32), rate=RATE)
    return wave


def test_a_short_file_is_repeated_and_a_long_one_cut(tmp_path: Path) -> None:
    wave = tone(tmp_path / "tone.wav", seconds=0.3, hertz=330)
    for seconds in (0.75, 0.1):
        fit_audio(tmp_path / "out.wav", seconds=seconds, source=tmp_path / "tone.wav", rate=RATE)
        expected = np.tile(wave, 3)[: round(seconds * RATE)]
        found = samples(tmp_path / "out.wav", rate=RATE)
        assert len(found) == len(expected) and np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize("part", [None, (0.4, 1.1)])
def test_models_and_copies_get_the_other_audio(
    video: Path, format: ClipFormat, tmp_path: Path, part: tuple[float, float] | None
) -> None:
    own = open_windows(video, format, part=part)
    wave = tone(tmp_path / "tone.wav", seconds=3, hertz=330)
    fit_audio(tmp_path / "fit.wav", seconds=own.seconds, source=tmp_path / "tone.wav")
    windows = open_windows(video, format, part=part, audio=tmp_path / "fit.wav")
    assert windows.spans == own.spans and windows.decoding != own.decoding
    (batch,), (before,) = windows.batches(), own.batches()
    assert all(map(torch.equal, batch.images, before.images))
    start, end = windows.starts[0], windows.starts[0] + format.samples
    assert np.abs(batch.audio[0].numpy() - wave[start:end]).mean() < 0.01

    overlay = make_overlay(lambda images: images, video_size(video))
    options = {"part": part, "audio": (tmp_path / "fit.wav", windows.offset)}
    write_overlays(video, {tmp_path / "a.mp4": [(inf, overlay)]}, **options)
    found = samples(tmp_path / "a.mp4", rate=RATE)
    assert len(found) == pytest.approx(windows.num_samples, abs=1100)  # a packet of AAC
    assert np.corrcoef(found[2000:8000], wave[2000:8000])[0, 1] > 0.98


def test_silence_reaches_the_models_and_the_copy(
    video: Path, format: ClipFormat, tmp_path: Path
) -> None:
    own = open_windows(video, format)
    fit_audio(tmp_path / "none.wav", seconds=own.seconds)
    windows = open_windows(video, format, audio=tmp_path / "none.wav")
    assert not any(batch.audio.any() for batch in windows.batches())


def test_the_audio_of_a_video_may_be_taken(video: Path, tmp_path: Path) -> None:
    fit_audio(tmp_path / "out.wav", seconds=0.5, source=video, rate=RATE)
    expected = samples(video, rate=RATE)[:8000]
    found = samples(tmp_path / "out.wav", rate=RATE)
    assert np.corrcoef(found[500:-500], expected[500:-500])[0, 1] > 0.999


def test_a_file_without_audio_is_refused_by_name(tmp_path: Path) -> None:
    silent = encode(tmp_path / "silent.mp4", frames=3, seconds=0)
    (tmp_path / "text.mp3").write_text("no audio")
    for path, reason in ((silent, "no audio stream"), (tmp_path / "text.mp3", "m4a, mp4, mov")):
        with pytest.raises(ClipError, match=reason) as refused:
            fit_audio(tmp_path / "out.wav", seconds=1, source=path)
        assert refused.value.path == str(path)
    assert not (tmp_path / "out.wav").exists()
    with pytest.raises(ValueError, match="seconds must be a finite number above zero"):
        fit_audio(tmp_path / "out.wav", seconds=0)

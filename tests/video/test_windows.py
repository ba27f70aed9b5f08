"""Windows of videos: where they are, and what is in them."""

from dataclasses import replace
from itertools import pairwise
from math import inf
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_files import count, encode
from hypothesis import given
from hypothesis import strategies as st
from video_files import samples

from avblocks.data import ClipError, ClipFormat, FrontEnd
from avblocks.video import VideoWindows, merge_windows, open_windows
from avblocks.video.batch import ImagePart
from avblocks.video.windows import window_starts


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
def test_windows_cover_all_samples(num_samples: int, length: int, hop: int) -> None:
    hop = min(hop, length)
    starts = window_starts(num_samples, length=length, hop=hop)
    assert starts[0] == 0 and all(0 < b - a <= hop for a, b in pairwise(starts))
    assert starts[-1] == max(num_samples - length, 0)


def test_each_window_has_the_frame_at_its_center(video: Path, format: ClipFormat) -> None:
    windows = open_windows(video, format)
    images = [image for batch in windows.batches(2) for image in batch.images]
    assert [count(image.numpy()) for image in images] == [5, 15, 21]
    assert windows.nearest_until == pytest.approx([0.5, 0.9, inf])


def test_batches_hold_all_windows_in_order(video: Path, format: ClipFormat) -> None:
    windows = open_windows(video, format, hop=3000)
    assert windows.starts == (0, 3000, 6000, 9000, 12000, 12800) and len(windows) == 6
    (whole,) = windows.batches()
    parts = list(windows.batches(4, progress="label"))
    assert [len(part) for part in parts] == [4, 2]
    assert sum((part.starts for part in parts), ()) == windows.starts == whole.starts
    assert torch.equal(torch.cat([part.audio for part in parts]), whole.audio)


def test_a_batch_is_what_a_model_reads(video: Path, format: ClipFormat) -> None:
    (windows,) = open_windows(video, format).batches()
    whole = windows.to_batch()
    assert whole.image.shape[0] == len(whole) == len(windows) == 3
    assert whole.paths == (str(video),) * 3 and whole.size == 16
    assert whole.audio is windows.audio and not whole.gain.any() and not whole.flip.any()
    assert whole.crop is not None and whole.crop.shape == (3, 4)


def test_a_part_of_the_image_is_a_half(video: Path, format: ClipFormat) -> None:
    (windows,) = open_windows(video, format).batches()
    image = torch.zeros(3, 20, 32, dtype=torch.uint8)
    image[:, :, 16:] = 255
    windows = replace(windows, images=(image,) * 3)
    parts: tuple[ImagePart, ...] = ("whole", "left", "right")
    batches = [windows.to_batch(part=part) for part in parts]
    means = [FrontEnd(format).normalize.undo(FrontEnd(format)(b)[0]).mean() for b in batches]
    assert [mean.item() for mean in means] == pytest.approx([0.5, 0, 1], abs=1e-5)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_audio_is_what_training_reads(video: Path, format: ClipFormat, rate: int) -> None:
    format = replace(format, rate=rate)
    windows = open_windows(video, format, hop=format.samples // 3)
    whole = samples(video, rate=rate)
    inside = torch.arange(windows.num_samples)[50:-50]
    for batch in windows.batches(2):
        for start, audio in zip(batch.starts, batch.audio, strict=True):
            kept = inside[(inside >= start) & (inside < start + len(audio))]
            assert np.abs(audio[kept - start].numpy() - whole[kept]).max() < 1e-5
    assert audio[-5:].all()


def test_short_audio_is_repeated_in_mirror_image(tmp_path: Path, format: ClipFormat) -> None:
    path = encode(tmp_path / "a.mp4", frames=6, seconds=0.3)
    windows = open_windows(path, format)
    (batch,) = windows.batches(4)
    line = torch.from_numpy(samples(path, rate=format.rate))
    assert torch.equal(batch.audio[0], torch.cat([line, line.flip(0)])[: format.samples])
    assert windows.spans == [(0, len(line) / format.rate)] and windows.nearest_until == [inf]


def test_times_are_those_of_a_player(tmp_path: Path, format: ClipFormat) -> None:
    path = encode(tmp_path / "late.mkv", frames=26, seconds=1.3, offset=2.0)
    windows = open_windows(path, format)
    assert windows.file_start == pytest.approx(2.0, abs=0.03)
    assert windows.offset == pytest.approx(0, abs=0.03)
    assert windows.spans[0] == pytest.approx((windows.offset, windows.offset + 0.5))


def test_impossible_numbers_are_refused(video: Path, format: ClipFormat) -> None:
    for hop in (0, 8001):
        with pytest.raises(ValueError, match="hop"):
            open_windows(video, format, hop=hop)
    with pytest.raises(ValueError, match="batch"):
        next(open_windows(video, format).batches(0))


def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, video: Path, format: ClipFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(ClipError, match=r"empty\.mp4: the file is empty"):
        open_windows(tmp_path / "empty.mp4", format)
    monkeypatch.setattr("avblocks.video.windows.MAX_HOURS", 0)
    with pytest.raises(ClipError, match=r"street\.mp4: its audio lasts 1\.\d+ s, not"):
        open_windows(video, format)


def test_windows_are_reusable(video: Path, format: ClipFormat) -> None:
    windows = open_windows(video, format)
    assert isinstance(windows, VideoWindows)
    (first,), (second,) = windows.batches(), windows.batches()
    assert torch.equal(first.audio, second.audio)
    next(windows.batches(1))  # left before its end: the file is closed without a warning


def test_merged_windows_are_told_apart(video: Path, format: ClipFormat) -> None:
    several = [open_windows(video, format, hop=hop) for hop in (4000, 3000)]
    merged = list(merge_windows(several).batches(3))
    assert len(several[0]) > 2
    for windows in several:
        own, selected = list(windows.batches(2)), list(windows.select(merged, 2))
        assert [one.starts for one in selected] == [one.starts for one in own]
        for a, b in zip(own, selected, strict=True):
            assert torch.equal(a.audio, b.audio) and a.size == b.size
            assert all(map(torch.equal, a.images, b.images))
    with pytest.raises(ValueError, match="of one video and part, length and rate"):
        merge_windows([several[0], open_windows(video, replace(format, seconds=0.1))])
    with pytest.raises(ValueError, match="of one video and part, length and rate"):
        merge_windows([several[0], open_windows(video, format, part=(0.5, 1.3))])


@pytest.mark.usefixtures("unchecked")
def test_impossible_windows_are_named(video: Path, format: ClipFormat) -> None:
    with pytest.raises(ValueError, match=r"format.frames must be 1: .*, got 2"):
        open_windows(video, replace(format, frames=2))
    with pytest.raises(ValueError, match=r"hop must be 1 to the 8000 of a window, got 400.5"):
        open_windows(video, format, hop=400.5)  # type: ignore[arg-type]
    for part in ((float("nan"), 1.0), (0.0, float("nan"))):
        with pytest.raises(ClipError, match="no audio from"):
            open_windows(video, format, part=part)
    windows = open_windows(video, format)
    with pytest.raises(ValueError, match=r"batch must be a positive integer, got 1.5"):
        next(windows.batches(1.5))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"part must be one of \('whole', 'left', 'right'\)"):
        next(windows.batches()).to_batch(part="top")  # type: ignore[arg-type]

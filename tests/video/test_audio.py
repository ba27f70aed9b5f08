"""Audio of windows, decoded in one pass."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from avblocks.data import ClipError, ClipFormat
from avblocks.video import open_windows, stream_audio
from avblocks.video.windows import window_starts


def test_a_gap_in_the_audio_is_silent(tmp_path: Path, format: ClipFormat) -> None:
    path, rate = tmp_path / "gap.mkv", format.rate
    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("libx264", 10), container.add_stream("pcm_s16le", rate)
        video.height, video.width, video.pix_fmt, audio.layout = 32, 32, "yuv420p", "mono"
        for _ in range(10):
            black = np.zeros((32, 32, 3), dtype=np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(black, format="rgb24")))
        for second in (0, 3):
            loud = np.full((1, rate), 8192, dtype=np.int16)
            frame = av.AudioFrame.from_ndarray(loud, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, second * rate, Fraction(1, rate)
            container.mux(audio.encode(frame))
        for stream in (video, audio):
            container.mux(stream.encode(None))
    windows = open_windows(path, format)
    decoded = torch.cat([batch.audio.flatten() for batch in windows.batches(3)])
    assert decoded.unflatten(0, (-1, rate)).mean(dim=1).tolist() == [0.25, 0, 0, 0.25]


def test_audio_that_ends_early_is_refused(video: Path, format: ClipFormat) -> None:
    windows = open_windows(video, format)
    more = windows.num_samples + 9000
    longer = replace(windows, num_samples=more, starts=window_starts(more, length=8000, hop=8000))
    with pytest.raises(ClipError, match=r"street\.mp4: cut short: 1\.3 s of the 1\.9 s of audio"):
        list(longer.batches(1))


def test_a_few_samples_too_few_are_silence(video: Path, format: ClipFormat) -> None:
    windows = open_windows(video, format)
    more = windows.num_samples + 4000
    starts = window_starts(more, length=8000, hop=8000)
    *_, last = stream_audio(video, format, starts=starts, num_samples=more)
    assert len(last) == format.samples and last[:3000].any() and not last[-3900:].any()


def test_samples_do_not_depend_on_the_hop(video: Path, format: ClipFormat) -> None:
    windows = [open_windows(video, format, hop=hop) for hop in (8000, 1234)]
    lines = []
    for each in windows:
        line = torch.zeros(each.num_samples)
        audio = stream_audio(video, format, starts=each.starts, num_samples=each.num_samples)
        for start, samples in zip(each.starts, audio, strict=True):
            line[start : start + len(samples)] = samples
        lines.append(line)
    assert lines[0].any() and torch.equal(lines[0], lines[1])

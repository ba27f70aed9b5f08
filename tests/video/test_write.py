"""Videos with overlays."""

from math import inf
from pathlib import Path

import numpy as np
import pytest
from clip_files import encode
from media_kinds import KINDS, uneven
from video_files import frames, samples

from avblocks.data import ClipError, ClipFormat
from avblocks.data.decode.frames import decode_frame
from avblocks.data.decode.media import open_media
from avblocks.video import Overlay, make_overlay, open_windows, video_size, write_overlay


def factor(size: tuple[int, int], value: float) -> Overlay:
    return make_overlay(lambda images: images * value, size)


@pytest.mark.parametrize("kind", ["turned", "uneven times", "late start", "mpeg4 in avi", "vp9"])
def test_overlays_are_drawn_in_time(tmp_path: Path, format: ClipFormat, kind: str) -> None:
    path, out = KINDS[kind](tmp_path), tmp_path / "drawn.mp4"
    windows, size = open_windows(path, format), video_size(path)
    dark, same = factor(size, 0.0), factor(size, 1.0)
    write_overlay(path, out, [(1.0, dark), (inf, same)])
    times, drawn = frames(out)
    own, _ = frames(path)
    assert times[: len(own)] == pytest.approx([t - windows.file_start for t in own], abs=1e-3)
    if kind != "uneven times":  # the audio is longer: the last image is shown until it ends
        assert times[len(own) :] == pytest.approx([windows.spans[-1][1] - 0.05], abs=0.002)
    first = next(number for number, time in enumerate(times) if time >= 1.0)
    for number in (5, first - 1, first, first + 9):
        with open_media(str(path)) as media:
            image = decode_frame(media, time=own[number]) * (times[number] >= 1.0)
        assert np.abs(drawn[number] - image.astype(float)).mean() < 8
    copy = open_windows(out, format, hop=1)
    assert copy.audio_start == pytest.approx(windows.offset, abs=2e-3)
    found, audio = (samples(file, rate=format.rate) for file in (out, path))
    assert np.abs(found[2000:9000] - audio[2000:9000]).mean() < 0.02


def test_a_large_video_is_drawn_smaller(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", frames=2, seconds=0.2, height=962, width=642)
    assert video_size(path) == (720, 480)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 64), (2, 3), (48, 1), (3, 5)])
def test_tiny_videos_are_drawn(tmp_path: Path, height: int, width: int) -> None:
    path = uneven(tmp_path / "a.mp4", height=height, width=width)
    size = video_size(path)
    write_overlay(path, tmp_path / "drawn.mp4", [(inf, factor(size, 1.0))])
    assert frames(tmp_path / "drawn.mp4")[1].shape[1:3] == size


def test_the_last_overlay_stays_to_the_end(video: Path, tmp_path: Path) -> None:
    size = video_size(video)
    write_overlay(video, tmp_path / "a.mp4", [(0.2, factor(size, 1.0)), (0.4, factor(size, 0.0))])
    times, drawn = frames(tmp_path / "a.mp4")
    assert len(times) == 26 and drawn[2].max() > 200 and drawn[5:].max() < 20


def test_impossible_overlays_are_refused(video: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"street\.mp4: expected at least one overlay"):
        write_overlay(video, tmp_path / "a.mp4", [])
    with pytest.raises(ValueError, match="even sides"):
        write_overlay(video, tmp_path / "a.mp4", [(inf, factor((47, 64), 1.0))])
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(ClipError, match="the file is empty"):
        write_overlay(tmp_path / "empty.mp4", tmp_path / "a.mp4", [(inf, factor((2, 2), 1.0))])
    assert [path.name for path in tmp_path.iterdir()] == ["empty.mp4"]

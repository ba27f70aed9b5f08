"""Images that were extracted evenly from a video are read as the video would be."""

import numpy as np
import pytest
import torch
from clip_files import chirp, count
from still_files import write_number, write_sound

from avblocks.data import ClipError, read_clip
from avblocks.data.datasets import StillImage, stills


def make(root, *, seconds=10.0, numbers=range(10)):
    """Number n is taken n tenths into the video, as CAV-MAE's script does."""
    write_sound(root / "audio" / "a.wav", seconds=seconds)
    for number in numbers:
        write_number(root / "frames" / f"frame_{number}" / "a.jpg", number)
    (item,) = stills(root).items
    return item


def heard_at(clip):
    """Second of the chirp at which a clip begins."""
    starts = np.arange(0, 12, 0.05)
    times = np.arange(len(clip.audio)) / 16000
    return starts[np.argmin([np.abs(chirp(s + times) - clip.audio.numpy()).max() for s in starts])]


def test_they_are_listed_once_and_in_order(tmp_path):
    item = make(tmp_path, numbers=[10, 2, 0])
    assert item.id == "a" and item.images == tuple(
        StillImage(path=str(tmp_path / f"frames/frame_{n}/a.jpg"), part=n / 11) for n in (0, 2, 10)
    )


@pytest.mark.parametrize("place", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("frame", [0.0, 0.5, 1.0])
def test_the_image_nearest_to_the_place_in_the_window(tmp_path, place, frame):
    clip = read_clip(make(tmp_path), seconds=3.0, place=place, frame=frame)
    start = 7.0 * place
    wanted = min(range(10), key=lambda number: abs(number - start - 3.0 * frame))
    assert count(clip.image.numpy()) == wanted
    assert heard_at(clip) == pytest.approx(start) and len(clip.audio) == 48_000
    assert clip.time == pytest.approx(wanted - start)
    assert clip.frames is None and clip.path.endswith("a.wav")


@pytest.mark.parametrize(("seconds", "time"), [(5.0, 2.0), (30.0, 4.0)])
def test_they_are_spread_over_ten_seconds_at_most(tmp_path, seconds, time):
    clip = read_clip(make(tmp_path, seconds=seconds), seconds=2.0, place=0.0, frame=1.0)
    assert count(clip.image.numpy()) == {5.0: 4, 30.0: 2}[seconds]
    assert clip.time == pytest.approx(2.0)
    clip = read_clip(make(tmp_path, seconds=seconds), seconds=seconds, frame=time / seconds)
    assert count(clip.image.numpy()) == 4


def test_several_frames_of_a_window(tmp_path):
    clip = read_clip(make(tmp_path, numbers=[0, 1, 2, 3, 4, 5, 7, 9]), seconds=8.0, frames=4)
    assert [count(clip.image[:, n].numpy()) for n in range(4)] == [2, 4, 5, 7]  # at 2, 4, 6, 8 s
    assert clip.time == 1.0
    write_number(tmp_path / "frames/frame_2/a.jpg", width=32)
    with pytest.raises(ClipError, match=r"frame_4/a.jpg: the image is \(48, 64\), and .*frame_2"):
        read_clip(make(tmp_path, numbers=[4]), seconds=8.0, frames=4)


def test_only_what_is_shown_is_decoded(tmp_path):
    item = make(tmp_path)
    (tmp_path / "frames/frame_9/a.jpg").write_bytes(b"broken")
    first = read_clip(item, place=0.0)
    assert torch.equal(first.image, read_clip(item, place=0.0).image)
    with pytest.raises(ClipError, match=r"frame_9/a.jpg"):
        read_clip(item, place=1.0, frame=1.0)

import numpy as np
import pytest
import torch
from clip_files import chirp, count, encode
from hypothesis import given, settings
from hypothesis import strategies as st
from still_files import write_mask, write_number, write_sound

from avblocks.data import ClipDataset, ClipError, ClipFormat, read_clip
from avblocks.data.datasets import ClipSet, Item, StillImage


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Five seconds of sound; pictures 0 to 4, shown in the middle of each, two with masks."""
    root = tmp_path_factory.mktemp("stills")
    sound = write_sound(root / "sound.wav")
    pictures = []
    for number in range(5):
        path = write_number(root / f"{number}.png", number)
        mask = None
        if number in (1, 3):
            mask = str(write_mask(root / f"mask{number}.png", np.full((48, 64), 10 * number)))
        pictures.append(StillImage(path=str(path), time=number + 0.5, mask=mask, binary=False))
    return str(sound), tuple(pictures)


def starts(clip):
    """When the sound of a clip starts, by what is heard."""
    offsets = np.arange(0, 80_000 - len(clip.audio) + 1, 10)
    wave = chirp(np.arange(80_000) / 16000)
    gaps = [np.abs(wave[o : o + len(clip.audio)] - clip.audio.numpy()).max() for o in offsets]
    assert min(gaps) < 0.07
    return offsets[int(np.argmin(gaps))] / 16000


def test_a_picture_without_time_goes_with_any_window(files):
    sound, pictures = files
    item = Item(id="x", path=sound, labels=(3,), images=(StillImage(path=pictures[2].path),))
    for place, start in ((0.0, 0.0), (0.5, 1.0), (1.0, 2.0)):
        clip = read_clip(item, seconds=3.0, place=place, frame=0.9)
        assert count(clip.image.numpy()) == 2 and clip.audio.shape == (48_000,)
        assert starts(clip) == start
        assert clip.path == sound and clip.labels == (3,)
        assert clip.time is None and clip.frames is None and clip.mask is None
        assert clip.boxes is None


def test_frame_chooses_the_picture_and_the_window_goes_with_it(files):
    sound, pictures = files
    item = Item(id="x", path=sound, images=pictures)
    for frame, number in ((0.0, 0), (0.25, 1), (0.5, 2), (0.99, 4), (1.0, 4)):
        clip = read_clip(item, seconds=2.0, frame=frame)
        assert count(clip.image.numpy()) == number
        start = min(max(number + 0.5 - 1, 0), 3)
        assert starts(clip) == pytest.approx(start, abs=1e-3)
        assert clip.time == pytest.approx(number + 0.5 - start)
    assert starts(read_clip(item, seconds=2.0, place=0.0)) == 0.5
    assert starts(read_clip(item, seconds=2.0, place=1.0)) == 2.5


@settings(max_examples=10)
@given(place=st.floats(0, 1), frame=st.floats(0, 1), seconds=st.floats(0.5, 7))
def test_the_window_always_holds_the_picture(files, place, frame, seconds):
    item = Item(id="x", path=files[0], images=files[1])
    clip = read_clip(item, seconds=seconds, place=place, frame=frame)
    assert -1e-6 <= clip.time <= seconds + 1e-6
    assert len(clip.audio) == pytest.approx(min(seconds, 5.0) * 16000, abs=1)


def test_all_pictures_come_with_their_times_and_masks(files):
    item = Item(id="x", path=files[0], images=files[1])
    clip = read_clip(item, seconds=2.0)
    assert clip.frames is not None
    assert [count(image) for image in clip.frames.image.numpy()] == [0, 1, 2, 3, 4]
    torch.testing.assert_close(clip.frames.time, torch.arange(5.0) - 1)
    assert clip.frames.masked.tolist() == [False, True, False, True, False]
    assert [mask.unique().tolist() for mask in clip.frames.mask] == [[0], [10], [0], [30], [0]]
    assert clip.mask is None and torch.equal(clip.image, clip.frames.image[2])
    masked = read_clip(item, frame=0.3)
    assert masked.mask is not None and masked.mask.unique().tolist() == [10]
    assert "mask=(48, 64), frames=5)" in repr(masked)


def test_boxes_travel_with_pictures_and_videos(files, make):
    boxes = ((0.0, 0.25, 0.5, 1.0), (0.5, 0.0, 1.0, 0.5))
    for boxed, length in ((boxes, 2), ((), 0)):
        for item in (
            Item(id="a", path=files[0], images=files[1][:1], boxes=boxed),
            Item(id="b", path=str(make()), labels=(4,), boxes=boxed),
        ):
            clip = read_clip(item, seconds=1.0)
            assert clip.boxes is not None and clip.boxes.shape == (length, 4)
            assert clip.boxes.tolist() == [list(box) for box in boxed]
            assert clip.labels == item.labels and f"boxes={length}" in repr(clip)


def test_an_item_of_a_video_is_that_video(make):
    path = str(make())
    one, other = read_clip(path, place=0.2), read_clip(Item(id="x", path=path), place=0.2)
    assert torch.equal(one.image, other.image) and torch.equal(one.audio, other.audio)
    assert one.time == other.time == pytest.approx(0.5 * 3.0, abs=0.04)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_other_rates(tmp_path, files, rate):
    sound = write_sound(tmp_path / "a.wav", rate=rate)
    clip = read_clip(Item(id="x", path=str(sound), images=files[1]), seconds=1.0)
    assert clip.audio.shape == (16_000,) and starts(clip) == pytest.approx(2.0, abs=1e-3)


def test_flac(tmp_path, files):
    sound = encode(tmp_path / "a.flac", frames=0, codecs=("", "flac"))
    clip = read_clip(Item(id="x", path=str(sound), images=files[1][:2]), seconds=1.0)
    assert starts(clip) == pytest.approx(1.0, abs=1e-3)


def test_data_sets_read_them(files):
    item = Item(id="x", path=files[0], labels=(1,), images=files[1])
    clips = ClipSet(name="x", items=(item,), classes=("a", "b"))
    batch = ClipDataset(clips, ClipFormat(seconds=2.0, size=32), train=True)[0, 0]
    assert batch.image.shape == (1, 3, 48, 64) and batch.target.tolist() == [[0, 1]]


def test_what_does_not_fit_is_refused(files, tmp_path):
    sound, pictures = files
    small = str(write_number(tmp_path / "small.png", height=24))
    mask = StillImage(path=pictures[0].path, mask=small)
    with pytest.raises(ClipError, match=r"small\.png: the mask is \(24, 64\), and .*0\.png is"):
        read_clip(Item(id="x", path=sound, images=(mask,)))
    with pytest.raises(ClipError, match=r"small\.png: the image is \(24, 64\), and .*0\.png is"):
        read_clip(Item(id="x", path=sound, images=(pictures[0], StillImage(path=small))))


def broken_wav(path, kind):
    data = write_sound(path).read_bytes()
    if kind != "missing":
        path.write_bytes({"empty": b"", "text": b"hm" * 50, "cut": data[:44]}[kind])
    else:
        path.unlink()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "no such file"),
        ("empty", "the file is empty"),
        ("text", "cannot be opened as wav or flac"),
        ("cut", "no audio from|cannot be"),
    ],
)
def test_bad_sounds_are_refused_by_name_and_reason(files, tmp_path, kind, reason):
    path = tmp_path / "bad.wav"
    broken_wav(path, kind)
    with pytest.raises(ClipError, match=reason) as caught:
        read_clip(Item(id="x", path=str(path), images=files[1][:1]))
    assert caught.value.path == str(path)


def test_a_video_is_no_sound_and_a_sound_no_video(files, make):
    with pytest.raises(ClipError, match="cannot be opened as wav or flac"):
        read_clip(Item(id="x", path=str(make()), images=files[1][:1]))
    with pytest.raises(ClipError, match="cannot be opened as mp4"):
        read_clip(files[0])

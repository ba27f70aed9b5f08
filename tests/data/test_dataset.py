import pickle
from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import CenterCrop, Compose, Resize

from avblocks.data import (
    AVBatch,
    AVClip,
    ClipDataset,
    ClipError,
    ClipFormat,
    FrontEnd,
    KeyedBatches,
    Normalize,
    TooManySkippedError,
    collate,
    read_clip,
)
from avblocks.data.datasets import ClipSet, Item, folder
from avblocks.data.scenes import SceneSpec, scenes
from avblocks.seed import sample_seed

FORMAT = ClipFormat(seconds=0.5, size=32, mels=32)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    spec = SceneSpec(seconds=1.0, size=48, fps=12.5)
    return scenes(tmp_path_factory.mktemp("data"), split="train", num_clips=8, spec=spec)


@pytest.fixture
def flawed(good, tmp_path):
    """The good clips with the second and third broken."""
    broken = [Item(id="text", path=str(tmp_path / "text.mp4"), labels=(1,))]
    broken.append(Item(id="gone", path=str(tmp_path / "gone.mp4"), labels=(2,)))
    (tmp_path / "text.mp4").write_text("not a video")
    items = (good.items[0], *broken, *good.items[3:])
    return ClipSet(name="flawed", items=items, classes=good.classes)


def equal(first, second):
    tensors = ("image", "audio", "flip", "gain", "target", "crop")
    same = all(torch.equal(getattr(first, n), getattr(second, n)) for n in tensors)
    return same and first.seeds == second.seeds and first.paths == second.paths


def test_a_training_sample_is_a_function_of_its_key(good):
    data = ClipDataset(good, FORMAT, train=True, seed=5)
    first, again = data[2, 3], ClipDataset(good, FORMAT, train=True, seed=5)[2, 3]
    assert equal(first, again)
    assert first.seeds == (sample_seed(5, 2, 3),) and first.paths == (good.items[3].path,)
    for other in (data[3, 3], ClipDataset(good, FORMAT, train=True, seed=6)[2, 3]):
        assert not torch.equal(first.image, other.image)
        assert not torch.equal(first.audio, other.audio)
        assert not torch.equal(first.crop, other.crop)
        assert first.gain != other.gain


def test_shapes_targets_and_ranges(good):
    data = ClipDataset(good, FORMAT, train=True)
    batch = collate([data[0, index] for index in range(8)])
    assert batch.image.shape == (8, 3, 48, 48) and batch.image.dtype == torch.uint8
    assert batch.crop.shape == (8, 4) and batch.size == 32
    image, audio = FrontEnd(FORMAT)(batch)
    assert image.shape == (8, 3, 32, 32) and audio.shape == (8, 1, 32, 32)
    assert batch.audio.shape == (8, 8000) and len(batch) == 8
    assert batch.target.shape == (8, 12)
    assert [tuple(row.nonzero()[:, 0].tolist()) for row in batch.target] == [
        tuple(sorted(item.labels)) for item in good.items
    ]
    assert (batch.gain.abs() <= 6).all() and batch.gain.unique().numel() == 8
    assert batch.flip.any() and not batch.flip.all()


def test_evaluation_takes_the_middle(good):
    data = ClipDataset(good, FORMAT, train=False)
    assert equal(data[0, 1], ClipDataset(good, FORMAT, train=False)[0, 1])
    batch = data[0, 1]
    assert not batch.flip.any() and not batch.gain.any()
    assert torch.equal(data[4, 1].audio, batch.audio)


def test_windows_span_the_sound_and_the_windows_of_a_clip_are_adjacent(good):
    asked = []

    def read(item, /, **options):
        asked.append((item.path, options["place"], options["frame"]))
        return read_clip(item, **options)

    data = ClipDataset(good, FORMAT, train=False, windows=3, read=read)
    assert len(data) == 3 * len(good)
    batch = collate([data[0, index] for index in range(len(data))])
    assert batch.paths == tuple(item.path for item in good.items for _ in range(3))
    assert asked == [(i.path, place, 0.5) for i in good.items for place in (0.0, 0.5, 1.0)]
    middle = collate([ClipDataset(good, FORMAT, train=False)[0, i] for i in range(8)])
    assert torch.equal(batch.audio[1::3], middle.audio)
    assert torch.equal(batch.target[2::3], middle.target)
    assert len(set(batch.seeds)) == len(data)
    first = read_clip(good.items[0], seconds=0.5, place=0.0).audio
    assert torch.equal(batch.audio[0], first) and not torch.equal(batch.audio[2], first)


def test_windows_of_a_broken_clip_count_it_once(flawed):
    data = ClipDataset(flawed, FORMAT, train=False, windows=2, on_error="skip", max_skipped=0.25)
    batch = collate([data[0, index] for index in range(len(data))])
    assert len(batch) == 12 and {s.path for s in batch.skipped} == {
        i.path for i in flawed.items[1:3]
    }
    strict = ClipDataset(flawed, FORMAT, train=False, windows=2, on_error="skip", max_skipped=0.2)
    with pytest.raises(TooManySkippedError, match="2 of 8 clips"):
        [strict[0, index] for index in range(len(strict))]


@pytest.mark.parametrize("wrong", [{"windows": 0, "train": False}, {"windows": 2, "train": True}])
def test_impossible_windows(good, wrong):
    with pytest.raises(ValueError, match="windows >= 1, and 1 in training"):
        ClipDataset(good, FORMAT, **wrong)


def test_short_sound_is_padded_in_mirror_image(make):
    make("short.mp4", seconds=0.5)
    clips = folder(make("second.mp4", seconds=0.5).parent)
    sample = ClipDataset(clips, ClipFormat(size=32), train=False)[0, 0]
    assert sample.audio.shape == (1, 48000) and sample.target.shape == (1, 0)
    length = 8000 if torch.equal(sample.audio[0, :8000], sample.audio[0, 8000:16000].flip(0)) else 0
    lengths = [n for n in range(8000, 9100) if sample.audio[0, n - 1] == sample.audio[0, n]]
    assert length or any(
        torch.equal(sample.audio[0, :n], sample.audio[0, n : 2 * n].flip(0)) for n in lengths
    )


def test_a_bad_file_raises_by_default(flawed):
    with pytest.raises(ClipError, match=r"text\.mp4: cannot be opened"):
        ClipDataset(flawed, FORMAT, train=True)[0, 1]


def test_in_training_the_next_good_clip_stands_in_and_it_is_told(flawed):
    data = ClipDataset(flawed, FORMAT, train=True, on_error="skip", max_skipped=0.5)
    for _ in range(2):  # the second time from memory
        sample = data[0, 1]
        assert sample.paths == (flawed.items[3].path,)
        assert sample.seeds == (sample_seed(0, 0, 1),)
        assert [skip.path for skip in sample.skipped] == [i.path for i in flawed.items[1:3]]
        assert sample.skipped[1].reason == "no such file"
    assert not data[0, 3].skipped


def test_in_evaluation_a_bad_clip_is_left_out(flawed):
    data = ClipDataset(flawed, FORMAT, train=False, on_error="skip", max_skipped=0.5)
    batch = collate([data[0, index] for index in range(4)])
    assert batch.paths == (flawed.items[0].path, flawed.items[3].path) and len(batch.image) == 2
    assert [skip.path for skip in batch.skipped] == [item.path for item in flawed.items[1:3]]
    nothing = collate([data[0, 1], data[0, 2]])
    assert len(nothing) == 0 and nothing.image.shape == (0, 3, 32, 32)
    assert len(nothing.skipped) == 2


@pytest.mark.parametrize("train", [True, False])
def test_too_many_bad_files_stop_the_run(flawed, train):
    data = ClipDataset(flawed, FORMAT, train=train, on_error="skip", max_skipped=0.2)
    data[0, 2]
    message = r"2 of 8 clips cannot be used, more than the share of 0.2 .* last is .*text\.mp4"
    with pytest.raises(TooManySkippedError, match=message):
        data[0, 1]


def test_all_bad_files(tmp_path):
    clips = ClipSet(name="none", items=tuple(Item(id=n, path=n) for n in "ab"))
    data = ClipDataset(clips, FORMAT, train=True, on_error="skip", max_skipped=1.0)
    assert len(data[0, 0]) == 0 and len(data[0, 0].skipped) == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing(good, workers):
    loader = DataLoader(
        ClipDataset(good, FORMAT, train=True),
        batch_sampler=KeyedBatches(8, batch_size=4, seed=0),
        collate_fn=collate,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
    )
    data = ClipDataset(good, FORMAT, train=True)
    for batch, keys in zip(loader, KeyedBatches(8, batch_size=4, seed=0), strict=True):
        assert equal(batch, collate([data[key] for key in keys]))


def test_errors_keep_their_kind_through_workers(flawed):
    loader = DataLoader(
        ClipDataset(flawed, FORMAT, train=True),
        batch_sampler=[[(0, 1)]],
        collate_fn=collate,
        num_workers=1,
        multiprocessing_context="fork",
    )
    with pytest.raises(ClipError) as caught:
        next(iter(loader))
    assert str(caught.value).splitlines()[-1].endswith("text.mp4: " + _reason(flawed))


def _reason(flawed):
    with pytest.raises(ClipError) as caught:
        ClipDataset(flawed, FORMAT, train=True)[0, 1]
    return caught.value.reason


def test_pictures_of_any_size_make_a_batch(make):
    sizes = {"a.mp4": (48, 64), "b.mp4": (64, 48), "c.mp4": (48, 64)}
    for name, (height, width) in sizes.items():
        path = make(name, height=height, width=width)
    clips = folder(path.parent)
    for train, side in ((False, 37), (True, 48)):
        data = ClipDataset(clips, FORMAT, train=train)
        alone = [data[0, index] for index in range(3)]
        together = collate(alone)
        long = int(side * 4 / 3)
        assert {sample.image.shape[2:] for sample in alone} == {(side, long), (long, side)}
        assert together.image.shape == (3, 3, long, long)
        assert not together.image[0, :, side:].any() and not together.image[1, :, :, side:].any()
        squares = FrontEnd(FORMAT)(together)[0]
        for sample, square in zip(alone, squares, strict=True):
            torch.testing.assert_close(FrontEnd(FORMAT)(sample)[0][0], square)


def test_evaluation_is_the_usual_middle(good):
    batch = ClipDataset(good, FORMAT, train=False)[0, 1]
    picture = read_clip(good.items[1], seconds=0.5).image
    wanted = Compose([Resize(37, antialias=True), CenterCrop(32)])(picture)
    normal = Normalize()(wanted[None])
    assert torch.equal(FrontEnd(FORMAT)(batch)[0], normal)


def test_batches_move_and_pickle(good):
    batch = ClipDataset(good, FORMAT, train=True)[0, 0]
    moved = batch.to("cpu", non_blocking=True)
    assert isinstance(moved, AVBatch) and equal(moved, batch)
    assert equal(pickle.loads(pickle.dumps(batch)), batch)
    assert batch.to("meta").image.device.type == "meta"


@pytest.mark.parametrize("bad", [{"seconds": 0.0}, {"rate": 0}, {"size": 1}])
def test_impossible_formats(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be"):
        ClipFormat(**bad)


def test_impossible_share(good):
    with pytest.raises(ValueError, match=r"expected clips and max_skipped in \[0, 1\].* 1.5"):
        ClipDataset(good, FORMAT, train=True, max_skipped=1.5)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"image": torch.zeros(3, 20, 20)}, "image of torch.float32"),
        ({"image": torch.zeros(1, 20, 20, dtype=torch.uint8)}, r"image of torch.uint8 \(1, 20"),
        ({"audio": torch.zeros(8000, dtype=torch.int16)}, "audio of torch.int16"),
        ({"audio": torch.zeros(2, 8000)}, r"audio of torch.float32 \(2, 8000"),
        (
            {"image": torch.zeros(20, 24, 3, dtype=torch.uint8)},
            r"image of torch.uint8 \(20, 24, 3\), .* has torch.uint8 \(3, height, width\)",
        ),
        ({"audio": torch.zeros(0)}, r"audio of torch.float32 \(0,\), .* \(samples\)"),
        ({"audio": torch.full((8000,), 9832.0)}, "audio of up to 9832, .* divide .* by 32768"),
        ({"rate": 44100}, "44100 samples per second, and the format has 16000"),
        ({"mask": torch.zeros(10, 20, dtype=torch.uint8)}, r"mask of torch.uint8 \(10, 20"),
        ({"mask": torch.zeros(20, 20)}, "mask of torch.float32"),
    ],
)
def test_what_a_reader_of_your_own_returns_is_checked(good, part, message):
    clip = AVClip(
        image=torch.zeros(3, 20, 20, dtype=torch.uint8),
        audio=torch.zeros(8000),
        rate=16000,
        path="x",
    )
    assert len(ClipDataset(good, FORMAT, train=True, read=lambda *_, **__: clip)[0]) == 1
    data = ClipDataset(good, FORMAT, train=True, read=lambda *_, **__: replace(clip, **part))
    with pytest.raises(ValueError, match=f"{good.items[0].path}: the reader returned .*{message}"):
        data[0]
    none = ClipDataset(good, FORMAT, train=True, read=lambda *_, **__: None)
    with pytest.raises(ValueError, match="the reader returned NoneType, and a clip is an AVClip"):
        none[0]


@pytest.mark.usefixtures("unchecked")
def test_paths_are_no_clip_set():
    with pytest.raises(
        TypeError, match=r"clips must be a ClipSet, such as class_folder\(\) lists, g"
    ):
        ClipDataset(["a.mp4"], FORMAT, train=True)


def test_no_clips():
    with pytest.raises(ValueError, match="got 0 clips"):
        ClipDataset(ClipSet(name="none", items=()), FORMAT, train=True)


def test_by_a_plain_index_no_clip_of_another_subset_stands_in(flawed):
    data = ClipDataset(flawed, FORMAT, train=True, on_error="skip", max_skipped=0.5)
    alone, replaced = data[1], data[0, 1]
    assert len(alone) == 0 and len(replaced) == 1
    assert alone.skipped == replaced.skipped[:1] and alone.skipped[0].path == flawed.items[1].path


def test_crops_keep_at_least_their_share(good):
    def areas(**options):
        data = ClipDataset(good, FORMAT, train=True, **options)
        boxes = torch.cat([data[epoch, 0].crop for epoch in range(40)])
        return ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])) / 48**2

    assert areas().min() > 0.48
    assert 0.08 < areas(min_crop=0.1).min() < 0.2
    assert areas(min_crop=1.0).min() > 0.7  # of another aspect ratio than the image
    with pytest.raises(ValueError, match=r"expected min_crop in \(0, 1\], got 0"):
        ClipDataset(good, FORMAT, train=True, min_crop=0.0)

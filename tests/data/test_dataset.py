import pickle

import pytest
import torch
from torch.utils.data import DataLoader

from avblocks.data import (
    AVBatch,
    ClipDataset,
    ClipError,
    KeyedBatches,
    TooManySkippedError,
    collate,
    sample_seed,
)
from avblocks.data.datasets import ClipSet, Item, SceneSpec, folder, scenes

SETTINGS = {"seconds": 0.5, "rate": 16000, "size": 32}


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
    tensors = ("image", "audio", "flip", "gain", "target")
    same = all(torch.equal(getattr(first, n), getattr(second, n)) for n in tensors)
    return same and first.seeds == second.seeds and first.paths == second.paths


def test_a_training_sample_is_a_function_of_its_key(good):
    data = ClipDataset(good, train=True, seed=5, **SETTINGS)
    first, again = data[2, 3], ClipDataset(good, train=True, seed=5, **SETTINGS)[2, 3]
    assert equal(first, again)
    assert first.seeds == (sample_seed(5, 2, 3),) and first.paths == (good.items[3].path,)
    for other in (data[3, 3], ClipDataset(good, train=True, seed=6, **SETTINGS)[2, 3]):
        assert not torch.equal(first.image, other.image)
        assert not torch.equal(first.audio, other.audio)
        assert first.gain != other.gain


def test_shapes_targets_and_ranges(good):
    data = ClipDataset(good, train=True, **SETTINGS)
    batch = collate([data[0, index] for index in range(8)])
    assert batch.image.shape == (8, 3, 32, 32) and batch.image.dtype == torch.uint8
    assert batch.audio.shape == (8, 8000) and len(batch) == 8
    assert batch.target.shape == (8, 12)
    assert [tuple(row.nonzero()[:, 0].tolist()) for row in batch.target] == [
        tuple(sorted(item.labels)) for item in good.items
    ]
    assert (batch.gain.abs() <= 6).all() and batch.gain.unique().numel() == 8
    assert batch.flip.any() and not batch.flip.all()


def test_evaluation_takes_the_middle(good):
    data = ClipDataset(good, train=False, **SETTINGS)
    assert equal(data[0, 1], ClipDataset(good, train=False, **SETTINGS)[0, 1])
    batch = data[0, 1]
    assert not batch.flip.any() and not batch.gain.any()
    assert torch.equal(data[4, 1].audio, batch.audio)


def test_short_sound_is_padded_in_mirror_image(make):
    make("short.mp4", seconds=0.5)
    clips = folder(make("second.mp4", seconds=0.5).parent)
    sample = ClipDataset(clips, train=False, seconds=3.0, rate=16000, size=32)[0, 0]
    assert sample.audio.shape == (1, 48000) and sample.target.shape == (1, 0)
    length = 8000 if torch.equal(sample.audio[0, :8000], sample.audio[0, 8000:16000].flip(0)) else 0
    lengths = [n for n in range(8000, 9100) if sample.audio[0, n - 1] == sample.audio[0, n]]
    assert length or any(
        torch.equal(sample.audio[0, :n], sample.audio[0, n : 2 * n].flip(0)) for n in lengths
    )


def test_a_bad_file_raises_by_default(flawed):
    with pytest.raises(ClipError, match=r"text\.mp4: cannot be opened"):
        ClipDataset(flawed, train=True, **SETTINGS)[0, 1]


def test_in_training_the_next_good_clip_stands_in_and_it_is_told(flawed):
    data = ClipDataset(flawed, train=True, on_error="skip", max_skipped=0.5, **SETTINGS)
    for _ in range(2):  # the second time from memory
        sample = data[0, 1]
        assert sample.paths == (flawed.items[3].path,)
        assert sample.seeds == (sample_seed(0, 0, 1),)
        assert [skip.path for skip in sample.skipped] == [i.path for i in flawed.items[1:3]]
        assert sample.skipped[1].reason == "no such file"
    assert not data[0, 3].skipped


def test_in_evaluation_a_bad_clip_is_left_out(flawed):
    data = ClipDataset(flawed, train=False, on_error="skip", max_skipped=0.5, **SETTINGS)
    batch = collate([data[0, index] for index in range(4)])
    assert batch.paths == (flawed.items[0].path, flawed.items[3].path) and len(batch.image) == 2
    assert [skip.path for skip in batch.skipped] == [item.path for item in flawed.items[1:3]]
    nothing = collate([data[0, 1], data[0, 2]])
    assert len(nothing) == 0 and nothing.image.shape == (0, 3, 32, 32)
    assert len(nothing.skipped) == 2


@pytest.mark.parametrize("train", [True, False])
def test_too_many_bad_files_stop_the_run(flawed, train):
    data = ClipDataset(flawed, train=train, on_error="skip", max_skipped=0.2, **SETTINGS)
    data[0, 2]
    message = r"2 of 8 clips cannot be used, more than the share of 0.2 .* last is .*text\.mp4"
    with pytest.raises(TooManySkippedError, match=message):
        data[0, 1]


def test_all_bad_files(tmp_path):
    clips = ClipSet(name="none", items=tuple(Item(id=n, path=n) for n in "ab"))
    data = ClipDataset(clips, train=True, on_error="skip", max_skipped=1.0, **SETTINGS)
    assert len(data[0, 0]) == 0 and len(data[0, 0].skipped) == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing(good, workers):
    loader = DataLoader(
        ClipDataset(good, train=True, **SETTINGS),
        batch_sampler=KeyedBatches(8, batch_size=4, seed=0),
        collate_fn=collate,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
    )
    data = ClipDataset(good, train=True, **SETTINGS)
    for batch, keys in zip(loader, KeyedBatches(8, batch_size=4, seed=0), strict=True):
        assert equal(batch, collate([data[key] for key in keys]))


def test_errors_keep_their_kind_through_workers(flawed):
    loader = DataLoader(
        ClipDataset(flawed, train=True, **SETTINGS),
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
        ClipDataset(flawed, train=True, **SETTINGS)[0, 1]
    return caught.value.reason


def test_batches_move_and_pickle(good):
    batch = ClipDataset(good, train=True, **SETTINGS)[0, 0]
    moved = batch.to("cpu", non_blocking=True)
    assert isinstance(moved, AVBatch) and equal(moved, batch)
    assert equal(pickle.loads(pickle.dumps(batch)), batch)
    assert batch.to("meta").image.device.type == "meta"


@pytest.mark.parametrize("bad", [{"seconds": 0.0}, {"rate": 0}, {"size": 1}, {"max_skipped": 1.5}])
def test_impossible_numbers(good, bad):
    with pytest.raises(ValueError, match="expected clips, seconds > 0"):
        ClipDataset(good, train=True, **{**SETTINGS, **bad})


def test_no_clips():
    with pytest.raises(ValueError, match="got 0 clips"):
        ClipDataset(ClipSet(name="none", items=()), train=True, **SETTINGS)

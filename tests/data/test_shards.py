"""Shards as they are read: the same samples as from the files, in the same order."""

import io
import json
import pickle
import tarfile
from itertools import chain, groupby
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from clip_files import count, encode
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from avblocks.data import ClipDataset, ClipFormat, KeyedBatches, collate, read_clip
from avblocks.data.datasets import ClipSet, Item
from avblocks.data.shards import Shards, ShardSettings, make_shards
from avblocks.data.shards.encode import image_times
from avblocks.data.shards.notes import Notes
from avblocks.data.shards.tar import next_header

PCM = ("libx264", "pcm_s16le")
FORMAT = ClipFormat(seconds=1.0, size=32)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> ClipSet:
    folder = tmp_path_factory.mktemp("clips")
    paths = [
        encode(folder / "exact.mkv", codecs=PCM),
        encode(folder / "stereo.mp4", rate=44100, layout="stereo"),
        encode(folder / "late.mp4", offset=1.5),
        encode(folder / "one picture.mp4", frames=1),
        encode(folder / "short.mkv", frames=8, seconds=0.4, codecs=PCM),
        encode(folder / "fünf.mkv", frames=46, seconds=2.3, codecs=PCM),
        encode(folder / "f nf.mkv", frames=46, seconds=2.3, codecs=PCM),
    ]
    items = tuple(Item(id=p.stem, path=str(p), labels=(i % 2,)) for i, p in enumerate(paths))
    return ClipSet(name="seven", items=items, classes=("even", "odd"), missing=("gone",))


@pytest.fixture(scope="module")
def folder(clips, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("shards")
    make_shards({"train": clips}, out, settings=ShardSettings(clips=3, fps=2.0))
    return out


@pytest.fixture(scope="module")
def shards(folder) -> Shards:
    return Shards(folder, verify=True)


def close(first, second) -> bool:
    """Whether two sounds are the same but for 16 bits, and the run-up of a lossy decoder."""
    return first.shape == second.shape and bool((first - second).abs().max() < 1e-4)


def equal(first, second) -> bool:
    tensors = ("image", "audio", "flip", "gain", "target")
    same = all(torch.equal(getattr(first, n), getattr(second, n)) for n in tensors)
    return same and first.seeds == second.seeds and first.paths == second.paths


def test_the_list_is_that_of_the_files(clips, shards):
    listed = shards.clips("train")
    assert [(i.id, i.labels) for i in listed.items] == [(i.id, i.labels) for i in clips.items]
    assert listed.classes == clips.classes and listed.missing == ("gone",)
    assert listed.report() == "seven in shards: 8 clips listed, 7 on disk, 1 missing (gone)"
    assert shards.splits == ("train",)
    assert listed.items[3].path.endswith("train-000001.tar/00000003_one-picture")


@pytest.mark.parametrize("place", [0.0, 0.31, 0.5, 1.0])
def test_sound_is_exact_where_the_file_has_16_bits(clips, shards, place):
    for index, item in enumerate(shards.clips("train").items):
        options = {"seconds": 1.0, "rate": 16000, "place": place}
        ours, theirs = shards.read(item, **options), read_clip(clips.items[index], **options)
        assert ours.audio.shape == theirs.audio.shape and ours.labels == clips.items[index].labels
        if clips.items[index].path.endswith("mkv"):
            assert torch.equal(ours.audio, theirs.audio)
        elif index != 1:  # cut after resampling and not before: another place by half a sample
            assert close(ours.audio, theirs.audio)


def test_pictures_are_those_of_their_moments(clips, shards):
    for index in (0, 1, 2, 5):
        item = shards.clips("train").items[index]
        for place, frame in ((0, 0), (0.2, 0.7), (0.5, 0.5), (1, 1)):
            clip = shards.read(item, seconds=1.0, place=place, frame=frame)
            assert clip.time is not None and 0 <= clip.time <= 1 and abs(clip.time - frame) <= 0.5
            start = place * ({5: 2.3}.get(index, 3.0) - 1.0)
            off = count(clip.image.numpy()) - int(20 * (start + clip.time) + 1e-3)
            assert off == 0 or (abs(off) == 1 and index in (1, 2))  # where the coder has a delay
    middle = shards.read(shards.clips("train").items[0]).image.float()
    assert (middle - read_clip(clips.items[0]).image).abs().mean() < 3


def test_shorter_clips_give_what_they_have(shards):
    items = shards.clips("train").items
    assert shards.read(items[4], seconds=3.0).audio.shape == (6400,)
    assert count(shards.read(items[3], seconds=1.0, frame=1.0).image.numpy()) == 0


@pytest.mark.parametrize("train", [True, False])
def test_samples_are_those_of_the_files(clips, shards, train):
    ours = ClipDataset(shards.clips("train"), FORMAT, read=shards.read, train=train, seed=3)
    theirs = ClipDataset(clips, FORMAT, train=train, seed=3)
    for key in ((0, 0), (4, 2), (1, 5)):
        first, second = ours[key], theirs[key]
        assert close(first.audio, second.audio) and torch.equal(first.gain, second.gain)
        assert torch.equal(first.flip, second.flip) and torch.equal(first.target, second.target)
        assert first.seeds == second.seeds and first.image.shape == second.image.shape
        if not train:
            assert (first.image.float() - second.image).abs().mean() < 4


@given(
    duration=st.floats(0.01, 20),
    fps=st.floats(0.25, 8),
    place=st.floats(0, 1),
    frame=st.floats(0, 1),
    more=st.floats(1, 3),
)
def test_every_window_has_a_picture(duration, fps, place, frame, more):
    times = image_times(duration, fps=fps)
    assert duration / 2 in times and all(0 <= time <= duration for time in times)
    seconds = more / fps
    start = place * max(duration - seconds, 0)
    notes = Notes("", "", (), (), duration, 16000, times, (1,), (0, 0))
    shown = times[notes.nearest(start=start, seconds=seconds, frame=frame)]
    assert start - 1e-6 <= shown <= start + seconds + 1e-6
    assert abs(shown - start - frame * min(seconds, duration)) <= 1 / fps + 1e-6


def test_other_tools_read_the_tar_files(clips, folder):
    found = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path, "r:") as tar:
            members = tar.getmembers()
            assert all(m.isreg() and m.mtime == m.uid == m.gid == 0 for m in members)
            for key, group in groupby(members, lambda member: member.name.partition(".")[0]):
                parts = {m.name.partition(".")[2]: tar.extractfile(m).read() for m in group}
                found.append((key, parts))
    assert len({key for key, _ in found}) == 7
    for (key, parts), item in zip(found, clips.items, strict=True):
        notes = json.loads(parts.pop("json"))
        assert (notes["id"], notes["path"]) == (item.id, item.path)
        assert notes["classes"] == [clips.classes[label] for label in item.labels]
        assert not set(key) - set("0123456789_-abcdefghijklmnopqrstuvwxyz")
        with av.open(io.BytesIO(parts.pop("flac")), format="flac") as flac:
            sound = np.concatenate([f.to_ndarray()[0] for f in flac.decode(audio=0)])
        assert len(sound) == round(notes["duration"] * 16000)
        assert sorted(parts) == [f"{i:04d}.jpg" for i in range(len(notes["times"]))]
        assert all(jpeg.startswith(b"\xff\xd8") for jpeg in parts.values())


def run(shards: Shards, batches: KeyedBatches, steps: int, *, workers: int) -> list:
    """Some batches, counted as a training loop does, over the ends of epochs."""
    data = ClipDataset(shards.clips("train"), FORMAT, read=shards.read, train=True, seed=1)
    done = []
    while len(done) < steps:
        loader = DataLoader(
            data,
            batch_sampler=batches,
            collate_fn=collate,
            num_workers=workers,
            multiprocessing_context="fork" if workers else None,
        )
        for batch in loader:
            done.append(batch)
            batches.advance()
            if len(done) == steps:
                break
    return done


@pytest.mark.parametrize("workers", [0, 2])
def test_resume_in_the_middle_of_an_epoch_is_exact(shards, workers):
    whole = run(shards, KeyedBatches(7, batch_size=2, seed=1), 5, workers=0)
    first = KeyedBatches(7, batch_size=2, seed=1)
    head = run(shards, first, 2, workers=workers)
    second = KeyedBatches(7, batch_size=2, seed=1)
    second.load_state_dict(first.state_dict())
    tail = run(shards, second, 3, workers=2 - workers)
    assert all(map(equal, whole, head + tail))


def test_ranks_share_without_doubles(shards):
    whole = run(shards, KeyedBatches(7, batch_size=6, seed=1), 1, workers=0)
    parts = [
        run(shards, KeyedBatches(7, batch_size=2, seed=1, rank=r, world_size=3), 1, workers=0)
        for r in range(3)
    ]
    paths = [part[0].paths for part in parts]
    assert len(set(chain(*paths))) == 6 and sorted(chain(*paths)) == sorted(whole[0].paths)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_memory_is_flat(shards):
    items = shards.clips("train").items
    for index in range(300):
        shards.read(items[index % 7], seconds=1.0)
    before = resident()
    for index in range(2000):
        shards.read(items[index % 7], seconds=1.0, place=index / 2000)
    assert resident() - before < 4e6


def test_shards_travel_to_spawned_workers(shards):
    copy = pickle.loads(pickle.dumps(shards))
    item = shards.clips("train").items[0]
    assert torch.equal(copy.read(item.path).audio, shards.read(item).audio)


def test_members_end_with_their_block():
    assert list(map(next_header, (0, 1, 511, 512, 513))) == [0, 512, 512, 512, 1024]


def test_addresses(folder):
    assert Shards(f"file://{folder}").clips("train").items[0].path.startswith(f"{folder}/train-")
    for address in ("s3://bucket/shards", "file://host/shards"):
        with pytest.raises(ValueError, match="read from disks only"):
            Shards(address)


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("x.tar/00000000_a", {}, "no such clip"),
        ("{}/train-000000.tar/00000000_a", {}, "no such clip"),
        ("", {"rate": 8000}, "rate = 16000.*8000"),
        ("", {"seconds": 0.0}, "seconds > 0"),
        ("", {"place": 1.5}, r"place and frame in \[0, 1\]"),
    ],
)
def test_a_users_mistake_is_told(folder, shards, path, options, message):
    with pytest.raises(ValueError, match=message):
        shards.read(path.format(folder) or shards.clips("train").items[0], **options)


def test_what_is_not_there(shards, tmp_path):
    with pytest.raises(ValueError, match=r"no split 'test'; it has train"):
        shards.clips("test")
    with pytest.raises(ValueError, match=r"index\.json: no such file"):
        Shards(tmp_path)

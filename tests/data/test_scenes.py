import json
import os
import wave
from collections import Counter
from dataclasses import replace
from itertools import chain, combinations

import numpy as np
import pytest

from avblocks.data import read_clip
from avblocks.data.datasets import vggsound
from avblocks.data.scenes import SceneSpec, render, scenes
from avblocks.data.scenes.classes import (
    CLASSES,
    DUETS,
    LOOKS,
    PARTS,
    TIMBRES,
    TIMBRES_OF_LOOK,
    silent,
    sounding,
)
from avblocks.data.scenes.dataset import MANIFEST

SPEC = SceneSpec(seconds=1.0, size=48, fps=12.5)


def casts(split, count=480):
    """Labels and silent looks of many scenes, without rendering them."""
    for index in range(count):
        labels = sounding(index, split=split)
        yield labels, silent(labels, count=1 + index % 2, generator=np.random.default_rng(index))


def explanations(timbres, looks):
    """All ways to let each timbre come from its own allowed look, nothing else being allowed."""
    ways = [frozenset()]
    for timbre in timbres:
        allowed = [look for look in looks if timbre in TIMBRES_OF_LOOK[look]]
        ways = [way | {(timbre, look)} for way in ways for look in allowed]
    return ways


def test_twelve_classes_share_timbres_and_looks():
    assert len(set(CLASSES)) == 12 and list(CLASSES) == sorted(CLASSES)
    assert set(Counter(timbre for timbre, _ in PARTS).values()) == {3}
    assert set(Counter(look for _, look in PARTS).values()) == {2}
    assert len(TIMBRES) == 4 and len(LOOKS) == 6 and len(DUETS) == 24


@pytest.mark.parametrize(("split", "cycle"), [("train", 48), ("test", 12)])
def test_classes_are_balanced(split, cycle):
    labels = chain.from_iterable(sounding(index, split=split) for index in range(cycle))
    assert len(set(Counter(labels).values())) == 1


def test_a_quarter_of_training_scenes_are_duets_and_no_test_scene():
    assert sum(len(labels) == 2 for labels, _ in casts("train")) == 120
    assert all(len(labels) == 1 for labels, _ in casts("test"))


@pytest.mark.parametrize("split", ["train", "test"])
def test_ear_and_eye_together_leave_one_explanation(split):
    for labels, mute in casts(split):
        parts = [PARTS[label] for label in labels]
        looks = [look for _, look in parts] + list(mute)
        assert len(set(looks)) == len(looks) and 1 <= len(mute) <= 2
        assert explanations([timbre for timbre, _ in parts], looks) == [frozenset(parts)]


def test_neither_ear_nor_eye_alone_is_enough():
    for labels, mute in casts("test"):
        timbre, look = PARTS[labels[0]]
        assert sum(other == timbre for other, _ in PARTS) == 3
        seen = {look, *mute}
        fitting = [part for part in PARTS if explanations([part[0]], seen) == [frozenset([part])]]
        assert (timbre, look) in fitting and len(fitting) >= 2


def test_same_number_same_scene():
    first, second, other = render(3, spec=SPEC), render(3, spec=SPEC), render(4, spec=SPEC)
    for name in ("frames", "audio", "sources", "masks", "boxes"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.id == second.id == "train000003"
    assert not np.array_equal(first.frames, other.frames)
    assert not np.array_equal(first.frames, render(3, split="test", spec=SPEC).frames)


@pytest.mark.parametrize("index", [0, 3, 7, 10])
def test_a_scene_holds_what_it_says(index):
    scene = render(index, spec=SPEC)
    assert scene.frames.shape == (13, 48, 48, 3) and scene.audio.shape == (16000,)
    np.testing.assert_array_equal(scene.audio, scene.sources.sum(axis=0))
    assert np.abs(scene.audio).max() <= 0.9 + 1e-6
    for one in scene.sources:
        assert np.sqrt(np.mean(one**2)) > 0.01
    for t, k in np.ndindex(scene.masks.shape[:2]):
        rows, columns = np.nonzero(scene.masks[t, k])
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_array_equal(scene.boxes[t, k] * 48, edges)
    assert not any(
        (scene.masks[:, a] & scene.masks[:, b]).any()
        for a, b in combinations(range(scene.masks.shape[1]), 2)
    )


def test_masks_cover_the_colour_they_name():
    scene = render(CLASSES.index("reed red circle"), split="test", spec=SPEC)
    red = scene.frames[scene.masks[:, 0]].mean(axis=0)
    assert red[0] > 2 * max(red[1], red[2])


def test_every_second_sounds():
    for index in range(12):
        audio = render(index, split="test", spec=SceneSpec(size=32)).audio.reshape(4, -1)
        assert (np.sqrt((audio**2).mean(axis=1)) > 0.01).all(), CLASSES[index]


def test_what_sounds_moves_in_time():
    """Size or speed of sounding objects follows the loudness of their own sound."""
    matches = []
    for index in range(24):
        scene = render(index, split="test", spec=SceneSpec(size=64))
        loud = np.stack([part.max() for part in np.array_split(np.abs(scene.audio), 64)])
        area = scene.masks[:, 0].sum(axis=(1, 2)).astype(float)
        middle = (scene.boxes[:, 0, :2] + scene.boxes[:, 0, 2:]) / 2
        speed = np.linalg.norm(np.diff(middle, axis=0), axis=1)
        matches.append(max(np.corrcoef(loud, area)[0, 1], np.corrcoef(loud[1:], speed)[0, 1]))
    assert np.median(matches) > 0.4


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    train = scenes(root, split="train", num_clips=8, spec=SPEC)
    test = scenes(root, split="test", num_clips=4, spec=SPEC)
    return root, train, test


def test_layout_is_vggsounds(made):
    root, train, _ = made
    assert len(train) == 8 and train.classes == CLASSES
    lines = (root / "vggsound.csv").read_text().splitlines()
    assert lines[0] == "train000000,0,bell blue triangle,train" and len(lines) == 10 + 4
    assert train.items[0].path.endswith("clips/bell_blue_triangle/train000000_000000_000001.mp4")
    assert [item.labels for item in train.items] == [sounding(i, split="train") for i in range(8)]
    read = vggsound(root, split="train")
    assert [item.path for item in read.items] == [item.path for item in train.items]


def test_files_hold_the_scene(made):
    root, train, _ = made
    scene = render(3, spec=SPEC)
    clip = read_clip(train.items[3].path, seconds=1.0)
    picture = clip.image.numpy().transpose(1, 2, 0).astype(int)
    assert np.abs(picture - scene.frames[6].astype(int)).mean() < 8
    assert np.abs(clip.audio.numpy() - scene.audio).mean() < 0.03
    notes = json.loads((root / "annotations" / "train000003.json").read_text())
    assert notes["class"] == [CLASSES[label] for label in scene.labels]
    np.testing.assert_allclose(notes["boxes"], scene.boxes, atol=1e-4)
    np.testing.assert_allclose(notes["silent_boxes"], scene.silent_boxes, atol=1e-4)
    assert notes["silent"] == list(scene.silent)
    with np.load(root / "masks" / "train000003.npz") as file:
        masks = np.unpackbits(file["bits"], axis=-1, count=file["shape"][-1])
    np.testing.assert_array_equal(masks.astype(bool), scene.masks)
    for k, source in enumerate(scene.sources):
        with wave.open(str(root / "sources" / f"train000003_{k}.wav")) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
        np.testing.assert_allclose(samples, source, atol=1e-4)


def contents(root):
    return {p.relative_to(root): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_it_goes_on_after_a_kill(made):
    root, train, test = made
    before = contents(root)
    (root / "masks" / "train000000.npz").unlink()
    (root / "sources" / "train000003_1.wav").unlink()
    (root / "annotations" / "train000005.json").write_text('{"half')
    (root / "vggsound.csv").unlink()
    for item in (train.items[1], test.items[0]):
        os.truncate(item.path, 100)
    assert scenes(root, split="train", num_clips=8, spec=SPEC) == train
    assert scenes(root, split="test", num_clips=4, spec=SPEC) == test
    assert contents(root) == before


def test_nothing_is_made_twice(made, monkeypatch):
    root, train, _ = made
    monkeypatch.setattr("avblocks.data.scenes.source.render", None)
    assert scenes(root, split="train", num_clips=8, spec=SPEC) == train
    assert scenes(root, split="train", num_clips=3, spec=SPEC).items == train.items[:3]


def test_other_settings_never_mix(made):
    root, _, _ = made
    with pytest.raises(ValueError, match=r"holds scenes of other settings.*name another folder"):
        scenes(root, split="train", num_clips=8, spec=SceneSpec(seed=1, seconds=1.0, size=48))


@pytest.mark.parametrize("bad", [{"size": 33}, {"size": 16}, {"seconds": 0.1}, {"fps": 0.5}])
def test_impossible_settings(bad):
    with pytest.raises(ValueError, match="a scene needs"):
        SceneSpec(**bad)


def test_impossible_counts(tmp_path):
    with pytest.raises(ValueError, match="num_clips and workers must be at least 1"):
        scenes(tmp_path, split="train", num_clips=0)


def test_a_users_folder_is_left_alone(tmp_path):
    (tmp_path / "vggsound.csv").write_text("mine")
    with pytest.raises(ValueError, match="folder of their own"):
        scenes(tmp_path, split="train", num_clips=1)
    assert (tmp_path / "vggsound.csv").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["vggsound.csv"]


def test_the_number_of_silent_objects_is_a_setting():
    for index in range(6):
        quiet = SceneSpec(seconds=0.5, size=32, min_silent=0, max_silent=0)
        assert render(index, spec=quiet).silent == ()
    with pytest.raises(ValueError, match="min_silent <= max_silent"):
        SceneSpec(min_silent=3)


def test_scenes_from_before_a_setting_are_those_of_its_default(tmp_path):
    first = scenes(tmp_path, split="train", num_clips=1, spec=SPEC)
    manifest = tmp_path / MANIFEST
    content = json.loads(manifest.read_text())
    for name in ("min_silent", "max_silent"):
        del content["settings"][name]
    manifest.write_text(json.dumps(content))
    assert scenes(tmp_path, split="train", num_clips=1, spec=SPEC) == first
    with pytest.raises(ValueError, match="other settings"):
        scenes(tmp_path, split="train", num_clips=1, spec=replace(SPEC, max_silent=1))

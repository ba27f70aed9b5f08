"""Scenes composed of three tiny ingredients."""

import json
import os
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from ingredient_files import COLORS, PITCHES, RATE, write_backgrounds, write_ingredient

from avblocks.data import mismatched_pairs, read_clip
from avblocks.data.datasets import avsbench_avss, music, vggsound, vggss
from avblocks.data.scenes import (
    ComposedScenes,
    ComposeSpec,
    background_files,
    compose_scenes,
    composed,
    composed_mismatched,
    find_ingredients,
    load_stock,
    scenes_as_avsbench,
)

SPEC = ComposeSpec(seconds=1.0, size=64, fps=8.0, silent=0.5)
NAMES = tuple(COLORS)


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    root = tmp_path_factory.mktemp("ingredients")
    for kind in COLORS:
        write_ingredient(root / "things", f"{kind}/a")
    return load_stock(
        find_ingredients(root / "things"),
        background_files([write_backgrounds(root / "places")]),
        rate=RATE,
        min_seconds=1.0,
        side=96,
    )


def rendered(stock, count=24, split="train", **changes):
    source = ComposedScenes(stock, replace(SPEC, **changes))
    return [source.render(index, split=split) for index in range(count)]


def test_same_number_same_scene(stock):
    source = ComposedScenes(stock, SPEC)
    first, again = (source.render(5, split="train") for _ in range(2))
    for name in ("frames", "audio", "sources", "masks", "boxes"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    other = source.render(5, split="test")
    assert not np.array_equal(first.frames, other.frames)


def test_classes_are_balanced(stock):
    source = ComposedScenes(stock, SPEC)
    labels = [source.sounding(index, split="train") for index in range(48)]
    duets = [some for some in labels if len(some) == 2]
    solos = [some[0] for some in labels if len(some) == 1]
    assert len(duets) == 12 and {solos.count(n) for n in range(3)} == {12}
    assert {frozenset(some) for some in duets} == {frozenset(p) for p in combinations(range(3), 2)}
    assert all(len(source.sounding(n, split="test")) == 1 for n in range(48))


def test_the_masks_are_where_the_colors_are(stock):
    """The largest channel of a thing's color is the largest one under its mask, and only there."""
    for scene in rendered(stock, silent=0.0):
        for t, k in np.ndindex(scene.masks.shape[:2]):
            color = COLORS[NAMES[scene.labels[k]]]
            marked, frame = scene.masks[t, k], scene.frames[t].astype(int)
            strong = frame[..., int(np.argmax(color))] - np.sort(frame, axis=-1)[..., 1] > 20
            assert marked.sum() > 50
            assert (strong & marked).sum() > 0.9 * marked.sum()
            rows, columns = np.nonzero(marked)
            edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            np.testing.assert_array_equal(scene.boxes[t, k] * 64, edges)


def test_the_audio_is_the_sources_and_the_noise(stock):
    for scene in rendered(stock, offscreen=0.0, min_snr=10.0, max_snr=20.0):
        assert np.abs(scene.audio).max() <= 0.95 + 1e-6 and scene.offscreen == ()
        clean = scene.sources.sum(axis=0)
        snr = 10 * np.log10((clean**2).mean() / ((scene.audio - clean) ** 2).mean())
        assert 10 - 0.1 < snr < 20 + 0.1


def test_each_source_is_the_recording_of_its_class(stock):
    for scene in rendered(stock):
        for label, source in zip(scene.labels, scene.sources, strict=True):
            heard = np.abs(np.fft.rfft(source)).argmax()
            assert abs(12 * np.log2(heard / PITCHES[NAMES[label]])) < 2.2


def test_silent_things_are_shown_and_not_heard_and_off_screen_ones_heard(stock):
    scenes = rendered(stock, count=60, offscreen=0.5, min_snr=60.0, max_snr=60.0, duets=0.0)
    assert 15 < sum(len(scene.silent) for scene in scenes) < 45
    assert 15 < sum(len(scene.offscreen) for scene in scenes) < 45
    for scene in scenes:
        sounding = [NAMES[label] for label in scene.labels]
        everything = [*sounding, *scene.silent, *scene.offscreen]
        assert len(set(everything)) == len(everything)
        spectrum = np.abs(np.fft.rfft(scene.audio))
        for name in NAMES:
            low, high = (round(PITCHES[name] * 2 ** (n / 12)) for n in (-2.5, 2.5))
            audible = spectrum[low:high].max() > 0.1 * spectrum.max()
            assert audible == (name in (*sounding, *scene.offscreen))
        assert scene.silent_boxes.shape[1] == len(scene.silent)
        assert (scene.silent_boxes[..., 2] > scene.silent_boxes[..., 0]).all()


def test_backgrounds_and_their_brightness_are_apart(stock):
    """The four backgrounds differ in brightness, so a corner tells which one it is."""
    places = {part: set() for part in ("train", "test")}
    for part, seen in places.items():
        for scene in rendered(stock, split=part, silent=0.0, duets=0.0):
            gray = np.median(scene.frames.reshape(-1, 3).mean(axis=1))
            seen.add(int((gray - 30) // 40))
    assert len(places["train"]) == 3 and len(places["test"]) == 1
    assert not places["train"] & places["test"]


@pytest.fixture(scope="module")
def made(stock, tmp_path_factory):
    root, source = tmp_path_factory.mktemp("composed"), ComposedScenes(stock, SPEC)
    return root, source, compose_scenes(root, source, train=12, test=6)


def test_all_layouts_are_read(made):
    root, source, (train, test) = made
    assert train.classes == NAMES and len(train) == 12 and len(test) == 6
    assert composed(root, split="train").items == train.items
    assert [i.labels for i in train.items] == [source.sounding(n, split="train") for n in range(12)]
    assert [i.path for i in vggsound(root, split="test").items] == [i.path for i in test.items]
    boxed = vggss(root)
    assert len(boxed) == 6 and all(len(item.boxes or ()) == 1 for item in boxed.items)
    scene = source.render(0, split="test")
    np.testing.assert_allclose(boxed.items[0].boxes[0], scene.boxes[4, 0], atol=1e-4)
    masked = avsbench_avss(root / "avsbench", split="train")
    assert masked.classes == ("background", *NAMES) and len(masked) == 12
    clip = read_clip(masked.items[0], seconds=1.0)
    first = source.render(0, split="train")
    np.testing.assert_array_equal(clip.mask.numpy(), first.masks[4, 0] * (first.labels[0] + 1))
    assert len(music(root, part="solo")) == 9 + 6 and len(music(root, part="duet")) == 3


def test_files_hold_the_scene(made):
    root, source, (train, _) = made
    scene = source.render(3, split="train")
    clip = read_clip(train.items[3].path, seconds=1.0)
    image = clip.image.numpy().transpose(1, 2, 0).astype(int)
    assert np.abs(image - scene.frames[4].astype(int)).mean() < 8
    assert np.abs(clip.audio.numpy() - scene.audio).mean() < 0.03
    notes = json.loads((root / "annotations" / "train000003.json").read_text())
    assert notes["class"] == [NAMES[label] for label in scene.labels]
    assert notes["silent"] == list(scene.silent) and notes["offscreen"] == list(scene.offscreen)
    assert (root / "refused.csv").read_text() == "name,reason\n"


def contents(root):
    return {p.relative_to(root): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_it_goes_on_after_a_kill(made):
    root, source, (train, test) = made
    before = contents(root)
    (root / "masks" / "train000000.npz").unlink()
    (root / "avsbench" / "v2" / "train000002" / "audio.wav").unlink()
    (root / "vggss.json").unlink()
    os.truncate(test.items[0].path, 100)
    assert compose_scenes(root, source, train=12, test=6) == (train, test)
    assert contents(root) == before


def test_other_ingredients_or_settings_never_mix(made, stock):
    root, source, _ = made
    others = ComposedScenes(stock, replace(SPEC, semitones=1.0))
    with pytest.raises(ValueError, match="holds scenes of other settings"):
        compose_scenes(root, others, train=1, test=1)
    with pytest.raises(ValueError, match="holds scenes of other settings"):
        compose_scenes(root, replace(source, stock=replace(stock, digest="x")), train=1, test=1)
    with pytest.raises(ValueError, match="holds composed scenes; give the source"):
        scenes_as_avsbench(root, part="avss")
    with pytest.raises(ValueError, match=r"holds scenes of other settings.*give their source"):
        scenes_as_avsbench(root, part="avss", source=others)


def test_mismatched_audio_is_of_nothing_visible(made):
    root, _, (_, test) = made
    pairs = mismatched_pairs(test, composed_mismatched(root, test))
    for first, second in pairs.places:
        notes = [
            json.loads((root / "annotations" / f"{test.items[n].id[:11]}.json").read_text())
            for n in (first, second)
        ]
        seen = {*notes[0]["class"], *notes[0]["silent"]}
        assert not seen & {*notes[1]["class"], *notes[1]["offscreen"]}


def test_drawn_scenes_are_no_composed_ones(scene_root):
    with pytest.raises(ValueError, match="lists no composed scenes for train"):
        composed(scene_root, split="train")


@pytest.mark.parametrize(
    "bad",
    [{"duets": 1.5}, {"silent": -0.1}, {"max_silent": 3}, {"min_extent": 0.7}, {"min_snr": 99.0}],
)
def test_impossible_settings(bad):
    with pytest.raises(ValueError, match=r"composed scene|shares in \[0, 1\]"):
        ComposeSpec(**bad)

"""MUSIC's solos as training and test clips of a recipe."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from recipes.common.data import Data
from recipes.common.mixtures import mixtures
from recipes.common.read_set import read_set
from recipes.engine.run import Run
from recipes.paper_separate import PRESETS, Config


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five solos each of two instruments, one video that both list, and two duets."""
    solos = {name: [f"{name[:4]}{n:07d}" for n in range(5)] for name in ("flute", "violin")}
    both = {name: [*ids, "both0000000"] for name, ids in solos.items()}
    duets = {"flute violin": ["duet0000000", "duet0000001"]}
    for part, videos in (("MUSIC_solo", both), ("MUSIC_duet", duets), ("MUSIC21_solo", solos)):
        (tmp_path / f"{part}_videos.json").write_text(json.dumps({"videos": videos}))
        for name in {name for ids in videos.values() for name in ids}:
            (tmp_path / f"{name}.mp4").touch()
    return tmp_path


def ids(name: str, root: Path, *, train: bool) -> set[str]:
    clips = read_set(name, root, train=train, counts=(0, 0))  # type: ignore[arg-type]
    assert clips is not None and clips.classes == ("flute", "violin")
    return {item.id for item in clips.items}


def test_a_fifth_of_the_solos_is_held_out(root: Path) -> None:
    train, test = (ids("music", root, train=train) for train in (True, False))
    assert len(train) == 9 and len(test) == 2 and not train & test
    assert {name[:4] for name in test} == {"flut", "viol"} and "both0000000" in train
    with_duets = ids("music_solo_duet", root, train=True)
    assert with_duets - train == {"duet0000000", "duet0000001"} and train < with_duets
    assert ids("music_solo_duet", root, train=False) == test
    assert len(ids("music21", root, train=True)) == 8


def test_no_held_out_solo_is_trained_on_as_a_duet(root: Path) -> None:
    test = ids("music_solo_duet", root, train=False)
    path = root / "MUSIC_duet_videos.json"
    videos = json.loads(path.read_text())["videos"]
    videos["flute violin"] += [*sorted(test), "both0000000"]
    path.write_text(json.dumps({"videos": videos}))
    clips = read_set("music_solo_duet", root, train=True, counts=(0, 0))
    assert clips is not None and not {item.id for item in clips.items} & test
    assert len({item.path for item in clips.items}) == len(clips) == 11
    assert ids("music_solo_duet", root, train=False) == test == ids("music", root, train=False)


def test_mixtures_of_the_sound_of_pixels_are_of_any_clips(root: Path) -> None:
    data = Data(name="music", root=root)
    train, test = (read_set("music", root, train=train, counts=(0, 0)) for train in (True, False))
    assert train is not None and test is not None
    groups, fixed = mixtures(data, train, test, sources=2, seed=0, seeded=True)
    labels = [[train.items[n].labels for n in groups(epoch, 0)] for epoch in range(30)]
    assert any(first == second for first, second in labels)
    assert len(fixed) == len(test) and [group[0] for group in fixed.places] == [0, 1]


def test_the_preset_has_the_published_sizes(tmp_path: Path) -> None:
    config = PRESETS["music"][1]
    assert config.data.audio_size == (256, 256) and config.data.format.samples == 65536
    config = replace(config, run=Run(dir=tmp_path))
    config.check(compiles=False)
    with pytest.raises(ValueError, match="leave --masks out"):
        Config(**(vars(config) | {"masks": "binary"})).check(compiles=False)

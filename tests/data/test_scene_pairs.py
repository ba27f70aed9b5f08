"""Pairs of scenes, against all stories that would explain a picture in a mixture."""

from pathlib import Path

import pytest

from avblocks.data import RandomGroups
from avblocks.data.scenes import SceneSpec, render, scene_casts, scene_pairs, scenes
from avblocks.data.scenes.classes import CLASSES, LOOKS, PARTS, TIMBRES_OF_LOOK

SPEC = SceneSpec(seconds=0.5, size=32, fps=2.0)
COUNT = 30


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scene_pairs")
    scenes(folder, split="test", num_clips=COUNT, spec=SPEC)
    scenes(folder, split="train", num_clips=8, spec=SPEC)
    return folder


def cast(index: int) -> tuple[int, list[int]]:
    """Timbre and looks of a test scene, rendered anew."""
    scene = render(index, split="test", spec=SPEC)
    timbre, look = PARTS[scene.labels[0]]
    return timbre, [look, *(LOOKS.index(name) for name in scene.silent)]


def stories(looks: list[int], heard: set[int]) -> set[int]:
    """Timbres that may be the picture's: one look plays one, and no silent one may."""
    return {
        timbre
        for timbre in heard
        for number, look in enumerate(looks)
        if timbre in TIMBRES_OF_LOOK[look]
        and not any(timbre in TIMBRES_OF_LOOK[x] for x in looks[:number] + looks[number + 1 :])
    }


def test_two_fit_where_both_pictures_leave_one_story(root: Path) -> None:
    casts = scene_casts(root, scenes(root, split="test", num_clips=COUNT, spec=SPEC))
    truth = [cast(index) for index in range(COUNT)]
    fitting = 0
    for first in range(COUNT):
        for second in range(COUNT):
            heard = {truth[first][0], truth[second][0]}
            told = (
                all(stories(truth[n][1], heard) == {truth[n][0]} for n in (first, second))
                and len(heard) == 2
            )
            assert casts(first, second) == told
            fitting += told
    assert 0.1 < fitting / COUNT**2 < 0.4


def test_the_list(root: Path) -> None:
    clips = scenes(root, split="test", num_clips=COUNT, spec=SPEC)
    found, casts = scene_pairs(root, clips), scene_casts(root, clips)
    place = {item.id: number for number, item in enumerate(clips.items)}
    assert found == scene_pairs(root, clips) and found.classes == CLASSES
    assert len(found) + len(found.missing) == COUNT and len(found) > 20
    assert len({pair.first.id for pair in found.pairs}) == len(found)
    for pair in found.pairs:
        first, second = place[pair.first.id], place[pair.second.id]
        assert (
            casts(first, second)
            and CLASSES[pair.first.labels[0]].split()[0]
            != (CLASSES[pair.second.labels[0]].split()[0])
        )
        named = [(cast(n)[0], cast(m)[1]) for n, m in ((first, second), (second, first))]
        shown = [sum(t in TIMBRES_OF_LOOK[look] for look in looks) for t, looks in named]
        assert shown == [0, 0] if pair.difficulty == "Easy" else max(shown) >= 2
    assert {pair.difficulty for pair in found.pairs} == {"Easy", "Hard"}
    for lost in found.missing:
        assert not any(casts(place[lost], other) for other in range(COUNT) if other != place[lost])


def test_they_lead_the_random_groups(root: Path) -> None:
    clips = scenes(root, split="train", num_clips=8, spec=SPEC)
    casts = scene_casts(root, clips)
    assert [len(timbres) for timbres in casts.heard] == [1, 1, 1, 2, 1, 1, 1, 2]
    groups = RandomGroups(8, fits=casts)
    for index in range(8):
        assert casts(*groups(0, index))


def test_without_annotations_it_is_refused(tmp_path: Path, root: Path) -> None:
    clips = scenes(root, split="test", num_clips=2, spec=SPEC)
    with pytest.raises(ValueError, match="annotations"):
        scene_casts(tmp_path, clips)

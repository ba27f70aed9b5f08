"""Audio of objects off screen and of silent objects, by the annotation files themselves."""

import json
from pathlib import Path

import pytest

from avblocks.data.datasets import ClipSet, Item, vggss
from avblocks.data.scenes import (
    SceneSpec,
    scene_off_screen,
    scene_second_sources,
    scenes,
    scenes_as_vggss,
)

SOUNDS = {
    "blue triangle": {"bell", "pluck"},
    "cyan cross": {"bell", "reed"},
    "green square": {"bell", "shaker"},
    "red circle": {"pluck", "reed"},
    "violet ring": {"pluck", "shaker"},
    "yellow star": {"reed", "shaker"},
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    root = tmp_path_factory.mktemp("scenes")
    spec = SceneSpec(size=32, seconds=0.5, min_silent=0, max_silent=1)
    scenes(root, split="test", num_clips=24, spec=spec)
    return vggss(scenes_as_vggss(root))


def notes(item: Item) -> dict[str, list[str]]:
    folder = Path(item.path).parents[2] / "annotations"
    return json.loads((folder / f"{item.id[:11]}.json").read_text())


def test_audio_off_screen_fits_no_visible_object(clips: ClipSet) -> None:
    pairs = dict(scene_off_screen(clips).places)
    for index, item in enumerate(clips.items):
        looks = [notes(item)["class"][0].partition(" ")[2], *notes(item)["silent"]]
        visible = set().union(*(SOUNDS[look] for look in looks))
        assert (index in pairs) == (len(visible) < 4)
        if index in pairs:
            heard = notes(clips.items[pairs[index]])["class"][0].partition(" ")[0]
            assert heard not in visible


def test_the_second_audio_fits_the_silent_object_alone(clips: ClipSet) -> None:
    both, groups = scene_second_sources(clips)
    assert both.items[:24] == clips.items and len(both) == 24 + len(groups) > 26
    for first, second, third in groups.places:
        item, other = both.items[first], both.items[second]
        about = notes(item)
        heard = notes(both.items[third])["class"][0].partition(" ")[0]
        assert heard in SOUNDS[about["silent"][0]]
        assert heard not in SOUNDS[about["class"][0].partition(" ")[2]]
        middle = about["silent_boxes"][len(about["silent_boxes"]) // 2]
        assert other.path == item.path and other.boxes == (tuple(middle[0]),)

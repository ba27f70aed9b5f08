"""An unknown split or part of a data set is an error: no other split, and none without clips."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from avblocks.data import ClipDataset
from avblocks.data.datasets import (
    ClipSet,
    Item,
    audioset,
    avsbench_avss,
    avsbench_ms3,
    avsbench_s4,
    music,
    vggsound,
    vggsound_music,
    vggsounder,
)
from avblocks.data.scenes import composed, find_ingredients, scenes, scenes_as_avsbench
from avblocks.data.shards import make_shards

CLIPS = ClipSet("some", (Item("a", "a.mp4"),))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("read", "name", "value"),
    [
        (vggsound, "split", "val"),
        (vggsound_music, "split", "val"),
        (audioset, "split", "train"),
        (avsbench_s4, "split", "valid"),
        (avsbench_ms3, "split", "valid"),
        (avsbench_avss, "split", "valid"),
        (scenes, "split", "val"),
        (composed, "split", "val"),
        (music, "part", "trio"),
        (scenes_as_avsbench, "part", "ms4"),
        (vggsounder, "modality", "heard"),
        (find_ingredients, "by", "file"),
        (partial(make_shards, {"train": CLIPS}), "on_error", "ignore"),
    ],
)
def test_unknown_choices(
    read: Callable[..., Any], name: str, value: str, vggsound_table: Path
) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be one of \(.*\), got '{value}'"):
        read(vggsound_table, **{name: value})
    assert [path.name for path in vggsound_table.iterdir()] == ["vggsound.csv"]


@pytest.mark.usefixtures("unchecked")
def test_what_to_do_with_files_that_cannot_be_used() -> None:
    with pytest.raises(ValueError, match=r"on_error must be one of .*, got 'ignore'"):
        ClipDataset(CLIPS, train=False, on_error="ignore")  # type: ignore


@pytest.fixture
def vggsound_table(tmp_path: Path) -> Path:
    """A folder with the csv of VGGSound, which several data sets read."""
    (tmp_path / "vggsound.csv").write_text("abcdefghijk,30,dog barking,train\n")
    return tmp_path

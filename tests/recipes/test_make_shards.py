"""From a data set to shards to a run, as a user does it."""

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
import torch
from tiny_model import TINY

from avblocks.data import read_clip
from avblocks.data.scenes import SceneSpec, scenes, scenes_as_vggss
from recipes import make_shards, paper_localize, paper_pretrain
from recipes.common import data as _data
from recipes.common.cli import run_cli
from recipes.common.data import Data, DataName, open_shards
from recipes.engine.log import read_rows
from recipes.engine.run import Run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight training and four test scenes, in VGGSound's layout."""
    folder = tmp_path_factory.mktemp("scenes")
    for split, count in (("train", 8), ("test", 4)):
        scenes(folder, split=split, num_clips=count, spec=SceneSpec(size=32, seconds=1.0))
    return folder


def command(*words: object) -> None:
    run_cli(
        make_shards.main,
        presets=make_shards.PRESETS,
        doc=make_shards.__doc__,
        args=[str(word) for word in words],
    )


@pytest.fixture(scope="module")
def shards(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards")
    more = ("--data.workers", 2, "--shards.clips", 3, "--shards.fps", 2, "--verify")
    command("vggsound", "--data.root", root, "--out", out, *more)
    return out


def test_all_clips_of_both_splits_are_there(
    root: Path, shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(list(shards.glob("*.tar"))) == 3 + 2
    data = Data(name="vggsound", root=root)
    for list_clips in (_data.train_set, _data.test_set):
        theirs, ours = list_clips(data), list_clips(replace(data, shards=str(shards), root=None))
        assert theirs is not None and ours is not None
        assert [(i.id, i.labels) for i in ours.items] == [(i.id, i.labels) for i in theirs.items]
        assert ours.classes == theirs.classes
    assert "vggsound train in shards: 8 clips listed, 8 on disk" in capsys.readouterr().out


def test_only_the_clips_of_a_list_are_packed(root: Path, tmp_path: Path) -> None:
    ids = [item.id for item in _data.train_set(Data(name="vggsound", root=root)).items]
    (tmp_path / "clean.csv").write_text("\n".join(ids[:3]) + "\n")
    few = ("--data.list", tmp_path / "clean.csv", "--data.workers", 1)
    command("vggsound", "--data.root", root, "--out", tmp_path / "out", *few)
    data = Data(name="vggsound", shards=str(tmp_path / "out"))
    assert [item.id for item in _data.train_set(data).items] == ids[:3]


def test_lists_hold_for_shards_too(shards: Path, tmp_path: Path) -> None:
    data = Data(name="scenes", shards=str(shards))
    ids = [item.id for item in _data.train_set(data).items]
    (tmp_path / "few.txt").write_text(f"{ids[2]}\n")
    some = _data.train_set(replace(data, list=tmp_path / "few.txt"))
    assert [item.id for item in some.items] == ids[2:3]
    with pytest.raises(ValueError, match="shards have no split to validate on"):
        _data.test_set(replace(data, split="val"))


def test_scenes_preset_trains_from_shards_and_resumes_exactly(shards: Path, tmp_path: Path) -> None:
    preset = paper_pretrain.PRESETS["scenes"][1]

    def train(name: str, *, workers: int, **run: object) -> Path:
        data = replace(
            preset.data, shards=str(shards), seconds=0.5, size=16, mels=32, workers=workers
        )
        config = replace(
            preset, data=data, model=TINY, predict=1.0, batch=2, run=Run(dir=tmp_path / name, **run)
        )
        paper_pretrain.main(config)
        return tmp_path / name

    whole = train("whole", workers=0, max_steps=2)
    train("parts", workers=2, max_steps=1)
    parts = train("parts", workers=2, max_steps=2, resume=True)
    losses = [
        [row["loss"] for row in read_rows(folder / "metrics.csv") if "loss" in row]
        for folder in (whole, parts)
    ]
    assert len(losses[0]) == 2 and losses[0] == losses[1]
    first, second = (
        torch.load(folder / "checkpoints/step-00000002.ckpt", weights_only=True)["state_dict"]
        for folder in (whole, parts)
    )
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_what_comes_next_is_a_preset() -> None:
    for name in get_args(DataName):
        assert name in make_shards.PRESETS
        recipe, preset = make_shards._NEXT.get(name, f"paper_pretrain {name}").split()
        assert preset in import_module(f"recipes.{recipe}").PRESETS


def test_localization_reads_boxes_and_middle_images_from_shards(root: Path, tmp_path: Path) -> None:
    scenes_as_vggss(root)
    command("vggss", "--data.root", root, "--out", tmp_path / "shards", "--data.workers", 1)
    preset = paper_localize.PRESETS["scenes"][1]
    sizes = {"seconds": 0.5, "size": 16, "mels": 32, "workers": 0, "augment": False}
    files = replace(preset.data, name="vggss", root=root, **sizes)
    packed = replace(files, root=None, shards=str(tmp_path / "shards"))
    for theirs, ours in zip(*(_data.test_set(data).items for data in (files, packed)), strict=True):  # type: ignore[union-attr]
        assert theirs.boxes and ours.boxes == theirs.boxes
        a, b = read_clip(theirs), open_shards(str(tmp_path / "shards")).read(ours)
        assert a.boxes is not None and b.boxes is not None and torch.equal(a.boxes, b.boxes)
        assert (a.image.float() - b.image.float()).abs().mean() < 6  # JPEG
    losses, scores = [], []
    for name, data in (("files", files), ("packed", packed)):
        folder = tmp_path / name
        config = replace(preset, data=data, model=TINY, checkpoint=None, batch=4, epochs=2)
        paper_localize.main(replace(config, warmup=1, dim_out=16, run=Run(dir=folder)))
        losses.append([row["loss"] for row in read_rows(folder / "metrics.csv") if "loss" in row])
        scores.append(json.loads((folder / "scores.json").read_text())["scores"])
    # JPEG changes images of 32 pixels, and the tokens are normalized over four clips.
    assert losses[0] == pytest.approx(losses[1], rel=0.15)
    for name in ("center_box", "whole_image"):
        assert scores[0][name] == scores[1][name]
    close = pytest.approx(scores[1]["matched"]["ciou_adaptive_auc"], abs=5)
    assert scores[0]["matched"]["ciou_adaptive_auc"] == close


def test_shards_without_boxes_are_refused(shards: Path) -> None:
    data = Data(name="vggss", shards=str(shards))
    with pytest.raises(ValueError, match="a test clip has no boxes; if these are shards, make"):
        _data.train_test_sets(data, needs="boxes")


def test_a_folder_of_anything_goes_on_after_bad_files(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for number, clip in enumerate(sorted(root.rglob("*.mp4"))[:3]):
        (videos / f"{number}.mp4").symlink_to(clip)
    (videos / "broken.mp4").write_text("not a video")
    words = ("folder", "--data.root", videos, "--out", tmp_path / "out", "--data.workers", 0)
    with pytest.raises(SystemExit) as left:
        command(*words)
    said = capsys.readouterr()
    assert left.value.code == 2 and "broken.mp4: cannot be opened" in said.err.splitlines()[-1]
    command(*words, "--data.on-error", "skip", "--data.max-skipped", 0.25)
    said = capsys.readouterr().out
    assert "4 clips listed, 3 on disk, 1 missing (broken.mp4)" in said
    assert said.splitlines()[-1] == (
        f"next: python -m recipes.paper_pretrain folder --data.shards {tmp_path / 'out'}"
    )
    assert "broken.mp4" in (tmp_path / "out/skipped.csv").read_text()
    assert _data.test_set(Data(name="folder", shards=str(tmp_path / "out"))) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("folder", "--data.root", "nowhere"), "--out DIR"),
        (("folder", "--out", "x"), "needs --data.root"),
        (("scenes", "--out", "x", "--shards.fps", "0"), "fps > 0"),
    ],
)
def test_a_users_mistake_is_told(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        command(*words)
    assert left.value.code == 2 and message in capsys.readouterr().err

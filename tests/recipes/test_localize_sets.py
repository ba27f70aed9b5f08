"""Localization on IS3 and on test sets with images without a source, small."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from still_files import write_number, write_sound
from tiny_model import TINY
from toy_runs import SMALL

from avblocks.data.datasets import is3
from recipes import paper_localize
from recipes.common.data import Data, train_test_sets
from recipes.common.loaders import mismatched, two_source_loader
from recipes.common.loaders import test_loader as loader_of
from recipes.engine.run import Run

NAMES = ("fox_cat_97_fox", "ant_cow_2_ant", "fox_cat_97_cat", "ant_cow_2_cow", "owl_bus_1_owl")


def is3_root(root: Path) -> Path:
    """Two images with both of their pairs, one with one, and pairs to train on."""
    entries = [
        {"image": f"x/visual_frames/{name}.jpg", "audio": f"x/audio_wav/{name}.wav"}
        | {"gt_box": [28.0 * place, 0.0, 28.0 * place + 56, 112.0]}
        for place, name in enumerate(NAMES)
    ]
    for place, name in enumerate(NAMES):
        write_sound(root / f"test/audio_wav/{name}.wav", seconds=0.5, rate=16000 + 1000 * place)
        write_number(root / f"test/visual_frames/{name}.jpg", place, width=64, height=64)
        write_sound(root / f"train/audio/{name}.wav", seconds=0.5)
        write_number(root / f"train/frames/{name}.jpg", place, width=64, height=64)
    (root / "test/synthetic3240_bbox.json").write_text(json.dumps(entries))
    return root


def run(name: str, root: Path, folder: Path) -> dict[str, dict[str, float]]:
    config = paper_localize.PRESETS[name][1]
    data = replace(config.data, root=root, **SMALL)
    sizes = {"model": TINY, "batch": 4, "epochs": 1, "warmup": 0, "checkpoint": None}
    changes = {"dim_out": 16, "base_lr": 2e-3, **sizes, "frozen": True}
    paper_localize.main(replace(config, data=data, run=Run(dir=folder), **changes))
    return json.loads((folder / "scores.json").read_text())["scores"]


def test_is3_has_images_of_two_sources(tmp_path: Path) -> None:
    root = is3_root(tmp_path / "data")
    scores = run("is3", root, tmp_path / "run")
    assert set(scores["two_sources"]) == {"iiou", "iiou_auc"}
    assert "extended_ap" not in scores["matched"]


def test_training_clips_with_ids_of_test_clips_are_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = is3_root(tmp_path)
    train_test_sets(Data(name="is3", root=root), needs="boxes")
    note = f"note: 5 training clips have the ids of test clips, such as {min(NAMES)}: if they are"
    assert note in capsys.readouterr().out
    for path in [*root.glob("train/*/*")]:
        path.rename(path.with_stem(f"other_{path.stem}"))
    train_test_sets(Data(name="is3", root=root), needs="boxes")
    assert "note: " not in capsys.readouterr().out


def test_each_object_has_its_own_audio(tmp_path: Path) -> None:
    root = is3_root(tmp_path / "data")
    data, clips = Data(name="is3", root=root, **SMALL), is3(root / "test")
    loader = two_source_loader(clips, data, batch=2)
    assert loader is not None
    (batch,) = list(loader)
    names = [Path(path).stem for path in batch.paths]
    assert names == [NAMES[0], NAMES[2], NAMES[2], NAMES[1], NAMES[3], NAMES[3]]
    assert batch.group == 3 and torch.equal(batch.audio[1], batch.audio[2])
    assert not torch.equal(batch.audio[0], batch.audio[2])
    lefts = [round(boxes[0, 0].item() * 8) for boxes in batch.boxes or ()]
    assert lefts == [0, 2, 2, 1, 3, 3]
    (batch, *_) = loader_of(clips, data, batch=8, groups=mismatched(clips, data))
    first, second = (Path(batch.paths[place]).stem for place in (0, 1))
    assert (first, second) == (NAMES[0], NAMES[1])


def test_an_image_with_one_pair_is_no_image_of_two(tmp_path: Path) -> None:
    root = is3_root(tmp_path / "data")
    for name in NAMES[2:4]:
        (root / f"test/audio_wav/{name}.wav").unlink()
    data = Data(name="is3", root=root, **SMALL)
    assert two_source_loader(is3(root / "test"), data, batch=2) is None


def test_images_without_a_source_are_negatives(toy_scenes: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(toy_scenes, root, ignore=shutil.ignore_patterns("avsbench"))
    with (root / "vggsound.csv").open(newline="") as file:
        silent = [f"{row[0]}_{int(row[1]):06d}" for row in csv.reader(file) if row[3] == "train"]
    lines = [f"{name},{name},non-sounding" for name in silent[:3]]
    (root / "vggss_test_plus_silent.csv").write_text("\n".join(["video,audio,label", *lines]))
    scores = run("vggss_plus_silent", root, tmp_path / "run")
    assert "two_sources" not in scores
    assert 0 <= scores["matched"]["extended_ap"] <= 100
    assert {"extended_max_f1", "average_precision", "sounding_found"} <= set(scores["matched"])

"""Too few clips or classes, and weights that are not finite: a line before any training."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_model import TINY
from toy_runs import SMALL, ToyRun, toy_config

from avblocks import av_vit
from avblocks.checkpoint import from_pretrained, read_state, save_pretrained, saves
from avblocks.data.datasets import ClipSet, Item
from avblocks.files import fingerprint
from recipes import paper_finetune, paper_linear_probe, paper_separate
from recipes.common.data import Data
from recipes.common.data import test_set as clips_to_test_on
from recipes.common.data import train_set as clips_to_train_on
from recipes.common.mixtures import check_mixable
from recipes.engine.run import Run
from recipes.export import Config as Export
from recipes.export import main as export


def test_the_probe_is_normed_over_a_batch(toy_scenes: Path, tmp_path: Path) -> None:
    config = replace(toy_config("probe", toy_scenes, tmp_path / "run", max_steps=1), batch=1)
    with pytest.raises(ValueError, match="--batch must be at least 2: the head normalizes over"):
        paper_linear_probe.main(config)
    assert not (tmp_path / "run").exists()


def labeled(*labels: tuple[int, ...]) -> ClipSet:
    items = tuple(Item(str(n), f"{n}.mp4", labels=given) for n, given in enumerate(labels))
    return ClipSet("some", items, classes=("a", "b", "c"))


def test_what_can_be_mixed() -> None:
    check_mixable(labeled((0,), (0,), (1,)), 2)
    check_mixable(labeled((), ()), 2)
    check_mixable(labeled((0, 1), (1, 2), (0,)), 2)
    for labels, sources in (([(0,)] * 3000, 2), ([(0, 1), (1, 2)], 2), ([(0,), (1,), (1,)], 3)):
        with pytest.raises(ValueError, match=rf"some has no {sources} clips without a class in co"):
            check_mixable(labeled(*labels), sources)
    with pytest.raises(ValueError, match="some has 1 clips, too few to mix 2 of them: add clips"):
        check_mixable(labeled((0,)), 2)


def test_separation_of_one_class(tmp_path: Path) -> None:
    for n in range(4):
        (tmp_path / "clips" / "dogs").mkdir(parents=True, exist_ok=True)
        (tmp_path / "clips" / "dogs" / f"{n}.mp4").touch()
    preset = paper_separate.SCENES
    data = replace(preset.data, name="class_folder", root=tmp_path / "clips", **SMALL)
    config = replace(preset, data=data, model=TINY, run=Run(dir=tmp_path / "run"), checkpoint=None)
    with pytest.raises(ValueError, match="has no 2 clips without a class in common"):
        paper_separate.main(config)
    assert not (tmp_path / "run").exists()


def diverge(folder: Path) -> Path:
    """Put an infinity into the encoder of a run's newest checkpoint, with its checksum."""
    path = saves.latest(folder / "checkpoints")
    assert path is not None
    state = torch.load(path, weights_only=True)
    name = next(name for name in state["state_dict"] if name.endswith("fusion_tokens"))
    state["state_dict"][name][0, 0, 0] = float("inf")
    torch.save(state, path)
    path.with_suffix(".json").write_text(json.dumps(fingerprint(path)))
    return path


def test_diverged_weights_are_not_exported_and_nothing_starts_from_them(
    toy_run: Callable[[str], ToyRun], toy_scenes: Path, tmp_path: Path
) -> None:
    for name in ("pretrain", "finetune"):
        folder = tmp_path / name
        (folder / "checkpoints").mkdir(parents=True)
        source = toy_run(name).folder
        for file in [source / "config.json", *(source / "checkpoints").iterdir()]:
            (folder / file.relative_to(source)).write_bytes(file.read_bytes())
        path = diverge(folder)
        told = rf"{path.name}.*: weights that are not finite: 1 \(.*fusion_tokens\); take "
        with pytest.raises(ValueError, match=told):
            export(Export(checkpoint=folder, out=tmp_path / "out"))
        assert not (tmp_path / "out").exists()
        config = toy_config("finetune", toy_scenes, tmp_path / "next", max_steps=1)
        with pytest.raises(ValueError, match=told):
            paper_finetune.main(replace(config, checkpoint=folder))


def test_weights_of_a_folder_must_be_finite(tmp_path: Path) -> None:
    encoder = av_vit(8, depth=1, num_heads=2, patch=4, image_size=8, audio_size=(8, 12))
    save_pretrained(encoder, tmp_path)
    with torch.no_grad():
        encoder.fusion_tokens[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"weights that are not finite: 1 \(fusion_tokens\)"):
        save_pretrained(encoder, tmp_path)
    assert read_state(tmp_path) and from_pretrained(tmp_path).encoder is not None


def test_the_reference_scores_on_val(toy_scenes: Path) -> None:
    data = Data(name="avsbench_avss", root=toy_scenes / "avsbench")
    for split in ("val", "test"):
        found = clips_to_test_on(replace(data, split=split))
        assert found is not None and found.name == f"avsbench-avss {split}, by frame"
    told = r"vggsound has no split to validate on: leave --data\.split out"
    with pytest.raises(ValueError, match=told):
        clips_to_test_on(Data(name="vggsound", root=toy_scenes, split="val"))


def test_training_lists(toy_scenes: Path, tmp_path: Path) -> None:
    data = Data(name="vggsound", root=toy_scenes)
    ids = [item.id for item in clips_to_train_on(data).items]
    (tmp_path / "few.txt").write_text(f"{ids[3]}\n{ids[0]}\n")
    some = clips_to_train_on(replace(data, list=tmp_path / "few.txt"))
    assert [item.id for item in some.items] == [ids[3], ids[0]]
    found = clips_to_test_on(replace(data, list=tmp_path / "few.txt"))
    assert found is not None and len(found) == len(clips_to_test_on(data) or ())
    (tmp_path / "one.csv").write_text(f"{found.items[1].id},heard\n")
    one = clips_to_test_on(replace(data, test_list=tmp_path / "one.csv"))
    assert one is not None and one.items == found.items[1:2] and not one.missing

"""Recipes on several frames a clip: pre-training with each mask, a probe, an export."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_runs import RECIPES, toy_config

from avblocks.checkpoint import from_pretrained
from recipes import export, paper_localize
from recipes.common.data import train_test_sets
from recipes.common.model import maskers
from recipes.engine.log import read_rows


def run(name: str, root: Path, folder: Path, **changes: Any) -> Path:
    config = toy_config(name, root, folder, max_steps=2)
    config = replace(config, data=replace(config.data, frames=4), **changes)
    RECIPES[name][0].main(config)
    return folder


def test_pretraining_and_a_probe_on_videos(
    toy_scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = run("pretrain", toy_scenes, tmp_path / "pretrain", mask="tube")
    rows = [row for row in read_rows(start / "metrics.csv") if "loss" in row]
    assert len(rows) == 2 and (start / "reconstruction.png").stat().st_size > 5000
    run("probe", toy_scenes, tmp_path / "probe", checkpoint=start)
    out = capsys.readouterr().out
    assert "missing 0" in out.replace("  ", " ") or "loaded" in out
    assert "it was trained on clips of" not in out

    export.main(export.Config(checkpoint=start, out=tmp_path / "out"))
    found = from_pretrained(tmp_path / "out")
    assert found.front_end is not None and found.front_end.format.frames == 4
    assert found.encoder.image.patch == (2, 8, 8)
    run("probe", toy_scenes, tmp_path / "again", checkpoint=tmp_path / "out")


KINDS = ["random", "block", "time", "frequency"]


@pytest.mark.parametrize(
    ("kind", "frames"), [*((kind, n) for kind in KINDS for n in (1, 4)), ("tube", 4)]
)
def test_each_mask_masks_its_share(kind: Any, frames: int) -> None:
    image, audio = maskers(kind, image=0.5, audio=0.75, frames=frames)
    grid = (4, 4) if frames == 1 else (2, 4, 4)
    masked = image(grid, batch=2).is_masked
    if kind in ("block", "tube") and frames > 1:
        first, second = masked.unflatten(1, (2, -1)).unbind(1)
        assert torch.equal(first, second)
    assert masked.float().mean() == pytest.approx(0.5, abs=0.13)
    assert audio((4, 8), batch=2).is_masked.float().mean() == pytest.approx(0.75, abs=0.13)


def test_what_does_not_fit_is_one_line(toy_scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--data.frames 4 is not a multiple of --model.tubelet 3"):
        config = toy_config("pretrain", toy_scenes, tmp_path, max_steps=2)
        run("pretrain", toy_scenes, tmp_path, model=replace(config.model, tubelet=3))
    with pytest.raises(ValueError, match="--mask tube is for videos"):
        RECIPES["pretrain"][0].main(
            replace(toy_config("pretrain", toy_scenes, tmp_path, max_steps=2), mask="tube")
        )
    with pytest.raises(ValueError, match=r"looks at one image of a clip: leave --data.frames out"):
        train_test_sets(replace(paper_localize.SCENES.data, frames=2), needs="boxes")

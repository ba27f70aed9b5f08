"""Heads on a frozen encoder without augmentation: clips are read and encoded once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch.testing import assert_close
from toy_runs import RECIPES, short_filters, toy_config

from avblocks.checkpoint import saves
from avblocks.data import ClipDataset
from recipes.common import train as _train
from recipes.engine.folder import checkpoints
from recipes.engine.log import read_rows


@pytest.fixture
def reads() -> Iterator[list[int]]:
    """Numbers of the clips that are read."""
    found: list[int] = []
    sample = ClipDataset._sample

    def counting(self: ClipDataset, epoch: int, index: int, place: int, **options: Any) -> Any:
        found.append(index)
        return sample(self, epoch, index, place, **options)

    with patch.object(ClipDataset, "_sample", counting):
        yield found


def run(name: str, root: Path, folder: Path, *, max_steps: int, resume: bool = False) -> Path:
    config = toy_config(name, root, folder, max_steps=max_steps)
    config = replace(
        config,
        data=replace(config.data, augment=False),
        run=replace(config.run, resume=resume, log_every=1),
    )
    with short_filters():
        RECIPES[name][0].main(config)
    assert not list(folder.glob("features/*/*"))
    return folder


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in read_rows(folder / "metrics.csv") if "loss" in row]


@pytest.mark.parametrize("name", ["localize", "probe"])
def test_clips_are_read_once_and_the_losses_are_those_of_clips_read_anew(
    name: str, toy_scenes: Path, tmp_path: Path, reads: list[int]
) -> None:
    cached = run(name, toy_scenes, tmp_path / "cached", max_steps=6)
    assert sorted(reads) == sorted([*range(8)] * 2), "8 clips to train on and 8 to test on"
    with patch.object(_train, "encodes_once", lambda *_: False):
        anew = run(name, toy_scenes, tmp_path / "anew", max_steps=6)
    assert len(losses(cached)) == 6
    assert_close(torch.tensor(losses(cached)), torch.tensor(losses(anew)))

    parts = run(name, toy_scenes, tmp_path / "parts", max_steps=3)
    run(name, toy_scenes, parts, max_steps=6, resume=True)
    assert losses(parts) == losses(cached)
    ends = [saves.load(saves.latest(checkpoints(f)))["state_dict"] for f in (parts, cached)]  # type: ignore[arg-type]
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())

"""Every training recipe, cut down to a moment's work on a few scenes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from tiny_model import TINY
from torch import nn

from avblocks.data.scenes import scenes as make_scenes
from avblocks.data.scenes import scenes_as_avsbench, scenes_as_vggss
from avblocks.data.scenes.dataset import SceneSpec
from avblocks.metrics.bss import BSSEvaluator
from recipes import (
    paper_finetune,
    paper_linear_probe,
    paper_localize,
    paper_pretrain,
    paper_segment,
    paper_separate,
)
from recipes.common.data import SCENES_DATA
from recipes.common.model import Model
from recipes.common.settings import TaskConfig
from recipes.engine.run import Run

SMALL: dict[str, Any] = {"seconds": 0.5, "size": 16, "mels": 32, "workers": 0}
DATA = replace(SCENES_DATA, **SMALL)
LINEAR = {
    "dim_out": 16,
    "base_lr": 2e-3,
    "local": 0,
    "patches": 1.0,
    "negatives": 0,
    "positives": 0.0,
    "hidden": 0,
    "starts": 1,
    "beta2": 0.999,
}
RECIPES: dict[str, tuple[ModuleType, str, str, dict[str, Any]]] = {
    "finetune": (paper_finetune, "VGGSOUND", "vggsound", {"windows": 1, "drop_path": 0.1}),
    "probe": (paper_linear_probe, "VGGSOUND", "vggsound", {}),
    "localize": (paper_localize, "SCENES", "vggss", {**LINEAR, "data": {"augment": True}}),
    # Of eight clips, affinities are equal, and rounding would decide which pairs are alike.
    "localize_mlp": (
        paper_localize,
        "SCENES",
        "vggss",
        {"dim_out": 16, "local": 1, "positives": 0.0},
    ),
    "segment": (paper_segment, "SCENES", "avsbench_avss", {"width": 8}),
    "semantic": (paper_segment, "SCENES", "avsbench_avss", {"width": 8, "semantic": True}),
    "separate": (paper_separate, "SCENES", "vggsound", {}),
    "pretrain": (paper_pretrain, "VGGSOUND", "vggsound", {}),
}
"""Module, preset, layout of the scenes and other options."""


def make_root(folder: Path) -> Path:
    """Eight training and eight test scenes in VGGSound's, VGG-SS's and AVSBench's layouts."""
    for split in ("train", "test"):
        make_scenes(folder, split=split, num_clips=8, spec=SceneSpec(size=32, seconds=1.0))
    scenes_as_vggss(folder)
    scenes_as_avsbench(folder, part="avss")
    return folder


def toy_config(name: str, root: Path, folder: Path, *, max_steps: int | None) -> Any:
    """The configuration of a recipe on these scenes, from scratch."""
    module, preset, layout, given = RECIPES[name]
    options = {**given}
    pixels = SMALL | options.pop("data", {})
    config = getattr(module, preset)
    place = root / "avsbench" if layout.startswith("avsbench") else root
    return replace(
        config,
        data=replace(config.data, name=layout, root=place, **pixels),
        model=TINY,
        batch=4,
        epochs=4,
        warmup=1,
        run=Run(dir=folder, max_steps=max_steps),
        **({} if name == "pretrain" else {"checkpoint": None}),
        **options,
    )


def with_checkpoint(path: Path, *, model: Model = TINY) -> TaskConfig:
    """Settings of a recipe that trains a head, with a checkpoint and the sizes of the encoder."""
    return replace(paper_linear_probe.SCENES, checkpoint=path, model=model)


@dataclass(frozen=True)
class ToyRun:
    """A run, and the model that it made where its recipe has a `build`."""

    folder: Path
    model: nn.Module | None
    config: Any


def train(name: str, root: Path, folder: Path, *, max_steps: int | None = 2) -> ToyRun:
    """Train a recipe for two steps, or to its end."""
    module, config = RECIPES[name][0], toy_config(name, root, folder, max_steps=max_steps)
    models: list[nn.Module] = []

    def build(*args: Any, **options: Any) -> nn.Module:
        models.append(kept(*args, **options))
        return models[-1]

    kept = getattr(module, "build", None)
    if kept is None:
        module.main(config)
        return ToyRun(folder, None, config)
    with patch.object(module, "build", build):
        module.main(config)
    return ToyRun(folder, models[0], config)


@contextmanager
def short_filters() -> Iterator[None]:
    """Allow filters of 8 taps in BSS Eval, whose equations for 512 take most of a toy run's time.

    The metric's own tests are of 512.
    """
    with patch("avblocks.metrics.separate.BSSEvaluator", partial(BSSEvaluator, taps=8)):
        yield

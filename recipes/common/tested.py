"""`Tested`: a trained model with the configuration of its test."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from avblocks.checkpoint import (
    from_deepavfusion_classifier,
    from_deepavfusion_segmenter,
    from_deepavfusion_separator,
    load_weights,
    read_state,
)
from avblocks.data.datasets import ClipSet
from avblocks.tasks import Classification, HeadTask, LoadedTask, Segmentation, load_task
from recipes.common.data import Data, test_set
from recipes.common.errors import prefixed
from recipes.common.evaluation import evaluating
from recipes.common.run_files import is_export
from recipes.common.runs import REMEDY, open_saved
from recipes.engine.run import Run

CLASSIFY = ("paper_linear_probe", "paper_finetune")
_OF_TASK = {
    "classification": "paper_finetune",
    "localization": "paper_localize",
    "segmentation": "paper_segment",
    "separation": "paper_separate",
}
CONVERT = {
    **dict.fromkeys(CLASSIFY, from_deepavfusion_classifier),
    "paper_segment": from_deepavfusion_segmenter,
    "paper_separate": from_deepavfusion_separator,
}
"""Conversions of the published files with a head, by recipe."""
_PUBLISHED = f"give --recipe, one of {', '.join(CONVERT)}, and --data.name of a published file"


@dataclass(frozen=True, kw_only=True)
class Tested:
    """A trained model, the recipe whose `main` tests it, and the configuration.

    Attributes:
        recipe: Name of the recipe.
        task: The model.
        config: Configuration of the recipe.
        classes: Names of the classes of the model.
        step: Optimizer steps of its training; 0 if unknown.
        change: Changes the test clips.
    """

    recipe: str
    task: HeadTask
    config: Any
    classes: tuple[str, ...]
    step: int = 0
    change: Callable[[ClipSet], ClipSet] = field(default=lambda clips: clips)

    def clips(self, clips: ClipSet) -> ClipSet:
        """Check that the classes of the test clips are those of the model, and change the clips."""
        if self.recipe in CLASSIFY and clips.classes != self.classes:
            raise ValueError(
                f"{clips.name} has {len(clips.classes)} classes, which are not the "
                f"{len(self.classes)} of the model: give the data set that it was trained on"
            )
        return self.change(clips)


def run_test(tested: Tested, out: Path) -> None:
    """Run the final test of the recipe; its results are in the folder ``out``."""
    module = importlib.import_module(f"recipes.{tested.recipe}")
    config = replace(tested.config, run=replace(tested.config.run, dir=out))
    with evaluating(module, tested.task, step=tested.step, change=tested.clips):
        module.main(config)


def load_tested(
    path: Path, *, recipe: str | None, data: Mapping[str, Any], sizes: Mapping[str, int]
) -> Tested:
    """Load the model of a run, an export or a published file.

    Args:
        path: A run folder, a checkpoint in one, an exported folder, or a published file.
        recipe: Name of the recipe, for a published file.
        data: Settings of `Data` to change.
        sizes: Batch size and windows per clip to change, if the recipe has them.

    Raises:
        ValueError: If the model cannot be loaded, or its recipe or data are unknown.
    """
    if is_export(path):
        tested = _of_export(load_task(path), data)
    elif path.is_file() and path.suffix != ".ckpt":
        tested = _of_published(path, recipe, data)
    else:
        tested = _of_run(path, data)
    known = {one.name for one in fields(tested.config)}
    changes = {name: value for name, value in sizes.items() if name in known}
    return replace(tested, config=replace(tested.config, **changes))


def _of_run(path: Path, data: Mapping[str, Any]) -> Tested:
    saved = open_saved(path, remedy=REMEDY)
    task, config = saved.task()
    run = replace(config.run, max_steps=None, resume=False, devices=None, nodes=1)
    # The clips of the run's lists need not be on disk any more.
    clips = replace(config.data, list=None, **data)
    return Tested(
        recipe=saved.run_config["recipe"],
        task=task,
        config=replace(config, data=clips, run=replace(run, strategy="auto", compile=False)),
        classes=tuple(saved.run_config["classes"]),
        step=saved.step,
    )


def _of_export(loaded: LoadedTask, data: Mapping[str, Any]) -> Tested:
    if "name" not in data:
        raise ValueError(f"{loaded.path} does not say which data to test on: give --data.name")
    frozen = isinstance(loaded.task, Classification) and loaded.task.frozen
    recipe = "paper_linear_probe" if frozen else _OF_TASK[loaded.name]
    config = _preset(recipe, Data(**loaded.format.to_dict(), **data))
    settings = loaded.task.settings()
    if isinstance(loaded.task, Segmentation):
        settings = {"semantic": not loaded.task.binary}
    known = {one.name for one in fields(config)}
    config = replace(config, **{name: v for name, v in settings.items() if name in known})
    return Tested(recipe=recipe, task=loaded.task, config=config, classes=loaded.classes)


def _of_published(path: Path, recipe: str | None, data: Mapping[str, Any]) -> Tested:
    state = read_state(path)
    if recipe not in CONVERT or "name" not in data:
        raise ValueError(f"{path}: {_PUBLISHED}")
    config = _preset(recipe, Data(**data))
    clips = test_set(config.data)
    classes = () if clips is None else clips.classes
    task = importlib.import_module(f"recipes.{recipe}").build(config, classes=classes)
    with prefixed(f"{path}: "):
        load_weights(task, CONVERT[recipe](state), strict=True)
    return Tested(recipe=recipe, task=task, config=config, classes=classes)


def _preset(recipe: str, data: Data) -> Any:
    """Return the preset of a recipe for a data set, or its first one with these data."""
    presets = importlib.import_module(f"recipes.{recipe}").PRESETS
    configs = [config for _, config in presets.values()]
    fitting = [config for config in configs if config.data.name == data.name]
    return replace((fitting or configs)[0], data=data, checkpoint=None, run=Run())

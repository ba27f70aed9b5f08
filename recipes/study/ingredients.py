r"""Study: everything on scenes composed of photographs and recordings, over several seeds.

For each seed: a pre-training with the preset `composed`, linear probes with both modalities, the
image alone and the audio alone, fine-tuning, localization, segmentation and separation.

Commands:
    python -m recipes.make_scenes --ingredients DIR --backgrounds DIR --out SCENES
    python -m recipes.study.ingredients --root SCENES      (three seeds: 5 hours on two CPU cores)
    python -m recipes.study.ingredients --root SCENES --only probe finetune
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recipes.common.cli import run_cli
from recipes.common.data import COMPOSED_DATA, test_set
from recipes.study.runs import Study, Task, result, run_all, write_results

RUNS: Mapping[str, tuple[str, ...]] = {
    "probe": ("paper_linear_probe",),
    "probe-image": ("paper_linear_probe", "--given", "image"),
    "probe-audio": ("paper_linear_probe", "--given", "audio"),
    "finetune": ("paper_finetune",),
    "localize": ("paper_localize",),
    "segment": ("paper_segment",),
    "separate": ("paper_separate",),
}
"""Runs on the pre-trained encoder: recipe and options."""
Figure = tuple[str, ...]
_CIOU, _MIOU, _SDR = "ciou_adaptive", "miou_no_background", "sdr_improvement_db"
FIGURES: Mapping[str, Mapping[str, Figure]] = {
    "probe": {
        "both": ("probe", "both", "all", "top1"),
        "image_alone": ("probe-image", "image", "all", "top1"),
        "audio_alone": ("probe-audio", "audio", "all", "top1"),
        **{f"{s}_tokens": ("probe", "both", s, "top1") for s in ("image", "audio", "fusion")},
    },
    "finetune": {
        "both": ("finetune", "both", "all", "top1"),
        "image_alone": ("finetune", "image", "all", "top1"),
        "audio_alone": ("finetune", "audio", "all", "top1"),
    },
    "localization": {
        row: ("localize", row, _CIOU) for row in ("matched", "mismatched", "silenced", "center_box")
    },
    "segmentation": {
        row: ("segment", row, _MIOU) for row in ("matched", "mismatched", "silenced", "center_box")
    },
    "separation": {
        _SDR: ("separate", "matched", _SDR),
        "other_image": ("separate", "mismatched", _SDR),
    },
}
"""Figures by task: the run, and the keys of its `scores.json`."""


@dataclass(frozen=True, kw_only=True)
class Config(Study):
    """Settings of the study."""

    root: Path | None = None
    """Folder of composed scenes, from `recipes.make_scenes`."""

    only: tuple[str, ...] = tuple(FIGURES)
    """Tasks to run and write, such as localization."""


PRESETS = {"study": ("three seeds of everything", Config())}


def runs(
    folder: Path,
    *,
    seed: int,
    options: tuple[str, ...] = (),
    root: Path | None = None,
    only: Sequence[str] = tuple(FIGURES),
) -> list[Task]:
    """List the runs of one seed that the figures of the tasks need."""
    common = ("composed", "--data.root", str(root), "--run.seed", str(seed))
    common = (*common, "--data.workers", "1", *options)
    start = folder / "pretrain"
    first = Task(recipe="paper_pretrain", folder=start, options=common, leaves="reconstruction.png")
    needed = {figure[0] for task in only for figure in FIGURES[task].values()}
    return [
        first,
        *(
            Task(
                recipe=recipe,
                folder=folder / name,
                options=(*common, *words, "--checkpoint", str(start)),
                after=start,
            )
            for name, (recipe, *words) in RUNS.items()
            if name in needed
        ),
    ]


def main(config: Config) -> None:
    """Run missing runs, then write the results of the tasks."""
    if config.root is None:
        raise ValueError("give --root SCENES, a folder from recipes.make_scenes")
    if wrong := set(config.only) - set(FIGURES):
        raise ValueError(f"--only must be of {', '.join(FIGURES)}, got {', '.join(wrong)}")
    test = test_set(replace(COMPOSED_DATA, root=config.root))
    seeds = [
        runs(folder, seed=n, options=config.options, root=config.root, only=config.only)
        for n, folder in enumerate(config.folders)
    ]
    run_all([run for same in zip(*seeds, strict=True) for run in same], jobs=config.jobs)
    found = {
        task: {
            name: [_value(folder, figure) for folder in config.folders]
            for name, figure in FIGURES[task].items()
        }
        for task in config.only
    }
    about = {"classes": len(test.classes) if test else 0, "test": test.report() if test else ""}
    write_results(config.out / "ingredients.json", found | {"scenes": about})


def _value(folder: Path, figure: Figure) -> float:
    """Look a figure up; a baseline that a task does not have is missing."""
    run, *keys = figure
    value: Any = result(folder / run)["scores"]
    for key in keys:
        value = value[key]
    return value


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)

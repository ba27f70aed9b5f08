r"""Study: everything on scenes composed of photographs and recordings, over several seeds.

For each seed: a pre-training with the preset `composed`, linear probes with both modalities, the
image alone and the audio alone, fine-tuning, localization, segmentation and separation.

Commands:
    python -m recipes.make_scenes --ingredients DIR --backgrounds DIR --out SCENES
    python -m recipes.study.ingredients --root SCENES      (three seeds: 10 hours on two CPU cores)
    python -m recipes.study.ingredients --root SCENES --only probe finetune
    python -m recipes.make_scenes ... --scene.min-snr -18 --scene.max-snr -12 --out NOISY
    python -m recipes.study.ingredients --root SCENES --noisy NOISY --only probe_noisy
    python -m recipes.study.ingredients --root SCENES --seeds 1 --only probe \
        --without contrast conv_embed                           (the effect of each lever)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from avblocks.jsonfile import read_json
from recipes.common.cli import run_cli
from recipes.common.data import COMPOSED_DATA, test_set
from recipes.study.runs import Study, Task, result, run_all, write_results

RUNS: Mapping[str, tuple[str, ...]] = {
    "probe": ("paper_linear_probe",),
    "probe-image": ("paper_linear_probe", "--given", "image"),
    "probe-audio": ("paper_linear_probe", "--given", "audio"),
    "noisy": ("paper_linear_probe",),
    "noisy-image": ("paper_linear_probe", "--given", "image"),
    "noisy-audio": ("paper_linear_probe", "--given", "audio"),
    "finetune": ("paper_finetune",),
    "localize": ("paper_localize",),
    "segment": ("paper_segment",),
    "separate": ("paper_separate", "--data.hop", "400", "--data.seconds", "1.6"),
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
    "probe_noisy": {
        "both": ("noisy", "both", "all", "top1"),
        "image_alone": ("noisy-image", "image", "all", "top1"),
        "audio_alone": ("noisy-audio", "audio", "all", "top1"),
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
        "ideal_masks": ("separate", "ideal", _SDR),
    },
}
"""Figures by task: the run, and the keys of its `scores.json`."""


LEVERS: Mapping[str, tuple[str, ...]] = {
    "contrast": ("--contrast", "0", "--cutmix", "0"),
    "cutmix": ("--cutmix", "0"),
    "conv_embed": ("--model.image-embed", "linear"),
    "left_out": ("--left-out", "0"),
    "normalized_targets": ("--model.no-normalize-targets",),
    "augmentation": ("--data.color", "0", "--data.min-crop", "0.5"),
}
"""Options of a pre-training without one of what distinguishes the preset from that of scenes."""


@dataclass(frozen=True, kw_only=True)
class Config(Study):
    """Settings of the study."""

    root: Path | None = None
    """Folder of composed scenes, from `recipes.make_scenes`."""

    noisy: Path | None = None
    """Folder of such scenes with more noise, for `probe_noisy`: the probes are trained and tested
    on them."""

    only: tuple[str, ...] = ()
    """Tasks to run and write, such as localization; all that there are scenes for if not given."""

    without: tuple[str, ...] = ()
    """Levers to leave out, each alone, of a pre-training of its own with linear probes."""


PRESETS = {"study": ("three seeds of everything", Config())}


def runs(
    folder: Path,
    *,
    seed: int,
    options: tuple[str, ...] = (),
    root: Path | None = None,
    noisy: Path | None = None,
    only: Sequence[str] = tuple(FIGURES),
    pretrain: tuple[str, ...] = (),
) -> list[Task]:
    """List the runs of one seed that the figures of the tasks need."""

    def words(root: Path | None) -> tuple[str, ...]:
        """Options of runs on some scenes."""
        common = ("composed", "--data.root", str(root), "--run.seed", str(seed))
        return (*common, "--data.workers", "1", *options)

    start, leaves = folder / "pretrain", "reconstruction.png"
    first = Task(
        recipe="paper_pretrain", folder=start, options=(*words(root), *pretrain), leaves=leaves
    )
    needed = {figure[0] for task in only for figure in FIGURES[task].values()}
    return [
        first,
        *(
            Task(
                recipe=recipe,
                folder=folder / name,
                options=(
                    *words(noisy if name.startswith("noisy") else root),
                    *more,
                    *("--checkpoint", str(start)),
                ),
                after=start,
            )
            for name, (recipe, *more) in RUNS.items()
            if name in needed
        ),
    ]


def main(config: Config) -> None:
    """Run missing runs, then write the results of the tasks."""
    if config.root is None:
        raise ValueError("give --root SCENES, a folder from recipes.make_scenes")
    for option, names, known in (
        ("only", config.only, FIGURES),
        ("without", config.without, LEVERS),
    ):
        if wrong := set(names) - set(known):
            raise ValueError(f"--{option} must be of {', '.join(known)}, got {', '.join(wrong)}")
    if "probe_noisy" in config.only and config.noisy is None:
        raise ValueError("give --noisy SCENES for probe_noisy, or leave it out of --only")
    for option, folder in (("root", config.root), ("noisy", config.noisy)):
        if folder is not None and not folder.is_dir():
            raise ValueError(f"--{option} {folder} is no folder: make it with recipes.make_scenes")
    possible = [task for task in FIGURES if task != "probe_noisy" or config.noisy is not None]
    only = tuple(task for task in possible if task in (config.only or possible))
    test = test_set(replace(COMPOSED_DATA, root=config.root))
    listed = partial(runs, options=config.words, root=config.root, noisy=config.noisy)
    seeds = [listed(folder, seed=n, only=only) for n, folder in config.by_seed]
    levers = {name: config.run.folder / f"without-{name}" for name in config.without}
    less = [
        listed(folder, seed=0, only=("probe",), pretrain=LEVERS[name])
        for name, folder in levers.items()
    ]
    all_runs = [run for same in zip(*seeds, strict=True) for run in same]
    run_all([*all_runs, *(run for some in less for run in some)], jobs=config.jobs)

    path = config.out / "ingredients.json"
    found = read_json(path, dict, remedy="delete it") if path.is_file() else {}
    found |= {task: _figures(task, config.folders) for task in only}
    for name, folder in levers.items():
        found.setdefault("without", {})[name] = _figures("probe", [folder])
    about = {"classes": len(test.classes) if test else 0, "test": test.report() if test else ""}
    write_results(path, found | {"scenes": about})


def _figures(task: str, folders: Sequence[Path]) -> dict[str, list[float]]:
    """Read the figures of a task, a list with one value of each folder of runs."""
    return {
        name: [_value(folder, *figure) for folder in folders]
        for name, figure in FIGURES[task].items()
    }


def _value(folder: Path, run: str, *keys: str) -> float:
    value: Any = result(folder / run)["scores"]
    for key in keys:
        value = value[key]
    return value


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)

"""Study: pre-training, localization, separation and segmentation of scenes, over several seeds.

For each seed: a pre-training with the defaults of `python -m recipes.paper_pretrain`, and the
default runs of `paper_localize`, `paper_separate` and `paper_segment` from its encoder.

Commands:
    python -m recipes.study.tasks                   (three seeds: about an hour on two CPU cores)
    python -m recipes.study.tasks --only pretraining localization
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from recipes.common.cli import run_cli
from recipes.common.data import SCENES_DATA
from recipes.engine.log import read_rows
from recipes.paper_localize import SCENES as LOCALIZE
from recipes.paper_segment import SCENES as SEGMENT
from recipes.study.runs import Study, Task, make_scenes, result, run_all, write_results

FIXED = ("center_box", "whole_image")  # baselines without a model
CIOU, SDR, MIOU = "ciou_adaptive", "sdr_improvement_db", "miou_no_background"
DETECTION = ("average_precision", "sounding_found", "silent_refused")
GAINS = ("sdr", "sir", "sar", "si_sdr", "si_sdr_improvement_db")
FIGURES = {
    "localization": (
        "localize",
        {
            CIOU: ("matched", CIOU),
            "ciou_adaptive_auc": ("matched", "ciou_adaptive_auc"),
            "mismatched_audio": ("mismatched", CIOU),
            **{row: (row, CIOU) for row in ("silenced", "noise", "off_screen")},
            **{row: (row, CIOU) for row in ("fusion_attention", *FIXED)},
            **{score: ("matched", score) for score in DETECTION},
            "iiou": ("two_sources", "iiou"),
        },
    ),
    "separation": (
        "separate",
        {
            **{score: ("matched", score) for score in (SDR, *GAINS)},
            "mismatched_image": ("mismatched", SDR),
            "blank_image": ("blank", SDR),
            "ideal_masks": ("ideal", SDR),
        },
    ),
    "segmentation": (
        "segment",
        {
            **{score: ("matched", score) for score in (MIOU, "fscore_avsbench")},
            "silenced": ("silenced", MIOU),
            "mismatched_audio": ("mismatched", MIOU),
        },
    ),
}
"""By file: the task, and each figure's row and score in its `scores.json`."""
PRETRAINING = "pretraining"  # its file, from `metrics.csv`
PROBED = ("nn_fusion", "nn_audio_alone")


@dataclass(frozen=True, kw_only=True)
class Config(Study):
    """Settings of the study."""

    only: tuple[str, ...] = (PRETRAINING, *FIGURES)
    """Tasks to run, such as localization; every task needs the pre-training."""


PRESETS = {"study": ("three seeds of everything", Config())}


def runs(
    folder: Path, *, seed: int, options: tuple[str, ...] = (), only: Sequence[str] = tuple(FIGURES)
) -> list[Task]:
    """List the runs of one seed."""
    common = ("--run.seed", str(seed), "--data.workers", "1", *options)
    start = folder / "pretrain"
    after = (*common, "--checkpoint", str(start))
    return [
        Task(
            recipe="paper_pretrain",
            folder=start,
            options=common,
            leaves="reconstruction.png",
        ),
        *(
            Task(recipe=f"paper_{name}", folder=folder / name, options=after, after=start)
            for name in (FIGURES[task][0] for task in only if task in FIGURES)
        ),
    ]


def pretraining(folder: Path) -> dict[str, float]:
    """Read loss and 1-NN accuracies, in percent, at both ends of a pre-training.

    The loss is that of the first step, and the mean of the last epoch.
    """
    rows = read_rows(folder / "metrics.csv")
    losses = [row for row in rows if "loss" in row]
    last = max(row["epoch"] for row in losses)
    probed = [row for row in rows if f"eval/{PROBED[0]}" in row]
    return {
        "loss_first": losses[0]["loss"],
        "loss_last": mean(row["loss"] for row in losses if row["epoch"] > last - 1),
        **{f"{name}_first": probed[0][f"eval/{name}"] for name in PROBED},
        **{f"{name}_last": probed[-1][f"eval/{name}"] for name in PROBED},
    }


def main(config: Config) -> None:
    """Run missing runs, then write the results of each task."""
    known = (PRETRAINING, *FIGURES)
    if wrong := set(config.only) - set(known):
        raise ValueError(f"--only must be of {', '.join(known)}, got {', '.join(wrong)}")
    others = {"localization": LOCALIZE.data, "segmentation": SEGMENT.data}
    make_scenes(SCENES_DATA, *(others[name] for name in config.only if name in others))
    seeds = [
        runs(folder, seed=seed, options=config.words, only=config.only)
        for seed, folder in config.by_seed
    ]
    # By stage, so that no process waits for an earlier run.
    run_all([run for same in zip(*seeds, strict=True) for run in same], jobs=config.jobs)

    if PRETRAINING in config.only:
        every = [pretraining(folder / "pretrain") for folder in config.folders]
        figures = {key: [one[key] for one in every] for key in every[0]}
        write_results(config.out / f"{PRETRAINING}.json", figures)
    for name in (name for name in config.only if name in FIGURES):
        task, table = FIGURES[name]
        every = [result(folder / task)["scores"] for folder in config.folders]
        figures = {key: [one[row][score] for one in every] for key, (row, score) in table.items()}
        # A baseline without a model has the same value for every seed.
        fixed = {key: round(figures[key][0], 1) for key in FIXED if key in figures}
        write_results(config.out / f"{name}.json", figures | fixed)


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)

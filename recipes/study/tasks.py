"""Study: localization, separation and segmentation on held-out scenes, over several seeds.

For each seed: a pre-training with the defaults of `python -m recipes.paper_pretrain`, and the
default runs of `paper_localize`, `paper_separate` and `paper_segment` from its encoder.

Command:
    python -m recipes.study.tasks                   (three seeds: about an hour on two CPU cores)
"""

from pathlib import Path

from recipes.common.cli import run_cli
from recipes.common.data import SCENES_DATA, test_set, train_set
from recipes.paper_localize import SCENES as LOCALIZE
from recipes.paper_segment import SCENES as SEGMENT
from recipes.study.runs import Study, Task, result, run_all, write_results

FIXED = ("center_box", "whole_image")  # baselines without a model
CIOU, SDR, MIOU = "ciou_adaptive", "sdr_improvement_db", "miou_no_background"
GAINS = ("sdr", "sir", "sar", "si_sdr", "si_sdr_improvement_db")
FIGURES = {
    "localization": (
        "localize",
        {
            CIOU: ("matched", CIOU),
            "ciou_adaptive_auc": ("matched", "ciou_adaptive_auc"),
            "mismatched_audio": ("mismatched", CIOU),
            **{row: (row, CIOU) for row in ("silenced", "fusion_attention", *FIXED)},
        },
    ),
    "separation": (
        "separate",
        {
            **{score: ("matched", score) for score in (SDR, *GAINS)},
            "mismatched_image": ("mismatched", SDR),
            "blank_image": ("blank", SDR),
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
PRESETS = {"study": ("three seeds of everything", Study())}


def runs(folder: Path, *, seed: int, options: tuple[str, ...] = ()) -> list[Task]:
    """List the runs of one seed."""
    common = ("--run.seed", str(seed), "--data.workers", "1", *options)
    start = folder / "pretrain"
    after = (*common, "--checkpoint", str(start))
    return [
        Task(recipe="paper_pretrain", folder=start, options=common, leaves="reconstruction.png"),
        *(
            Task(recipe=f"paper_{name}", folder=folder / name, options=after, after=start)
            for name in ("localize", "separate", "segment")
        ),
    ]


def main(config: Study) -> None:
    """Run missing runs, then write the results of each task."""
    for data in (SCENES_DATA, LOCALIZE.data, SEGMENT.data):
        for make in (train_set, test_set):  # once, before several runs would
            make(data)
    seeds = [runs(f, seed=n, options=config.options) for n, f in enumerate(config.folders)]
    # What must be done first comes first, so that nothing that runs waits for it.
    run_all([run for same in zip(*seeds, strict=True) for run in same], jobs=config.jobs)

    for name, (task, table) in FIGURES.items():
        every = [result(folder / task)["scores"] for folder in config.folders]
        figures = {key: [one[row][score] for one in every] for key, (row, score) in table.items()}
        # A baseline without a model has one value, whatever the seed.
        fixed = {key: round(figures[key][0], 1) for key in FIXED if key in figures}
        write_results(config.out / f"{name}.json", figures | fixed)


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)

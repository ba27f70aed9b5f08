"""Study: localization, separation and segmentation on held-out scenes, over several seeds.

For each seed a pre-training as `python -m recipes.paper_pretrain` does it, and from its encoder the
default runs of `paper_localize`, `paper_separate` and `paper_segment`.

Command:
    python -m recipes.study.tasks                   (three seeds: about an hour on two CPU cores)
"""

from pathlib import Path

from recipes.common.cli import run_cli
from recipes.common.data import SCENES_DATA, test_set, train_set
from recipes.paper_localize import SCENES as LOCALIZE
from recipes.paper_segment import SCENES as SEGMENT
from recipes.study.runs import Study, Task, result, run_all, write_results

GAIN = "si_sdr_improvement_db"
PRESETS = {"study": ("three seeds of everything", Study())}


def runs(folder: Path, *, seed: int, options: tuple[str, ...] = ()) -> list[Task]:
    """List the runs of one seed."""
    common = ("--run.seed", str(seed), "--data.workers", "1", *options)
    start = folder / "pretrain"
    pretrain = Task(
        recipe="paper_pretrain", folder=start, options=common, leaves="reconstruction.png"
    )
    tasks = [
        Task(
            recipe=f"paper_{name}",
            folder=folder / name,
            options=(*common, "--checkpoint", str(start)),
            after=start,
        )
        for name in ("localize", "separate", "segment")
    ]
    return [pretrain, *tasks]


def main(config: Study) -> None:
    """Run what is not done yet, then write the figures of each task."""
    for data in (SCENES_DATA, LOCALIZE.data, SEGMENT.data):
        for make in (train_set, test_set):  # once, before several runs would
            make(data)
    seeds = [runs(f, seed=n, options=config.options) for n, f in enumerate(config.folders)]
    # What must be done first comes first, so that nothing that runs waits for it.
    run_all([run for same in zip(*seeds, strict=True) for run in same], jobs=config.jobs)

    def scores(task: str, row: str, name: str) -> list[float]:
        return [result(folder / task)["scores"][row][name] for folder in config.folders]

    def ciou(row: str) -> list[float]:
        return scores("localize", row, "ciou_adaptive")

    def sdr(row: str) -> list[float]:
        return scores("separate", row, "sdr_improvement_db")

    def miou(row: str) -> list[float]:
        return scores("segment", row, "miou_no_background")

    localization = {
        "ciou_adaptive": ciou("matched"),
        "ciou_adaptive_auc": scores("localize", "matched", "ciou_adaptive_auc"),
        "mismatched_audio": ciou("mismatched"),
        "silenced": ciou("silenced"),
        "fusion_attention": ciou("fusion_attention"),
        "center_box": round(ciou("center_box")[0], 1),
        "whole_image": round(ciou("whole_image")[0], 1),
    }
    separation = {
        "sdr_improvement_db": sdr("matched"),
        **{n: scores("separate", "matched", n) for n in ("sdr", "sir", "sar", "si_sdr", GAIN)},
        "mismatched_image": sdr("mismatched"),
        "blank_image": sdr("blank"),
    }
    segmentation = {
        "miou_no_background": miou("matched"),
        "fscore_avsbench": scores("segment", "matched", "fscore_avsbench"),
        "silenced": miou("silenced"),
        "mismatched_audio": miou("mismatched"),
    }
    write_results(config.out / "localization.json", localization)
    write_results(config.out / "separation.json", separation)
    write_results(config.out / "segmentation.json", segmentation)


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)

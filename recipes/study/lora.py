"""Study: low-rank adapters, full fine-tuning and a linear probe for classification of scenes.

For each seed: pre-training with factorized fusion, then from it a linear probe, fine-tuning of all
parameters, and fine-tuning of adapters alone.

Command:
    python -m recipes.study.lora          (three seeds: about 40 minutes on two CPU cores)
"""

from dataclasses import replace
from pathlib import Path

from torch import nn

from avblocks.data.scenes.classes import CLASSES
from recipes import paper_finetune, paper_finetune_lora
from recipes.common.cli import run_cli
from recipes.common.data import SCENES_DATA
from recipes.study import classification
from recipes.study.classification import SCENES
from recipes.study.runs import Study, Task, make_scenes, result, run_all, write_results

PRESETS = {"study": ("three seeds of everything", Study())}
RUNS = {"probe": "probe-factorized", "full": "finetune-pretrained", "adapters": "finetune-lora"}


def runs(folder: Path, *, seed: int, options: tuple[str, ...] = ()) -> list[Task]:
    """List the runs of one seed: three of the study of classification, and the adapters."""
    listed = classification.runs(folder, seed=seed, options=options)
    kept = [t for t in listed if t.folder.name in ("pretrain-factorized", *RUNS.values())]
    lora = replace(kept[-1], recipe="paper_finetune_lora", folder=folder / RUNS["adapters"])
    return [*kept, lora]


def trained_parameters() -> dict[str, int]:
    """Count the trained parameters of each of the three."""
    task = paper_finetune.build(paper_finetune.SCENES, classes=CLASSES)
    counts = {"full": _trained(task), "probe": _trained(task.head)}
    paper_finetune_lora.adapt_task(task)
    return counts | {"adapters": _trained(task)}


def _trained(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def main(config: Study) -> None:
    """Run missing runs, then write the table."""
    make_scenes(replace(SCENES_DATA, scenes=SCENES))
    seeds = [runs(f, seed=n, options=config.words) for n, f in config.by_seed]
    run_all([run for listed in seeds for run in listed], jobs=config.jobs)
    trained = trained_parameters()
    found = {
        name: {
            "top1": [result(f / run)["scores"]["both"]["all"]["top1"] for f in config.folders],
            "trained": trained[name],
        }
        for name, run in RUNS.items()
    }
    write_results(config.out / "lora.json", found)


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)

"""Study: ablation of pre-training, modalities and types of fusion for classification of scenes.

On held-out scenes, for each seed: a linear probe on the pre-trained encoder, on an untrained one,
and on the pre-trained one with only the image or only the audio, in training and test; fine-tuning
from the pre-trained encoder and from scratch; and pre-training with a probe for no fusion, token,
dense and factorized fusion.

Command:
    python -m recipes.study.classification          (three seeds: about 2 hours on two CPU cores)
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from recipes.common.cli import run_cli
from recipes.common.data import SCENES_DATA
from recipes.study.runs import Study, Task, make_scenes, result, run_all, write_results

FUSIONS = {
    "none": ("--model.fusion-layers", "none"),
    "token": ("--model.fusion", "token"),
    "dense": ("--model.fusion", "dense"),
    "factorized": ("--model.fusion", "factorized"),
}
FULL = ("--model.decoder", "full", "--predict", "1")  # as the figures were measured
SCENES = (240, 480)
PRESETS = {"study": ("three seeds of everything", Study())}


def runs(folder: Path, *, seed: int, options: tuple[str, ...] = ()) -> list[Task]:
    """List the runs of one seed."""
    common = ("--run.seed", str(seed), "--data.scenes", *map(str, SCENES), "--data.workers", "1")

    def pretrain(fusion: str) -> Task:
        words = (*common, *FUSIONS[fusion], *FULL, "--evaluate-every", "100", *options)
        place, leaves = folder / f"pretrain-{fusion}", "reconstruction.png"
        return Task(recipe="paper_pretrain", folder=place, options=words, leaves=leaves)

    def classify(recipe: str, name: str, *more: str, start: str | None = None) -> Task:
        begin = folder / start if start else None
        words = (*common, "--checkpoint", str(begin), "--evaluate-every", "100", *more, *options)
        return Task(recipe=recipe, folder=folder / name, options=words, after=begin)

    probe, finetune = partial(classify, "paper_linear_probe"), partial(classify, "paper_finetune")
    main = "pretrain-factorized"
    return [
        *(pretrain(fusion) for fusion in FUSIONS),
        *(probe(f"probe-{f}", *words, start=f"pretrain-{f}") for f, words in FUSIONS.items()),
        probe("probe-untrained"),
        probe("probe-image", "--given", "image", start=main),
        probe("probe-audio", "--given", "audio", start=main),
        finetune("finetune-pretrained", start=main),
        finetune("finetune-scratch", "--layer-decay", "1"),
    ]


def main(config: Study) -> None:
    """Run missing runs, then write the table."""
    make_scenes(replace(SCENES_DATA, scenes=SCENES))
    folders = config.folders
    seeds = [runs(folder, seed=n, options=config.words) for n, folder in config.by_seed]
    run_all([run for listed in seeds for run in listed], jobs=config.jobs)

    def accuracy(name: str, given: str = "both") -> list[float]:
        return [result(folder / name)["scores"][given]["all"]["top1"] for folder in folders]

    probe = {
        "pretrained": accuracy("probe-factorized"),
        "untrained": accuracy("probe-untrained"),
        "image_only": accuracy("probe-image", "image"),
        "audio_only": accuracy("probe-audio", "audio"),
    }
    finetune = {name: accuracy(f"finetune-{name}") for name in ("pretrained", "scratch")}
    fusion = {name: accuracy(f"probe-{name}") for name in FUSIONS}
    found = {"linear_probe": probe, "finetune": finetune, "fusion": fusion}
    write_results(config.out / "classification.json", found)


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)

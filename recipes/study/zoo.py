"""Study: six fusion methods with encoders of equal size, on the same scenes and steps.

For each seed and method: pre-training; a linear probe on the encoder, tested with both modalities
and with one missing; fine-tuning; retrieval between images and audio that are encoded separately;
and the time of a training step. After an interruption, the same command resumes after the last
finished method.

Command:
    OMP_NUM_THREADS=1 python -m recipes.study.zoo       (three seeds: about an hour on one CPU core)
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch.optim import AdamW

from avblocks.checkpoint.saves import exists
from avblocks.data import FrontEnd
from avblocks.data.datasets import ClipSet
from avblocks.data.shards import ShardSettings, make_shards
from avblocks.files import write_text
from avblocks.jsonfile import read_json
from avblocks.metrics import retrieval_scores
from avblocks.tasks import Embedding, Pretraining
from recipes import cavmae_pretrain, paper_finetune, paper_linear_probe, paper_pretrain
from recipes.common.cli import run_cli
from recipes.common.data import SCENES_DATA, Data, test_set, train_set
from recipes.common.loaders import test_loader, train_loader
from recipes.common.model import SMALL, Model, build_autoencoder
from recipes.common.runs import load_encoder_run
from recipes.engine import Run
from recipes.engine.folder import checkpoints
from recipes.engine.provenance import versions
from recipes.engine.run import Folder
from recipes.study.runs import result

BASE = replace(SMALL, dim=64, heads=2)
MODELS: dict[str, Model] = {
    "none": replace(BASE, depth=6, fusion_layers="none"),
    "token": replace(BASE, depth=5, fusion="token", mlp_ratio=2.0),
    "dense": replace(BASE, depth=5, fusion="dense", mlp_ratio=2.0),
    "factorized": BASE,
    "cavmae": replace(BASE, depth=6, fusion="joint", decoder_depth=4),
    "bottleneck": replace(
        BASE, depth=6, fusion="bottleneck", fusion_layers=(4, 5), num_tokens=(4, 0, 0)
    ),
}
"""Parameters are equal within 10%: an encoder with smaller fusion blocks has more ViT blocks."""
SPREAD = 1.1
_FREE = ("run", "seeds", "out")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of the study."""

    run: Folder = field(default_factory=Folder)
    """Folder of all the runs."""

    seeds: int = 3
    """Number of seeds, from 0."""

    out: Path = Path("docs/results")
    """Folder of `zoo.json`, which has a list with one entry per seed for each value."""

    scenes: tuple[int, int] = (240, 480)
    """Numbers of scenes for training and for testing."""

    pretrain_epochs: int = 30
    """Epochs of each pre-training."""

    probe_epochs: int = 60
    """Epochs of each linear probe."""

    finetune_epochs: int = 10
    """Epochs of each fine-tuning."""

    base_lr: float = 16e-3
    """Learning rate of pre-training and fine-tuning for 256 samples an update."""


PRESETS = {"study": ("three seeds of everything", Config())}


def main(config: Config, *, models: Mapping[str, Model] = MODELS) -> None:
    """Measure what is not measured yet, writing each method's numbers when it is done."""
    counts = parameters(models)
    path, settings = config.out / "zoo.json", settings_of(config, models)
    claim(config.run.folder / "settings.json", settings)
    found = earlier(path, settings) or {name: {"parameters": counts[name]} for name in models}
    data = shards(config)
    for seed in config.numbers:
        left = [name for name, row in found.items() if len(row.get("linear_probe", [])) <= seed]
        seconds = seconds_per_step({name: models[name] for name in left}, data)
        for name in left:
            folder = config.run.folder / f"seed-{seed}" / name
            figures = measured(config, name, models[name], data, folder, seed)
            for key, value in {**figures, "seconds_per_step": seconds[name]}.items():
                found[name].setdefault(key, []).append(value)
            content = {"methods": found, "settings": settings, "versions": versions()}
            write_text(path, json.dumps(content, indent=2) + "\n")
            print(f"{path}: {name}, seed {seed}: {figures}", flush=True)


def settings_of(config: Config, models: Mapping[str, Model]) -> dict[str, Any]:
    """Return the settings that affect the results, except the seed, as JSON values."""
    values = {name: value for name, value in vars(config).items() if name not in _FREE}
    sizes = {name: asdict(model) for name, model in models.items()}
    return json.loads(json.dumps({**values, "models": sizes}))


def parameters(models: Mapping[str, Model]) -> dict[str, int]:
    """Count and print the encoders' parameters; a ValueError if they are not of one size."""
    counts = {}
    for name, model in models.items():
        encoder = autoencoder(name, model, SCENES_DATA).encoder
        counts[name] = sum(p.numel() for p in encoder.parameters())
        print(f"{name}: {counts[name]:,} parameters in the encoder")
    if max(counts.values()) > SPREAD * min(counts.values()):
        raise ValueError(f"the encoders are not of one size within 10%: {counts}")
    return counts


def autoencoder(name: str, model: Model, data: Data) -> Any:
    """Build what a method is pre-trained as."""
    if name == "cavmae":
        weight = cavmae_pretrain.PRESETS["scenes"][1].contrast_weight
        return cavmae_pretrain.build(model, data, contrast_weight=weight)
    return build_autoencoder(model, data)


def shards(config: Config) -> Data:
    """Make the scenes and pack them, once; return how they are read."""
    made = replace(SCENES_DATA, scenes=config.scenes)
    out = config.run.folder / "shards"
    splits: dict[str, ClipSet | None] = {"train": train_set(made), "test": test_set(made)}
    clips = {split: found for split, found in splits.items() if found is not None}
    make_shards(clips, out, settings=ShardSettings(fps=4.0), workers=1)
    return replace(SCENES_DATA, shards=str(out), workers=0)


def measured(
    config: Config, name: str, model: Model, data: Data, folder: Path, seed: int
) -> dict[str, float]:
    """Train a method and measure it."""
    recipe: Any = cavmae_pretrain if name == "cavmae" else paper_pretrain
    settings = {"data": data, "model": model, "base_lr": config.base_lr}
    epochs = config.pretrain_epochs
    length = {"epochs": epochs, "warmup": epochs // 10, "evaluate_every": epochs}
    pretrain = replace(recipe.PRESETS["scenes"][1], **settings, **length, predict=1.0)
    run = partial(_run, seed=seed)
    start = run(recipe, pretrain, folder / "pretrain", leaves="reconstruction.png")
    settings |= {"checkpoint": start, "evaluate_every": 1000, "windows": 1}
    still = {"data": replace(data, augment=False), "base_lr": paper_linear_probe.SCENES.base_lr}
    still |= {"epochs": config.probe_epochs, "warmup": config.probe_epochs // 6}
    probe = replace(paper_linear_probe.SCENES, **settings | still)
    scores = result(run(paper_linear_probe, probe, folder / "probe"))["scores"]
    # Layer decay would slow those with more layers down.
    warmup = min(paper_finetune.SCENES.warmup, config.finetune_epochs - 1)
    settings |= {"epochs": config.finetune_epochs, "warmup": warmup, "layer_decay": 1.0}
    finetune = replace(paper_finetune.SCENES, **settings)
    tuned = result(run(paper_finetune, finetune, folder / "finetune"))["scores"]
    recall = retrieval(start, data)
    return {
        "linear_probe": scores["both"]["all"]["top1"],
        "finetune": tuned["both"]["all"]["top1"],
        "image_missing": scores["audio"]["all"]["top1"],
        "audio_missing": scores["image"]["all"]["top1"],
        "image_to_audio_r1": recall["image_to_audio"]["r1"],
        "audio_to_image_r1": recall["audio_to_image"]["r1"],
    }


def _run(recipe: Any, config: Any, folder: Path, *, seed: int, leaves: str = "scores.json") -> Path:
    if not (folder / leaves).is_file():
        resume = exists(checkpoints(folder))
        recipe.main(replace(config, run=Run(dir=folder, seed=seed, resume=resume)))
    return folder


def retrieval(checkpoint: Path, data: Data) -> dict[str, dict[str, float]]:
    """Retrieve among the test clips, image and audio encoded each alone."""
    encoder, front_end = load_encoder_run(checkpoint)
    task = Embedding(encoder, front_end=front_end, apart=True).eval()
    clips = test_set(data)
    assert clips is not None
    rows = [task.features(batch) for batch in test_loader(clips, data, batch=32)]
    image, audio = (torch.cat([row[name] for row in rows]) for name in ("image", "audio"))
    return retrieval_scores(F.normalize(image, dim=1) @ F.normalize(audio, dim=1).T)


def seconds_per_step(
    models: Mapping[str, Model], data: Data, *, rounds: int = 10
) -> dict[str, float]:
    """Processor seconds of a step of pre-training on a batch in memory.

    The methods take turns, so that what else the machine does meets all of them alike.

    Returns:
        The median over the rounds, by method.
    """
    batch = next(iter(train_loader(train_set(data), data, batch=32, seed=0)(0, 1)))
    front_end = FrontEnd(data.format)
    tasks = {
        n: Pretraining(autoencoder(n, m, data), front_end=front_end) for n, m in models.items()
    }
    steps = {n: AdamW(task.parameters(), lr=1e-4, fused=True) for n, task in tasks.items()}
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds):
        for name, task in tasks.items():
            since = time.process_time()
            task(batch)["loss"].backward()
            steps[name].step()
            steps[name].zero_grad()
            times[name].append(time.process_time() - since)
    return {name: median(found) for name, found in times.items()}


def claim(path: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a folder of runs; a ValueError if its runs are of others."""
    if not path.is_file():
        write_text(path, json.dumps(settings, indent=2) + "\n")
    if read_json(path, dict, remedy="delete it") != settings:
        raise ValueError(f"{path} is of other settings: pass another --run.dir")


def earlier(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Read the methods of a file of these settings, if there is one."""
    if not path.is_file():
        return None
    found = read_json(path, {"methods": dict, "settings": dict}, remedy="delete it")
    if found["settings"] != settings:
        raise ValueError(f"{path} is of other settings: delete it, or pass another --out")
    return found["methods"]


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)

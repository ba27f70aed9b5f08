"""Measurements of a fusion method: scores after each training, retrieval, and time of a step."""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch.optim import AdamW

from avblocks.checkpoint.saves import exists
from avblocks.data import FrontEnd
from avblocks.metrics import retrieval_scores
from avblocks.tasks import Embedding, Pretraining
from recipes import cavmae_pretrain, paper_finetune, paper_linear_probe, paper_pretrain
from recipes.common.data import Data, test_set, train_set
from recipes.common.loaders import test_loader, train_loader
from recipes.common.model import Model, build_autoencoder
from recipes.common.runs import load_encoder_run
from recipes.engine import Run
from recipes.engine.folder import checkpoints
from recipes.study.runs import result
from recipes.study.zoo_settings import Config


def autoencoder(name: str, model: Model, data: Data) -> Any:
    """Build what a method is pre-trained as."""
    if name == "cavmae":
        weight = cavmae_pretrain.PRESETS["scenes"][1].contrast_weight
        return cavmae_pretrain.build(model, data, contrast_weight=weight)
    return build_autoencoder(model, data)


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
    """CPU seconds of a step of pre-training on a batch in memory.

    The methods take turns, so that other load on the machine affects all of them.

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

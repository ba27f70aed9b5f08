"""Builds Lightning's Trainer for a job, and runs it in the run folder."""

import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from signal import Signals
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import ModelParallelStrategy, Strategy
from torch import Tensor, nn

from avblocks.checkpoint import saves as _saves
from avblocks.distributed import finish_together
from recipes.engine.curve import loss_curve
from recipes.engine.folder import checkpoints, locked, open_folder
from recipes.engine.fsdp import Stream, WholeSaves, check_fits
from recipes.engine.job import Fitted, Job
from recipes.engine.log import Report
from recipes.engine.loop import Loop
from recipes.engine.plan import Plan
from recipes.engine.run import Run
from recipes.engine.slurm import comes_round, requeue


def run_job(job: Job) -> Fitted:
    """Train, and return how the run ended."""
    folder = job.run.folder
    job = replace(job, run=comes_round(job.run, checkpoints(folder)))
    if job.run.compile:
        _compile(job.compiled or job.model)
    with _quiet():
        trainer = _trainer(job.run, folder=folder, unused=job.unused)
        with locked(folder) if trainer.is_global_zero else nullcontext():
            return _in_folder(job, trainer, folder)


def _in_folder(job: Job, trainer: L.Trainer, folder: Path) -> Fitted:
    stream = Stream(job.train(trainer.global_rank, trainer.world_size))
    plan = Plan(
        batches=stream.batches,
        epochs=job.epochs,
        accumulate=job.run.accumulate,
        max_steps=job.run.max_steps,
        evaluate_every=job.evaluate_every,
    )
    path = open_folder(
        job.run,
        config=job.config,
        free=job.free,
        clips=job.clips,
        first=trainer.is_global_zero,
        check=partial(_check, job, stream),
    )
    return _train(job, trainer=trainer, stream=stream, plan=plan, folder=folder, path=path)


def _check(job: Job, stream: Stream, path: Path) -> None:
    """Refuse a checkpoint that does not fit, before anything in the run folder is changed."""
    state = _saves.load(path)
    check_fits(job.model, _weights(state))
    stream.sampler.load_state_dict(state["run"]["data"])


def _weights(state: dict[str, Any]) -> dict[str, Tensor]:
    return {name.removeprefix("model."): value for name, value in state["state_dict"].items()}


def _train(
    job: Job, *, trainer: L.Trainer, stream: Stream, plan: Plan, folder: Path, path: Path | None
) -> Fitted:
    start = _saves.step_of(path) if path else 0
    report = None
    if trainer.is_global_zero:
        report = Report(folder, plan=plan, start=start, every=job.run.log_every)
        report.say(_opening(job.model, trainer, plan=plan, path=path))
    stream.count = max(plan.stop - start, 0) * plan.accumulate
    loop = Loop(job, plan=plan, sampler=stream.sampler, folder=folder, report=report, start=start)
    try:
        if path and start >= plan.stop:
            if trainer.is_global_zero:
                _load(loop, path, trainer)
                loop.finish(trainer)
        else:
            trainer.fit(loop, stream, ckpt_path=path, weights_only=True)
    finally:
        stream.close()
        loop.signals.restore()
        if report is not None:
            report.close()
    finish_together()
    if report is not None:
        loss_curve(folder / "metrics.csv", folder / "loss.png")
    if loop.stopped_by:
        _leave(loop, folder)
    scores = report.evaluated if report else {}
    return Fitted(
        step=loop.at, total=plan.total, rank=trainer.global_rank, folder=folder, scores=scores
    )


def _opening(model: nn.Module, trainer: L.Trainer, *, plan: Plan, path: Path | None) -> str:
    if path and _saves.step_of(path) >= plan.stop:
        return f"nothing left to train: {path} is at step {_saves.step_of(path)} of {plan.stop}"
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    where = f"going on from {path}" if path else "starting"
    return (
        f"{where}: {plan.stop} of {plan.total} steps, {plan.batches} batches an epoch, "
        f"{count / 1e6:.2f} M parameters, {trainer.world_size} x "
        f"{trainer.strategy.root_device.type}, {trainer.precision}"
    )


def _load(loop: Loop, path: Path, trainer: L.Trainer) -> None:
    loop.model.load_state_dict(_weights(_saves.load(path)))
    loop.model.to(trainer.strategy.root_device)
    loop.catch_up(trainer)


def _leave(loop: Loop, folder: Path) -> None:
    name = Signals(loop.stopped_by).name
    if loop.report is not None:
        told = requeue(loop.stopped_by)
        print(f"{name}: saved at step {loop.at} in {folder}; {told or 'go on with --run.resume'}")
    sys.exit(128 + loop.stopped_by)


def _trainer(run: Run, *, folder: Path, unused: bool) -> L.Trainer:
    gpus = torch.cuda.device_count()
    devices = run.devices_per_node
    if torch.distributed.is_torchelastic_launched():
        started = int(os.environ["WORLD_SIZE"])
        if started != devices * run.nodes:
            raise ValueError(
                f"torchrun started {started} processes, but run.nodes {run.nodes} with run.devices "
                f"{devices} each make {devices * run.nodes}"
            )
    if gpus and devices > gpus:
        raise ValueError(f"run.devices is {devices}, but this machine has {gpus} GPUs")
    return L.Trainer(
        accelerator="gpu" if gpus else "cpu",
        devices=devices,
        num_nodes=run.nodes,
        strategy=_strategy(run, processes=devices * run.nodes, unused=unused),
        sync_batchnorm=gpus > 0,
        precision=_precision(run.precision, gpu=gpus > 0),
        accumulate_grad_batches=run.accumulate,
        max_epochs=1,
        plugins=[WholeSaves()],
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )


def _strategy(run: Run, *, processes: int, unused: bool) -> str | Strategy:
    if run.strategy == "fsdp":
        return ModelParallelStrategy(
            data_parallel_size=processes, tensor_parallel_size=1, save_distributed_checkpoint=False
        )
    if run.strategy != "ddp" and processes == 1:
        return "auto"
    return "ddp_find_unused_parameters_true" if unused else "ddp"


def _precision(wanted: str, *, gpu: bool) -> Any:
    if wanted == "16-mixed" and not gpu:
        raise ValueError("run.precision 16-mixed needs a GPU; take bf16-mixed or 32-true")
    if wanted != "auto":
        return wanted
    return "bf16-mixed" if gpu and torch.cuda.is_bf16_supported(False) else "32-true"


def _compile(model: nn.Module) -> None:
    compilers = [os.environ.get("CXX", "g++"), "g++", "clang++"]
    if not any(map(shutil.which, compilers)):
        raise ValueError("run.compile needs a C++ compiler, g++ or clang++, and found none")
    if torch.cuda.is_available() and find_spec("triton") is None:
        raise ValueError("run.compile needs the package triton on a GPU")
    model.compile()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's hints to itself; its errors still come through."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            # The audio patches' kernel has one channel, whose stride says nothing.
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

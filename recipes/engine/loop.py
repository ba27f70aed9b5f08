"""`Loop`: trains a model, step by step."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from avblocks.checkpoint import saves as _saves
from avblocks.distributed import gather_lists, reduced
from avblocks.seed import seed_all
from recipes.engine.batches import Batches
from recipes.engine.folder import checkpoints
from recipes.engine.launch import autocast, precision_of
from recipes.engine.log import Report
from recipes.engine.placement import Placement
from recipes.engine.plan import Plan
from recipes.engine.readings import LATE, BatchMetrics, NonFiniteGuard, StepLog, StepMetrics
from recipes.engine.run import Run
from recipes.engine.signals import StopSignals

SCALER = "MixedPrecision"
"""Name of the loss scaler's state in a checkpoint."""


@dataclass(kw_only=True, eq=False)
class Loop:
    """Trains a model, step by step.

    All randomness of a step follows from (seed, step, batch, process), so a checkpoint needs no
    random state: model, optimizer, step and position in the data are all there is.
    """

    run: Run
    rank: int
    device: torch.device
    placement: Placement
    schedule: Callable[[float], Sequence[float]]
    plan: Plan
    batches: Batches
    signals: StopSignals
    report: Report | None
    """Where results go; only process 0 has one."""

    evaluate: Callable[[], Mapping[str, float]] | None
    on_batch: Callable[[Any], object] | None
    at: int
    """Steps behind the model."""

    stopped_by: int = 0
    """The stop signal that ended the training, or 0."""

    def __post_init__(self) -> None:
        self.precision = precision_of(self.run)
        self.scaler = GradScaler(self.device.type, enabled=self.precision == "16-mixed")
        self._since = (0, 0.0)

    def train(self) -> None:
        """Take all steps that are left, or those until a stop signal."""
        if len(set(gather_lists([self.at]))) > 1:
            raise RuntimeError("processes disagree about the checkpoint to resume from")
        skip = self.run.on_nonfinite == "skip"
        saves = checkpoints(self.run.folder)
        self.guard = NonFiniteGuard(self.placement.trained, skip=skip, saves=saves)
        late = self.device.type in LATE and not skip
        scaled = self.scaler.is_enabled()
        self.step_log = StepLog(self.report, self.guard, scaled=scaled, late=late)
        self.catch_up()
        self._speed()
        while self.at < self.plan.stop and not self.stopped_by:
            self.step()
        self.placement.make_whole()  # for the test after the run

    def step(self) -> None:
        """Take one optimizer step, then record, save and evaluate what is due."""
        plan, run, model = self.plan, self.run, self.placement
        optimizer = model.optimizer
        rates = self.schedule(plan.epoch(self.at))
        _set_rates(optimizer, rates)

        # Forward and backward; gradients are shared among the processes after the last batch.
        self.guard.begin()
        measured = []
        for part in range(plan.accumulate):
            batch = self._next_batch()
            seed_all(run.seed, "train", self.at, part, self.rank)
            with model.unshared(part + 1 < plan.accumulate):
                with autocast(self.precision, self.device):
                    out = model.called(batch)
                measured.append(_batch_metrics(out, batch))
                self.scaler.scale(out["loss"] / plan.accumulate).backward()
            self.batches.position.advance()

        # Judge the gradient, clip it, update; metrics are read now or while the next step runs.
        self.scaler.unscale_(optimizer)
        norm = _gradient_norm(model.trained)
        metrics = StepMetrics(self.at + 1, batches=measured, norm=norm, signal=self._any_signal())
        self.step_log.add(metrics)
        if self.step_log.fault:
            self.guard.leave_out()
        elif run.clip_grad is not None:
            clip_grads_with_norm_(model.trained.parameters(), run.clip_grad, norm)
        self.scaler.step(optimizer)
        self.scaler.update()
        optimizer.zero_grad()
        self.at += 1

        # Record, save, evaluate, and look for a stop signal.
        metrics.known = {"lr": max(rates), "samples_per_s": self._speed()}
        save = self.at == plan.stop or self.at % run.save_every == 0
        evaluate = self.evaluate is not None and plan.evaluates(self.at)
        self.step_log.write(everything=save or evaluate)
        self.stopped_by = self.step_log.signal
        if save or self.stopped_by:
            self.save()
        if evaluate and not self.stopped_by:
            self._evaluate()
            self.stopped_by = int(self._any_signal())  # an evaluation may take long
            if self.stopped_by and not save:
                self.save()
        if save or evaluate:
            self._speed()  # That was no part of the next step.

    def save(self) -> None:
        """Write a checkpoint; the rows behind it go to disk first."""
        state = self.placement.state(keep=self.report is not None) | {
            SCALER: self.scaler.state_dict(),
            "run": {"step": self.at, "data": self.batches.position.state_dict()},
        }
        if self.report is not None:
            self.report.rows.flush()
            _saves.save(state, checkpoints(self.run.folder), step=self.at)

    def load(self, state: dict[str, Any]) -> None:
        """Continue with the optimizer and the loss scaler of a checkpoint, and empty it."""
        if state:
            self.placement.load_optimizer(state)
        if state.get(SCALER):  # a run may be resumed in another precision
            self.scaler.load_state_dict(state[SCALER])
        state.clear()  # it is as large as model and optimizer

    def catch_up(self) -> None:
        """Evaluate if the baseline, or the evaluation after the resumed step, is missing."""
        missing = self.report is not None and self.at not in self.report.evaluated
        if any(gather_lists([missing])) and self.plan.evaluates(self.at):
            self._evaluate()

    def _evaluate(self) -> None:
        if self.evaluate is None:
            return
        seed_all(self.run.seed, "evaluate", self.at, self.rank)
        self.placement.make_whole()
        with evaluating(self.placement.model, autocast(self.precision, self.device)):
            scores = self.evaluate()
        if self.report is not None:
            self.report.evaluation(self.at, scores)

    def _next_batch(self) -> Any:
        batch = self.batches.take().to(self.device, non_blocking=True)
        if self.on_batch is not None:
            self.on_batch(batch)
        return batch

    def _speed(self) -> float:
        """Samples per second since this was last called."""
        (consumed, since), now = self._since, time.perf_counter()
        self._since = (self.batches.position.consumed, now)
        return (self._since[0] - consumed) / max(now - since, 1e-9)

    def _any_signal(self) -> Tensor:
        return reduced(torch.full((), float(self.signals.received), device=self.device))


def _batch_metrics(out: Mapping[str, Tensor], batch: Any) -> BatchMetrics:
    names = ["loss", *(n for n, x in out.items() if x.ndim == 0 and n != "loss")]
    values = torch.stack([out[name].detach().float() for name in names])
    clips = [str(path) for path in getattr(batch, "paths", ())]
    return BatchMetrics(names=names, means=reduced(values, mean=True), own=values[0], clips=clips)


def _set_rates(optimizer: Optimizer, rates: Sequence[float]) -> None:
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def _gradient_norm(model: nn.Module) -> Tensor:
    norm = get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


@contextmanager
def evaluating(model: nn.Module, precision: AbstractContextManager[object]) -> Iterator[None]:
    """Put a model into evaluation mode, in a precision and without gradients, then back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad(), precision:
            yield
    finally:
        for module, training in modes.items():
            module.training = training

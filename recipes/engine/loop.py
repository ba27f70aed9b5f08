"""`Loop`: the training loop."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from avblocks.checkpoint import saves as _saves
from avblocks.checkpoint.whole import whole
from avblocks.data.keyed import KeyedBatches
from avblocks.distributed import gather_lists, reduced
from avblocks.locks import FolderLock
from avblocks.seed import seed_all
from recipes.engine.evaluations import Evaluations
from recipes.engine.folder import checkpoints
from recipes.engine.log import Report
from recipes.engine.plan import Plan
from recipes.engine.readings import LATE, BatchMetrics, NonFiniteGuard, StepLog, StepMetrics
from recipes.engine.run import Run
from recipes.engine.signals import StopSignals
from recipes.engine.trainee import Trainee


@dataclass(kw_only=True, eq=False)
class Loop:
    """Training loop.

    All randomness of a step is a function of (seed, step, batch, process), so that checkpoints need
    no random state, only model, optimizer, step and position in the data.
    """

    run: Run
    fabric: Fabric
    signals: StopSignals
    plan: Plan
    trainee: Trainee
    loader: InitVar[DataLoader[Any]]
    schedule: Callable[[float], Sequence[float]]
    evaluate: InitVar[Callable[[], Mapping[str, float]] | None]
    on_batch: Callable[[Any], object] | None
    report: Report | None  # logs; only in process 0
    lock: FolderLock | None  # lock of the run folder; only in process 0
    at: int  # number of steps done
    stopped_by: int = 0  # the stop signal that ended the training

    def __post_init__(
        self,
        loader: DataLoader[Any],
        evaluate: Callable[[], Mapping[str, float]] | None,
    ) -> None:
        self.device = self.fabric.device
        self.evaluations = Evaluations(
            run=self.run,
            plan=self.plan,
            rank=self.fabric.global_rank,
            trainee=self.trainee,
            evaluate=evaluate,
            report=self.report,
        )
        self.position = cast(KeyedBatches, loader.batch_sampler)
        self._batches = _epochs(loader)  # the only reference to the loader
        self._since = (0, 0.0, 0.0)

    def train(self) -> None:
        """Take all remaining steps, or those until a stop signal."""
        if len(set(gather_lists([self.at]))) > 1:
            raise RuntimeError("processes disagree about the checkpoint to resume from")
        evaluations = self.evaluations
        skip, saves = self.run.on_nonfinite == "skip", checkpoints(self.run.folder)
        self.guard = NonFiniteGuard(self.trainee.trained, skip=skip, saves=saves)
        late, scaled = self.device.type in LATE and not skip, self.trainee.scaler.is_enabled()
        self.step_log = StepLog(self.report, self.guard, scaled=scaled, late=late)
        evaluations.catch_up(self.at, save=self.save)
        self._speed()
        try:
            while self.at < self.plan.stop and not self.stopped_by and not evaluations.exhausted:
                self._check_folder()
                self.step()
        finally:
            # Release the loader, to end its workers: the garbage collector waits 5 s for each.
            self._batches.close()
        self.trainee.make_whole()  # for the test after the run

    def step(self) -> None:
        """Take one optimizer step, then log, save and evaluate if due."""
        plan, run, trainee = self.plan, self.run, self.trainee
        optimizer, scaler = trainee.optimizer, trainee.scaler
        rates = self.schedule(plan.epoch(self.at))
        _set_rates(optimizer, rates)

        # Forward and backward; gradients are shared among the processes after the last batch.
        self.guard.begin()
        measured = []
        for part in range(plan.accumulate):
            batch = self._next_batch()
            seed_all(run.seed, "train", self.at, part, self.fabric.global_rank)
            with self._sharing(part + 1 == plan.accumulate):
                with trainee.precision:
                    out = trainee.called(batch)
                measured.append(BatchMetrics.of(out, clips=getattr(batch, "paths", ())))
                scaler.scale(out["loss"] / plan.accumulate).backward()
            self.position.advance()

        # Check the gradient, clip it, update; metrics are read now or while the next step runs.
        scaler.unscale_(optimizer)
        norm = _gradient_norm(trainee.trained)
        metrics = StepMetrics(self.at + 1, batches=measured, norm=norm, signal=self._any_signal())
        self.step_log.add(metrics)
        if self.step_log.fault:
            self.guard.leave_out()
        elif run.clip_grad is not None:
            clip_grads_with_norm_(trainee.trained.parameters(), run.clip_grad, norm)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        self._count()

        # Log, save, evaluate, and check for a stop signal.
        metrics.known = {"lr": max(rates), **self._speed()}
        save = self.at == plan.stop or self.at % run.save_every == 0
        evaluate = self.evaluations.evaluate is not None and plan.evaluates(self.at)
        self.step_log.write(everything=save or evaluate)
        self.stopped_by = self.step_log.signal
        if save or self.stopped_by:
            self.save()
        if evaluate and not self.stopped_by:
            self.evaluations.add(self.at, save=self.save)
            self.stopped_by = int(self._any_signal())  # an evaluation may take long
            if (self.stopped_by or self.evaluations.exhausted) and not save:
                self.save()
        if save or evaluate:
            self._speed()  # reset the timer: this does not count for the next step

    def _count(self) -> None:
        """Count a step, and add its weights to the average."""
        self.at += 1
        if self.trainee.average is not None:
            self.trainee.average.update(self.at)

    def save(self, folder: Path | None = None, *, keep: int | None = None) -> None:
        """Write a checkpoint, after the rows of its steps are on disk."""
        place = {"step": self.at, "data": self.position.state_dict()}
        state = {**self.trainee.state(keep=self.report is not None), "run": place}
        self._check_folder()
        if self.report is not None:
            self.report.rows.flush()
            folder = folder or checkpoints(self.run.folder)
            _saves.save(state, folder, step=self.at, keep=keep or self.run.keep)

    def _check_folder(self) -> None:
        """End the run if its folder was removed or replaced."""
        if self.lock is not None:
            self.lock.check()

    def _sharing(self, share: bool) -> AbstractContextManager[None]:
        """Skip gradient synchronization of replicas unless `share`; shards always synchronize."""
        if share or not isinstance(self.trainee.called, DistributedDataParallel):
            return nullcontext()
        return self.trainee.called.no_sync()

    def _next_batch(self) -> Any:
        batch = next(self._batches).to(self.device, non_blocking=True)
        if self.on_batch is not None:
            self.on_batch(batch)
        return batch

    def _speed(self) -> dict[str, float]:
        """Samples per second, and CPU seconds of this process, since the last call."""
        consumed, since, cpu = self._since
        self._since = self.position.consumed, time.perf_counter(), time.process_time()
        rate = (self._since[0] - consumed) / max(self._since[1] - since, 1e-9)
        return {"samples_per_s": rate, "cpu_s": self._since[2] - cpu}

    def _any_signal(self) -> Tensor:
        return reduced(torch.full((), float(self.signals.received), device=self.device))


def _set_rates(optimizer: Optimizer, rates: Sequence[float]) -> None:
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def _gradient_norm(model: nn.Module) -> Tensor:
    norm = get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    return whole(norm)


def _epochs(loader: DataLoader[Any]) -> Generator[Any, None, None]:
    """Yield batches from the position of the batch sampler on, epoch after epoch."""
    while True:
        empty = True
        try:
            for batch in loader:
                empty = False
                yield batch
        except EOFError as error:  # one of several signs that a worker died
            raise ConnectionResetError("the line to it is cut") from error
        if empty:
            raise RuntimeError("the loader gave no batch for a whole epoch")

"""`Loop`: the training loop."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from lightning.fabric import Fabric
from torch import Tensor, distributed, nn
from torch.amp import GradScaler
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from avblocks.checkpoint import saves as _saves
from avblocks.data.keyed import KeyedBatches
from avblocks.distributed import gather_lists, reduced
from avblocks.locks import FolderLock
from avblocks.seed import seed_all
from avblocks.tasks import evaluation_mode
from recipes.engine.average import Average
from recipes.engine.best import best_step, exhausted
from recipes.engine.folder import PREFIX, best_checkpoint, checkpoints
from recipes.engine.fsdp import fill, gathered, scattered, sharded_copy
from recipes.engine.launch import autocast, precision_of
from recipes.engine.log import Report
from recipes.engine.plan import Plan
from recipes.engine.readings import LATE, BatchMetrics, NonFiniteGuard, StepLog, StepMetrics
from recipes.engine.run import Run
from recipes.engine.signals import StopSignals

SCALER = "MixedPrecision"  # name of the state of the loss scaler in a checkpoint
TRAINED = "trained"  # name of the weights in a checkpoint whose state dict is their average


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
    model: nn.Module
    optimizer: Optimizer
    loader: InitVar[DataLoader[Any]]
    schedule: Callable[[float], Sequence[float]]
    evaluate: Callable[[], Mapping[str, float]] | None
    on_batch: Callable[[Any], object] | None
    report: Report | None  # logs; only in process 0
    lock: FolderLock | None  # lock of the run folder; only in process 0
    at: int  # number of steps done
    stopped_by: int = 0  # the stop signal that ended the training
    exhausted: bool = False  # whether it ended early, for want of better evaluations

    def __post_init__(self, loader: DataLoader[Any]) -> None:
        self.device = self.fabric.device
        self.trained = self.called = self.model.to(self.device)
        self.position = cast(KeyedBatches, loader.batch_sampler)
        self.precision = autocast(self.run, self.device)
        scaled = precision_of(self.run) == "16-mixed"
        self.scaler = GradScaler(self.device.type, enabled=scaled)
        self.average: Average | None = None
        self._complete = False  # whether there is a whole state to save
        self._batches = _epochs(loader)  # the only reference to the loader
        self._since = (0, 0.0, 0.0)

    def place(self, *, compiled: nn.Module | None, unused: bool) -> None:
        """Replicate the model in all processes (DDP), or shard a copy over them (FSDP)."""
        if self.run.strategy == "fsdp":
            self.trained = sharded_copy(self.model, self.optimizer, compiled=compiled)
            self.called = self.trained
        elif distributed.is_initialized():
            gpu = self.device.type == "cuda"  # batch statistics are synchronized only on GPUs
            model = nn.SyncBatchNorm.convert_sync_batchnorm(self.model) if gpu else self.model
            ids = [self.device] if gpu else None
            self.called = DistributedDataParallel(
                model, device_ids=ids, find_unused_parameters=unused
            )

    def load(self, state: dict[str, Any]) -> None:
        """Load optimizer, loss scaler and average from a checkpoint, and clear its dict."""
        if self.run.ema is not None:  # the weights of a checkpoint are the average
            self.average = Average(self.trained, decay=self.run.ema)
            if state:
                self.average.load_trained(state[TRAINED])
        if state:
            (optimizer,) = state["optimizer_states"]
            self.optimizer.load_state_dict(scattered(optimizer, self.optimizer))
        if state.get(SCALER):  # a run may be resumed in another precision
            self.scaler.load_state_dict(state[SCALER])
        self._complete = True
        state.clear()  # it is as large as model and optimizer

    def train(self) -> None:
        """Take all remaining steps, or those until a stop signal."""
        if len(set(gather_lists([self.at]))) > 1:
            raise RuntimeError("processes disagree about the checkpoint to resume from")
        skip, saves = self.run.on_nonfinite == "skip", checkpoints(self.run.folder)
        self.guard = NonFiniteGuard(self.trained, skip=skip, saves=saves)
        late, scaled = self.device.type in LATE and not skip, self.scaler.is_enabled()
        self.step_log = StepLog(self.report, self.guard, scaled=scaled, late=late)
        self.catch_up()
        self._speed()
        try:
            while self.at < self.plan.stop and not self.stopped_by and not self.exhausted:
                self._check_folder()
                self.step()
        finally:
            # Release the loader, to end its workers: the garbage collector waits 5 s for each.
            self._batches.close()
        self._make_whole()  # for the test after the run

    def step(self) -> None:
        """Take one optimizer step, then log, save and evaluate if due."""
        plan, run, optimizer = self.plan, self.run, self.optimizer
        rates = self.schedule(plan.epoch(self.at))
        _set_rates(optimizer, rates)

        # Forward and backward; gradients are shared among the processes after the last batch.
        self.guard.begin()
        measured = []
        for part in range(plan.accumulate):
            batch = self._next_batch()
            seed_all(run.seed, "train", self.at, part, self.fabric.global_rank)
            with self._sharing(part + 1 == plan.accumulate):
                with self.precision:
                    out = self.called(batch)
                measured.append(BatchMetrics.of(out, clips=getattr(batch, "paths", ())))
                self.scaler.scale(out["loss"] / plan.accumulate).backward()
            self.position.advance()

        # Check the gradient, clip it, update; metrics are read now or while the next step runs.
        self.scaler.unscale_(optimizer)
        norm = _gradient_norm(self.trained)
        metrics = StepMetrics(self.at + 1, batches=measured, norm=norm, signal=self._any_signal())
        self.step_log.add(metrics)
        if self.step_log.fault:
            self.guard.leave_out()
        elif run.clip_grad is not None:
            clip_grads_with_norm_(self.trained.parameters(), run.clip_grad, norm)
        self.scaler.step(optimizer)
        self.scaler.update()
        optimizer.zero_grad()
        self._count()

        # Log, save, evaluate, and check for a stop signal.
        metrics.known = {"lr": max(rates), **self._speed()}
        save = self.at == plan.stop or self.at % run.save_every == 0
        evaluate = self.evaluate is not None and plan.evaluates(self.at)
        self.step_log.write(everything=save or evaluate)
        self.stopped_by = self.step_log.signal
        if save or self.stopped_by:
            self.save()
        if evaluate and not self.stopped_by:
            self._evaluate()
            self.stopped_by = int(self._any_signal())  # an evaluation may take long
            if (self.stopped_by or self.exhausted) and not save:
                self.save()
        if save or evaluate:
            self._speed()  # reset the timer: this does not count for the next step

    def _count(self) -> None:
        """Count a step, and add its weights to the average."""
        self.at += 1
        if self.average is not None:
            self.average.update(self.at)

    def save(self, folder: Path | None = None, *, keep: int | None = None) -> None:
        """Write a checkpoint, after the rows of its steps are on disk."""
        weights = self.trained.state_dict()
        trained = {}
        if self.average is not None:
            trained = {TRAINED: {n: p.detach() for n, p in self.average.trained.items()}}
            weights = weights | self.average.values
        state = {
            "state_dict": {PREFIX + name: value for name, value in weights.items()},
            **trained,
            "optimizer_states": [self.optimizer.state_dict()],
            SCALER: self.scaler.state_dict(),
            "run": {"step": self.at, "data": self.position.state_dict()},
        }
        state = gathered(state, keep=self.report is not None)
        self._check_folder()
        if self.report is not None:
            self.report.rows.flush()
            folder = folder or checkpoints(self.run.folder)
            _saves.save(state, folder, step=self.at, keep=keep or self.run.keep)

    def catch_up(self) -> None:
        """Evaluate if the baseline, or the evaluation of the resumed step, is missing."""
        missing = self.report is not None and self.at not in self.report.evaluated
        if any(gather_lists([missing])) and self.plan.evaluates(self.at):
            self._evaluate()
        elif self.evaluate is not None:
            self._compare()

    def _evaluate(self) -> None:
        if self.evaluate is None:
            return
        seed_all(self.run.seed, "evaluate", self.at, self.fabric.global_rank)
        own = self.average is not None and self.model is self.trained
        with self.average.restoring() if self.average and own else nullcontext():
            self._make_whole()
            with evaluation_mode(self.model), torch.no_grad(), self.precision:
                scores = self.evaluate()
        if self.report is not None:
            self.report.evaluation(self.at, scores)
        self._compare()

    def _compare(self) -> None:
        """Keep the checkpoint of the best evaluation, and end the training if none gets better."""
        metric, patience, save = self.run.keep_best, self.run.patience, False
        if metric is None:
            return
        best = best_checkpoint(self.run.folder)
        if self.report is not None:
            found = self.report.evaluated
            scores = {step: row for step, row in found.items() if self.plan.regular(step)}
            step = best_step(scores, metric)
            there = (best / f"step-{self.at:08d}.ckpt").is_file()
            save = self._complete and step == self.at and not there
            if patience is not None and exhausted(scores, metric, patience=patience):
                self.exhausted = True
                if self.at < self.plan.total:
                    self.report.say(f"stopped early: {metric} was best after step {step}")
        saves, over = zip(*gather_lists([(save, self.exhausted)]), strict=True)
        self.exhausted = any(over)
        if any(saves):
            self.save(best, keep=1)

    def _check_folder(self) -> None:
        """End the run if its folder was removed or replaced."""
        if self.lock is not None:
            self.lock.check()

    def _make_whole(self) -> None:
        """Copy all trained parameters, and the batch statistics of process 0, to the model."""
        if distributed.is_initialized():
            for buffer in self.trained.buffers():
                distributed.broadcast(buffer, 0)
        if self.model is not self.trained:
            fill(self.model, self.trained)
        if self.average is not None:
            self.average.copy_to(self.model)

    def _sharing(self, share: bool) -> AbstractContextManager[None]:
        """Skip gradient synchronization of replicas unless `share`; shards always synchronize."""
        if share or not isinstance(self.called, DistributedDataParallel):
            return nullcontext()
        return self.called.no_sync()

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
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


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

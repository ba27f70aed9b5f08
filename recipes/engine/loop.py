"""`Loop`: what happens at each step, told to Lightning's Trainer through its hooks."""

import copy
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from avblocks.distributed import reduced
from avblocks.seed import seed_all
from recipes.engine.finite import Finite
from recipes.engine.folder import checkpoints
from recipes.engine.fsdp import Position, evaluating, fill, rebind, shard
from recipes.engine.job import Job
from recipes.engine.log import Report
from recipes.engine.plan import Plan
from recipes.engine.readings import LATE, Part, Reading
from recipes.engine.record import Record
from recipes.engine.signals import StopSignals


class Loop(L.LightningModule):
    """Runs a recipe's job, step by step.

    All randomness of a step follows from (seed, step, batch, process), so a checkpoint needs
    no random state: model, optimiser, step and position are all there is.
    """

    def __init__(
        self,
        job: Job,
        *,
        plan: Plan,
        sampler: Position,
        folder: Path,
        report: Report | None,
        start: int,
    ) -> None:
        super().__init__()
        self.model = job.model
        self.job = job
        self.plan = plan
        self.sampler = sampler
        self.folder = folder
        self.report = report
        self.at = start
        self.signals = StopSignals()
        self.stopped_by = 0
        self._parts: list[Part] = []
        self._since = (0, 0.0)

    def configure_model(self) -> None:
        """Spread the parameters over the processes, where the strategy is to do so.

        A copy is spread. The model itself stays whole and is filled from it to be evaluated, since
        parameters that are spread come together in `forward` alone, and in all processes at once.
        """
        if self.job.run.strategy == "fsdp" and self.device_mesh is not None:
            job, names = self.job, {p: name for name, p in self.model.named_parameters()}
            places = {module: name for name, module in self.model.named_modules()}
            self.model = copy.deepcopy(job.model)
            if job.run.compile:  # which a copy is not
                self.model.get_submodule(places[job.compiled or job.model]).compile()
            shard(self.model, self.device_mesh["data_parallel"])
            rebind(job.optimizer, names, self.model)

    def configure_optimizers(self) -> Optimizer:
        """Hand over the recipe's optimiser."""
        return self.job.optimizer

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Move a batch while the device works."""
        return batch.to(device, non_blocking=True)

    def on_train_start(self) -> None:
        """Listen to signals, and make up for an evaluation that is due but not recorded."""
        skip = self.job.run.on_nonfinite == "skip"
        self.finite = Finite(self.model, skip=skip, saves=checkpoints(self.folder))
        scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        late = self.device.type in LATE and not skip
        self.record = Record(self.report, self.finite, scaled=scaled, late=late)
        self.signals.listen()
        self.catch_up(self.trainer)
        self._speed()

    def on_train_end(self) -> None:
        """Finish, while the model is still where it was trained."""
        self.finish(self.trainer)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set each group's learning rate, a function of the step alone."""
        if self.job.on_batch is not None:
            self.job.on_batch(batch)
        if batch_idx % self.plan.accumulate:
            return
        self.finite.begin()
        rates = self.job.schedule(self.plan.epoch(self.at))
        for group, rate in zip(self.job.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return a batch's loss."""
        part = batch_idx % self.plan.accumulate
        seed_all(self.job.run.seed, "train", self.at, part, self.global_rank)
        out = self.model(batch)
        names = ["loss", *(n for n, x in out.items() if x.ndim == 0 and n != "loss")]
        values = torch.stack([out[name].detach().float() for name in names])
        means, clips = reduced(values, mean=True), [str(p) for p in getattr(batch, "paths", ())]
        self._parts.append(Part(names=names, means=means, own=values[0], clips=clips))
        return out["loss"]

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Measure the step, clip the gradient, and see whether to leave the step out."""
        params = [p for p in self.model.parameters() if p.grad is not None]
        norm = get_total_norm([p.grad for p in params if p.grad is not None])
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        parts, self._parts = self._parts, []
        self.reading = Reading(self.at + 1, parts=parts, norm=norm, signal=self._any_signal())
        self.record.add(self.reading)
        if self.record.fault:
            self.finite.leave_out()
        elif self.job.run.clip_grad is not None:
            clip_grads_with_norm_(params, self.job.run.clip_grad, norm)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Count; at the end of a step also record, save, evaluate and look for signals."""
        plan = self.plan
        self.sampler.advance()
        if (batch_idx + 1) % plan.accumulate:
            return
        self.at += 1
        rate = max(group["lr"] for group in self.job.optimizer.param_groups)
        self.reading.known = {"lr": rate, "samples_per_s": self._speed()}
        due = self.at == plan.stop or self.at % self.job.run.save_every == 0
        evaluates = self.job.evaluate is not None and plan.evaluates(self.at)
        self.record.write(everything=due or evaluates)
        self.stopped_by = self.record.signal
        if due or self.stopped_by:
            self.save()
        if evaluates and not self.stopped_by:
            self._evaluate(self.trainer)
            self.stopped_by = int(self._any_signal())  # an evaluation may take long
            if self.stopped_by and not due:
                self.save()
        self.trainer.should_stop = bool(self.stopped_by)
        if due or evaluates:
            self._speed()  # That was no part of the next step.

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put in where the run stands, and leave out Lightning's own loops."""
        del checkpoint["loops"]
        checkpoint["global_step"] = self.at  # Lightning counts from the last start
        checkpoint["run"] = {"step": self.at, "data": self.sampler.state_dict()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go to where the checkpoint was written."""
        if checkpoint["run"]["step"] != self.at:
            raise RuntimeError("processes disagree about the checkpoint to resume from")
        self.sampler.load_state_dict(checkpoint["run"]["data"])

    def save(self) -> None:
        """Write a checkpoint; the rows behind it go to disk first."""
        if self.report is not None:
            self.report.rows.flush()
        self.trainer.save_checkpoint(checkpoints(self.folder) / "by-lightning")

    def catch_up(self, trainer: L.Trainer) -> None:
        """Evaluate if the baseline, or the evaluation after the resumed step, is missing."""
        missing = self.report is not None and self.at not in self.report.evaluated
        if trainer.strategy.broadcast(missing) and self.plan.evaluates(self.at):
            self._evaluate(trainer)

    def finish(self, trainer: L.Trainer) -> None:
        """Do what a recipe does once all steps are taken, on the device and in the precision."""
        whole = self._whole()  # for whoever uses the model after the run
        if self.job.final is not None and self.at >= self.plan.total and not self.stopped_by:
            seed_all(self.job.run.seed, "final", self.at, trainer.global_rank)
            with evaluating(whole, trainer.precision_plugin):
                self.job.final(whole)

    def _evaluate(self, trainer: L.Trainer) -> None:
        if self.job.evaluate is None:
            return
        seed_all(self.job.run.seed, "evaluate", self.at, trainer.global_rank)
        whole = self._whole()
        with evaluating(whole, trainer.precision_plugin):
            scores = self.job.evaluate(whole, self.plan.epochs_done(self.at))
        if self.report is not None:
            self.report.evaluation(self.at, scores)

    def _whole(self) -> nn.Module:
        """The model with its parameters together, and rank 0's statistics of batches."""
        if distributed.is_initialized():
            for buffer in self.model.buffers():
                distributed.broadcast(buffer, 0)
        if self.job.model is not self.model:
            fill(self.job.model.to(self.device), self.model)
        return self.job.model

    def _speed(self) -> float:
        """Samples a second since this was last called."""
        (consumed, since), now = self._since, time.perf_counter()
        self._since = (self.sampler.consumed, now)
        return (self.sampler.consumed - consumed) / max(now - since, 1e-9)

    def _any_signal(self) -> Tensor:
        return reduced(torch.full((), float(self.signals.received), device=self.device))

"""`OpenRun`: an open run, which trains and tests a model."""

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING, Any, NoReturn, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from avblocks.checkpoint import saves as _saves
from avblocks.data.keyed import KeyedBatches
from avblocks.distributed import finish_together
from avblocks.locks import FolderLock
from avblocks.seed import seed_all
from avblocks.tasks import evaluation_mode
from recipes.engine.console import Console
from recipes.engine.folder import PREFIX, check_fits, find_checkpoint
from recipes.engine.launch import autocast, precision_of
from recipes.engine.log import Report
from recipes.engine.peers import Peers
from recipes.engine.plan import Plan
from recipes.engine.records import Records
from recipes.engine.run import Run
from recipes.engine.signals import StopSignals, requeue

if TYPE_CHECKING:  # importing Lightning takes seconds, which `--help` should not cost
    from lightning.fabric import Fabric

    from recipes.engine.loop import Loop


class OpenRun:
    """A run opened by `open_run`; `run_config` is the content of `config.json`."""

    def __init__(
        self,
        run: Run,
        fabric: "Fabric",
        lock: FolderLock | None,
        *,
        run_config: dict[str, Any],
        free: Collection[str],
        console: Console,
    ) -> None:
        self.settings, self.fabric, self.run_config, self.lock = run, fabric, run_config, lock
        self.records = Records(run, run_config, lock=lock, console=console)
        self.signals = StopSignals()
        self._loop: Loop | None = None
        self._launched = False
        self._given: int | None = None  # steps of given weights, which are tested alone
        self.peers: Peers | None = None  # if there are other processes
        self.checkpoint: Path | None = None  # to resume from
        if self.first or run.resume:
            report = print if self.first else lambda _: None
            self.checkpoint = find_checkpoint(run, run_config, free=free, report=report)

    @property
    def first(self) -> bool:
        """Whether this is process 0, which alone should print and write files."""
        return self.fabric.is_global_zero

    @property
    def step(self) -> int:
        """Number of optimizer steps done."""
        if self._given is not None:
            return self._given
        return self._loop.at if self._loop else 0

    @property
    def finished(self) -> bool:
        """Whether all steps are done, not only `max_steps` of them, so that a test is due.

        If a finished run is resumed, only process 0 tests, and this is false in the others.
        """
        loop = self._loop
        if self._given is not None:
            return self.first
        if loop is None:
            return False
        ended = loop.evaluations.exhausted or loop.at >= loop.plan.total
        return ended and (self.first or self._launched)

    @property
    def scores(self) -> Mapping[int, Mapping[str, float]]:
        """Scores of the evaluations by step; only in process 0."""
        report = self._loop.report if self._loop else None
        return report.evaluated if report else {}

    def fit(
        self,
        model: nn.Module,
        *,
        train: Callable[[int, int], DataLoader[Any]],
        optimizer: Optimizer,
        schedule: Callable[[float], Sequence[float]],
        epochs: int,
        evaluate: Callable[[], Mapping[str, float]] | None = None,
        evaluate_every: int = 1,
        on_batch: Callable[[Any], object] | None = None,
        compiled: nn.Module | None = None,
        unused: bool = False,
    ) -> None:
        """Train a model; a run that is stopped and resumed gives bitwise equal results.

        Args:
            model: Model; a call with a batch returns a dict of tensors: the scalar `loss`, and
                other scalars to log.
            train: Function of (rank, world size) that makes the loader of that process, with a
                batch sampler such as `avblocks.data.keyed.KeyedBatches`. Batches have a method
                `to(device, non_blocking)`, and may have `paths` for error messages.
            optimizer: Optimizer of the model parameters.
            schedule: Function of the (fractional) epochs done that returns the learning rate of
                each group; called with 0.0 before the first step.
            epochs: Number of epochs.
            evaluate: Function that returns named scores; called in every process before training,
                every `evaluate_every` epochs and at the end, with the model in evaluation mode and
                without gradients. It does not affect the training.
            evaluate_every: Epochs between evaluations.
            on_batch: Called with each batch before the model, for example to count.
            compiled: The part of the model that `run.compile` compiles; by default all of it.
            unused: Whether the loss does not depend on some parameters, which DDP must know.

        Raises:
            ValueError: If the settings or the checkpoint are wrong.
            OSError: If a checkpoint cannot be written, or the run folder was removed.
            FloatingPointError: If the loss or the gradient is not finite.
            SystemExit: With 128 + the signal number, after a stop signal (SIGTERM, SIGINT, SIGUSR1
                or SIGHUP) and a save.
        """
        from recipes.engine.curve import loss_curve
        from recipes.engine.loop import Loop
        from recipes.engine.trainee import Trainee

        run, fabric = self.settings, self.fabric
        _check_best(run, evaluate)
        loader = train(fabric.global_rank, fabric.world_size)
        plan = Plan(
            batches=len(loader),
            epochs=epochs,
            accumulate=run.accumulate,
            max_steps=run.max_steps,
            evaluate_every=evaluate_every,
        )
        state = self._load(model, loader)
        start = state["run"]["step"] if state else 0
        compiled = (compiled or model) if run.compile else None
        if compiled is not None:
            compiled.compile()
        report = self._open_report(model, plan, start) if self.first else None
        try:
            if start < plan.stop:
                self._launch()
            loop = self._loop = Loop(
                run=run,
                fabric=fabric,
                signals=self.signals,
                plan=plan,
                trainee=Trainee(model, optimizer, run=run, device=fabric.device),
                loader=loader,
                schedule=schedule,
                evaluate=evaluate,
                on_batch=on_batch,
                report=report,
                lock=self.lock,
                at=start,
            )
            del loader  # the loop releases it, and its workers, after training
            if self._launched:
                loop.trainee.place(compiled=compiled, unused=unused)
                loop.trainee.load(state)
                loop.train()
            elif self.first:
                loop.evaluations.catch_up(start, save=loop.save)
        finally:
            if report is not None:
                report.close()
        if self.first:
            loss_curve(run.folder / "metrics.csv", run.folder / "loss.png")
        if loop.stopped_by:
            self._leave(loop)

    def load(self, model: nn.Module, weights: Mapping[str, Tensor], *, step: int) -> None:
        """Load weights, after as many steps, in place of a training, so that a test is due."""
        check_fits(model, weights)
        model.load_state_dict(weights)
        model.to(self.fabric.device)
        self._given = step

    def _launch(self) -> None:
        """Start the other processes, and handle signals."""
        self.fabric.launch()
        self._launched = True
        self.peers = Peers(self.fabric)
        self.signals.listen()

    def end_peers(self, error: BaseException) -> None:
        """End the other processes after an error in this one, unless it was caused by them."""
        if self.peers is None or isinstance(error, SystemExit):
            return
        if isinstance(error, RuntimeError):
            self.peers.settle()
        self.peers.end()

    @contextmanager
    def testing(self, model: nn.Module) -> Iterator[None]:
        """Set evaluation mode, no gradients and the precision of the run, for a test."""
        seed_all(self.settings.seed, "final", self.step, self.fabric.global_rank)
        with evaluation_mode(model), torch.no_grad(), self.precision():
            yield
        if self.lock is not None:
            self.lock.check()  # before the scores are written

    def precision(self) -> AbstractContextManager[object]:
        """Return a context in which a model computes in the precision of the run."""
        return autocast(self.settings, self.fabric.device)

    def _load(self, model: nn.Module, loader: DataLoader[Any]) -> dict[str, Any]:
        """Load weights and data position of the checkpoint, if any, and return the checkpoint."""
        if self.checkpoint is None:
            return {}
        state = _saves.load(self.checkpoint)
        weights = {n.removeprefix(PREFIX): value for n, value in state["state_dict"].items()}
        check_fits(model, weights)
        cast(KeyedBatches, loader.batch_sampler).load_state_dict(state["run"]["data"])
        model.load_state_dict(weights)
        return state

    def _open_report(self, model: nn.Module, plan: Plan, start: int) -> Report:
        """Open the logs at step `start`, and print a summary of the training."""
        report, fabric = self.records.open(plan, start=start), self.fabric
        count = sum(p.numel() for p in model.parameters() if p.requires_grad)
        where = f"resuming from {self.checkpoint}" if self.checkpoint else "training"
        if start >= plan.stop:
            report.say(
                f"nothing left to train: {self.checkpoint} is at step {start} of {plan.stop}"
            )
        else:
            report.say(
                f"{where}: {plan.stop} of {plan.total} steps, {plan.batches} batches per epoch, "
                f"{count / 1e6:.2f} M parameters, {fabric.world_size} x {fabric.device.type}, "
                f"{precision_of(self.settings)}"
            )
        return report

    def _leave(self, loop: "Loop") -> NoReturn:
        """End all processes after a stop signal."""
        if self.first:
            name, outcome = Signals(loop.stopped_by).name, requeue(loop.stopped_by)
            remedy = outcome or "continue with --run.resume"
            print(f"{name}: saved at step {loop.at} in {self.settings.folder}; {remedy}")
        if self.peers is not None:
            self.peers.release()
        finish_together()
        sys.exit(128 + loop.stopped_by)


def _check_best(run: Run, evaluate: object) -> None:
    if run.keep_best is not None and evaluate is None:
        raise ValueError(f"--run.keep-best {run.keep_best}: there are no test clips to evaluate on")

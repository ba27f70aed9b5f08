"""What a step measures: on its way from the device, judged, and written down."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from avblocks.checkpoint import saves as _saves
from avblocks.distributed import gather_lists, reduced
from recipes.engine.log import Report

LATE = {"cuda"}
"""Devices whose metrics are read one step later, when they have arrived; to read them at once would
keep the device waiting while the host prepares its next step."""
PATIENCE = 10  # consecutive skipped steps after which a run stops all the same


class BatchMetrics(NamedTuple):
    """What one batch of a step measured, on the device."""

    names: Sequence[str]  # of its losses, "loss" first
    means: Tensor  # its losses, the means over all processes
    own: Tensor  # the loss of this process
    clips: Sequence[str]  # its clips in this process, to be named in errors

    @classmethod
    def of(cls, out: Mapping[str, Tensor], *, clips: Iterable[object]) -> "BatchMetrics":
        """Take the scalars of what a model has returned."""
        names = ["loss", *(n for n, x in out.items() if x.ndim == 0 and n != "loss")]
        values = torch.stack([out[name].detach().float() for name in names])
        return cls(names, reduced(values, mean=True), values[0], [str(path) for path in clips])


class Reading(NamedTuple):
    """The numbers of a step, on the host."""

    means: list[list[float]]  # losses by batch and name, the means over all processes
    own: list[float]  # losses of this process by batch
    norm: float  # of the gradient
    signal: float  # the stop signal that any process has received, or 0


class StepMetrics:
    """What a step, from 1, measured: copied to the host asynchronously; the first read waits."""

    def __init__(
        self, step: int, *, batches: Sequence[BatchMetrics], norm: Tensor, signal: Tensor
    ) -> None:
        self.step, self.names = step, batches[0].names
        self.clips = [batch.clips for batch in batches]
        means = torch.stack([batch.means for batch in batches])
        own = torch.stack([batch.own for batch in batches])
        self._read = _home(means, own, norm, signal)
        self.known: dict[str, float] = {}  # to the host: learning rate and speed

    @cached_property
    def read(self) -> Reading:
        """Its numbers."""
        return Reading(*self._read())

    @property
    def row(self) -> dict[str, float]:
        """The step's row in the log: mean losses, gradient norm, and what the host knows."""
        means = [sum(column) / len(column) for column in zip(*self.read.means, strict=True)]
        losses = dict(zip(self.names, means, strict=True))
        return losses | {"grad_norm": self.read.norm} | self.known


def _home(*values: Tensor) -> Callable[[], list[Any]]:
    """Copy tensors to the host, in one piece and after the work that is queued by now."""
    flat = torch.cat([value.float().flatten() for value in values])
    event = torch.cuda.Event() if flat.is_cuda else None
    flat = flat.to("cpu", non_blocking=True)
    if event is not None:
        event.record()

    def read() -> list[Any]:
        if event is not None:
            event.synchronize()
        pieces = flat.split([value.numel() for value in values])
        return [p.reshape(v.shape).tolist() for p, v in zip(pieces, values, strict=True)]

    return read


class NonFiniteGuard:
    """Stops a run at a loss or gradient that is not finite, or skips the step.

    A skipped step leaves no trace in the model: its gradients are dropped, so that the optimizer
    passes over every parameter, and batch statistics are restored. All processes decide alike.
    The error names the last good checkpoint in `saves`.
    """

    def __init__(self, model: nn.Module, *, skip: bool, saves: Path) -> None:
        self.model, self.skip, self.saves = model, skip, saves
        self.in_a_row = 0
        self._buffers: list[Tensor] = []

    def begin(self) -> None:
        """Remember what a skipped step has to restore."""
        if self.skip:
            self._buffers = [buffer.clone() for buffer in self.model.buffers()]

    def fault(self, metrics: StepMetrics, *, scaled: bool) -> str:
        """Return what is not finite, and in which clips, if the step is to be skipped; else "".

        A loss scaler (`scaled`) skips a gradient that is not finite itself, and lowers its scale.

        Raises:
            FloatingPointError: If it is not finite and the run is to stop.
        """
        read = metrics.read
        losses = [row[0] for row in read.means]
        if not all(map(isfinite, losses)):
            own = zip(read.own, metrics.clips, strict=True)
            what = f"loss {sum(losses)}"
            clips = [clip for loss, part in own if not isfinite(loss) for clip in part]
        elif not isfinite(read.norm) and not scaled:
            what = f"gradient norm {read.norm}"
            clips = [clip for part in metrics.clips for clip in part]
        else:
            self.in_a_row = 0
            return ""
        self.in_a_row += 1
        listed = ", ".join(gather_lists(clips)) or "unnamed"
        fault = f"{what} in step {metrics.step}; clips of the batch: {listed}"
        if self.skip and self.in_a_row < PATIENCE:
            return fault
        good = _saves.latest(self.saves, report=lambda _: None) or "none yet"
        rows = f"; {self.in_a_row} such steps in a row" if self.skip else ""
        raise FloatingPointError(f"{fault}{rows}; last good checkpoint: {good}")

    def leave_out(self) -> None:
        """Drop the step's gradients, and restore the batch statistics."""
        for parameter in self.model.parameters():
            parameter.grad = None
        for buffer, before in zip(self.model.buffers(), self._buffers, strict=True):
            buffer.copy_(before)


class StepLog:
    """Reads the metrics of each step, at once or (`late`) one step later, and writes its row."""

    def __init__(
        self, report: Report | None, guard: NonFiniteGuard, *, scaled: bool, late: bool
    ) -> None:
        self.report, self.guard, self.scaled, self.late = report, guard, scaled, late
        self.signal = 0  # that any process has received, as far as metrics have been read
        self.fault = ""  # of the metrics read last
        self._pending: deque[StepMetrics] = deque()

    def add(self, metrics: StepMetrics) -> None:
        """Take a step's metrics, and read them unless that is to be late."""
        self._pending.append(metrics)
        if not self.late:
            self.fault = self.guard.fault(metrics, scaled=self.scaled)

    def write(self, *, everything: bool) -> None:
        """Write the rows of the steps that are done; with `everything`, of the last one too."""
        while self._pending:
            # What came before a stop is saved with it, so its last row is not left for later.
            wait = self.late and not everything and not self.signal
            if wait and len(self._pending) == 1:
                return
            metrics = self._pending.popleft()
            if self.late:
                self.fault = self.guard.fault(metrics, scaled=self.scaled)
            self.signal = self.signal or int(metrics.read.signal)
            if self.report is not None and self.fault:
                self.report.left_out(metrics.step, self.fault)
            elif self.report is not None:
                self.report.step(metrics.step, metrics.row)

"""Metrics of a step: asynchronous copies to the host, checks for finite values, and logging."""

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
"""Devices whose metrics are read one step later; to read them at once would synchronize, and leave
the device idle while the host prepares the next step."""
PATIENCE = 10  # consecutive skipped steps after which a run stops anyway


class BatchMetrics(NamedTuple):
    """Metrics of one batch of a step, on the device."""

    names: Sequence[str]  # names of the losses, "loss" first
    means: Tensor  # losses, averaged over all processes
    own: Tensor  # the loss of this process
    clips: Sequence[str]  # clips of this process, for error messages

    @classmethod
    def of(cls, out: Mapping[str, Tensor], *, clips: Iterable[object]) -> "BatchMetrics":
        """Extract the scalars of the outputs of a model."""
        names = ["loss", *(n for n, x in out.items() if x.ndim == 0 and n != "loss")]
        values = torch.stack([out[name].detach().float() for name in names])
        return cls(names, reduced(values, mean=True), values[0], [str(path) for path in clips])


class Reading(NamedTuple):
    """Metrics of a step, on the host."""

    means: list[list[float]]  # losses by batch and name, averaged over all processes
    own: list[float]  # losses of this process by batch
    norm: float  # gradient norm
    signal: float  # stop signal received by any process, or 0


class StepMetrics:
    """Metrics of a step, from 1, copied to the host asynchronously; the first read waits."""

    def __init__(
        self, step: int, *, batches: Sequence[BatchMetrics], norm: Tensor, signal: Tensor
    ) -> None:
        self.step, self.names = step, batches[0].names
        self.clips = [batch.clips for batch in batches]
        means = torch.stack([batch.means for batch in batches])
        own = torch.stack([batch.own for batch in batches])
        self._read = _home(means, own, norm, signal)
        self.known: dict[str, float] = {}  # on the host: learning rate and speed

    @cached_property
    def read(self) -> Reading:
        """Return the metrics."""
        return Reading(*self._read())

    @property
    def row(self) -> dict[str, float]:
        """Return the row of the step in the log: mean losses, gradient norm, rate and speed."""
        means = [sum(column) / len(column) for column in zip(*self.read.means, strict=True)]
        losses = dict(zip(self.names, means, strict=True))
        return losses | {"grad_norm": self.read.norm} | self.known


def _home(*values: Tensor) -> Callable[[], list[Any]]:
    """Copy tensors to the host in one transfer, after the work that is already queued."""
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
    """Stop the run, or skip the step, if the loss or the gradient is not finite.

    A skipped step does not change the model: its gradients are dropped, so that the optimizer
    skips every parameter, and batch statistics are restored. All processes decide equally.

    The error names the last good checkpoint in `saves`.
    """

    def __init__(self, model: nn.Module, *, skip: bool, saves: Path) -> None:
        self.model, self.skip, self.saves = model, skip, saves
        self.in_a_row = 0
        self._buffers: list[Tensor] = []

    def begin(self) -> None:
        """Store the state that a skipped step restores."""
        if self.skip:
            self._buffers = [buffer.clone() for buffer in self.model.buffers()]

    def fault(self, metrics: StepMetrics, *, scaled: bool) -> str:
        """Return what is not finite, and in which clips, if the step must be skipped; else "".

        A loss scaler (`scaled`) skips a gradient that is not finite itself, and lowers its scale.

        Raises:
            FloatingPointError: If a value is not finite and the run must stop.
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
        """Drop the gradients of the step, and restore the batch statistics."""
        for parameter in self.model.parameters():
            parameter.grad = None
        for buffer, before in zip(self.model.buffers(), self._buffers, strict=True):
            buffer.copy_(before)


class StepLog:
    """Read the metrics of each step, at once or (`late`) one step later, and log its row."""

    def __init__(
        self, report: Report | None, guard: NonFiniteGuard, *, scaled: bool, late: bool
    ) -> None:
        self.report, self.guard, self.scaled, self.late = report, guard, scaled, late
        self.signal = 0  # stop signal in the metrics read so far
        self.fault = ""  # fault in the metrics read last
        self._pending: deque[StepMetrics] = deque()

    def add(self, metrics: StepMetrics) -> None:
        """Add the metrics of a step, and read them unless `late`."""
        self._pending.append(metrics)
        if not self.late:
            self.fault = self.guard.fault(metrics, scaled=self.scaled)

    def write(self, *, everything: bool) -> None:
        """Write the rows of completed steps; with `everything`, also of the last one."""
        while self._pending:
            # The checkpoint of a stop includes the last step, so its row is written too.
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

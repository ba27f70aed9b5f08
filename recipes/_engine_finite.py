"""`Finite`: looks out for losses and gradients that are not finite numbers."""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from recipes import _saves
from recipes._distributed import gather_lists

PATIENCE = 10
"""Steps left out in a row after which a run stops all the same."""


class Finite:
    """Stops a run at a step that is not finite, or has it left out.

    A step left out leaves no trace in the model: its gradients are dropped, so that the optimiser
    passes over every parameter, and statistics of the batch go back to what they were. All
    processes come to the same decision.

    Args:
        model: The model as it is trained.
        skip: Whether to leave such steps out.
        saves: Where the checkpoints are, to name the last good one.
    """

    def __init__(self, model: nn.Module, *, skip: bool, saves: Path) -> None:
        self.model, self.skip, self.saves = model, skip, saves
        self.fault = ""
        self.in_a_row = 0
        self._step = 0
        self._clips: list[str] = []
        self._buffers: list[Tensor] = []

    def begin(self, step: int) -> None:
        """Note that a step begins.

        Args:
            step: Its number, from 1.
        """
        self._step, self._clips = step, []
        self.in_a_row = self.in_a_row + 1 if self.fault else 0
        self.fault = ""
        if self.skip:
            self._buffers = [buffer.clone() for buffer in self.model.buffers()]

    def loss(self, mean: float, *, own: float, batch: Any) -> None:
        """Look at the loss of a batch.

        Args:
            mean: Over all processes, so none of them misses that another's is not finite.
            own: That of this process.
            batch: May have `paths`, to be named.

        Raises:
            FloatingPointError: If it is not finite and the run is to stop.
        """
        paths = [str(path) for path in getattr(batch, "paths", ())]
        self._clips += paths
        if not isfinite(mean):
            self._note(f"loss {mean}", [] if isfinite(own) else paths)

    def gradient(self, norm: float) -> None:
        """Look at the norm of a step's gradient.

        Args:
            norm: The same in all processes.

        Raises:
            FloatingPointError: If it is not finite and the run is to stop.
        """
        if not isfinite(norm) and not self.fault:
            self._note(f"gradient norm {norm}", self._clips)

    def leave_out(self) -> None:
        """Drop the step's gradients and what it did to the batch statistics."""
        for parameter in self.model.parameters():
            parameter.grad = None
        for buffer, before in zip(self.model.buffers(), self._buffers, strict=True):
            buffer.copy_(before)

    def _note(self, what: str, paths: Sequence[str]) -> None:
        clips = ", ".join(gather_lists(list(paths))) or "unnamed"
        fault = f"{what} in step {self._step}; clips of the batch: {clips}"
        self.fault = f"{self.fault}; {fault}" if self.fault else fault
        if self.skip and self.in_a_row < PATIENCE - 1:
            return
        good = _saves.latest(self.saves, report=lambda _: None) or "none yet"
        rows = f"; {self.in_a_row + 1} such steps in a row" if self.skip else ""
        raise FloatingPointError(f"{self.fault}{rows}; last good checkpoint: {good}")

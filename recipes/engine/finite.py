"""`Finite`: looks out for losses and gradients that are not finite numbers."""

from math import isfinite
from pathlib import Path

from torch import Tensor, nn

from avblocks.checkpoint import saves as _saves
from avblocks.distributed import gather_lists
from recipes.engine.readings import Reading

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
        self.in_a_row = 0
        self._buffers: list[Tensor] = []

    def begin(self) -> None:
        """Remember what a step that begins may have to go back to."""
        if self.skip:
            self._buffers = [buffer.clone() for buffer in self.model.buffers()]

    def fault(self, reading: Reading, *, scaled: bool) -> str:
        """Tell what is wrong with a step.

        Args:
            reading: What it measured.
            scaled: Whether a loss scaler looks after the gradient: it skips such a step itself,
                and lowers its scale.

        Returns:
            What, and in which clips of all processes, if the step is to be left out; else "".

        Raises:
            FloatingPointError: If it is not finite and the run is to stop.
        """
        losses = [row[0] for row in reading.means]
        if not all(map(isfinite, losses)):
            own = zip(reading.own, reading.clips, strict=True)
            what = f"loss {sum(losses)}"
            clips = [clip for loss, part in own if not isfinite(loss) for clip in part]
        elif not isfinite(reading.norm) and not scaled:
            what = f"gradient norm {reading.norm}"
            clips = [clip for part in reading.clips for clip in part]
        else:
            self.in_a_row = 0
            return ""
        self.in_a_row += 1
        listed = ", ".join(gather_lists(clips)) or "unnamed"
        fault = f"{what} in step {reading.step}; clips of the batch: {listed}"
        if self.skip and self.in_a_row < PATIENCE:
            return fault
        good = _saves.latest(self.saves, report=lambda _: None) or "none yet"
        rows = f"; {self.in_a_row} such steps in a row" if self.skip else ""
        raise FloatingPointError(f"{fault}{rows}; last good checkpoint: {good}")

    def leave_out(self) -> None:
        """Drop the step's gradients and what it did to the batch statistics."""
        for parameter in self.model.parameters():
            parameter.grad = None
        for buffer, before in zip(self.model.buffers(), self._buffers, strict=True):
            buffer.copy_(before)

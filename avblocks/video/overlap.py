"""Sounds that come in windows: joined and drawn, as they pass."""

from math import ceil

import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.audio import pad_repeat
from avblocks.data import ClipFormat, FrontEnd

_COLUMNS = 1000  # of a spectrogram, at most
_BLOCK = 64  # frames that are made at once, if that is a column


class OverlapAdd:
    """Joins windows of several sounds; where they overlap, one fades into the next.

    Each window is weighed by a Hann window, and each sample divided by the sum of its weights: that
    is one, whatever the steps and at both ends. Only one window is kept.

    Args:
        count: Sounds.
        length: Samples of a window.
        total: Samples that come out in the end, at least one.

    >>> join = OverlapAdd(1, length=4, total=6)
    >>> ramp = torch.arange(6.0)[None]
    >>> torch.cat([join.add(ramp[:, :4], start=0), join.add(ramp[:, 2:], start=2), join.rest()], 1)
    tensor([[0., 1., 2., 3., 4., 5.]])
    """

    def __init__(self, count: int, *, length: int, total: int) -> None:
        # Without the zeros at both ends of a Hann window: no sample may weigh nothing.
        self.window = torch.hann_window(length + 2, periodic=False, dtype=torch.float64)[1:-1]
        self.sums = torch.zeros(count, length, dtype=torch.float64)
        self.weights = torch.zeros(length, dtype=torch.float64)
        self.start, self.total = 0, total

    def add(self, sounds: Float[Tensor, "c s"], *, start: int) -> Float[Tensor, "c passed"]:
        """Take the next window of each sound, and give what no later one can change.

        Args:
            sounds: The windows.
            start: Their first sample; at most a window's length after that of the last ones.
        """
        step, self.start = start - self.start, start
        passed = self._mean()[:, :step]
        for line in (self.sums, self.weights):
            line.copy_(line.roll(-step, dims=-1))
            line[..., line.shape[-1] - step :] = 0
        self.sums += self.window * sounds.cpu()
        self.weights += self.window
        return passed

    def rest(self) -> Float[Tensor, "c passed"]:
        """Give what is left after the last window."""
        return self._mean()[:, : self.total - self.start]

    def _mean(self) -> Float[Tensor, "c s"]:
        return (self.sums / self.weights).float()


class Strip:
    """Log-mel spectrograms of several sounds that pass; of long ones each column is a mean.

    Args:
        format: Rate, mel bins and hop.
        total: Samples of each sound.
    """

    def __init__(self, format: ClipFormat, *, total: int) -> None:
        self.log_mel = FrontEnd(format).log_mel
        self.pool = max(ceil(total / self.log_mel.hop / _COLUMNS), 1)
        self.block = max(_BLOCK // self.pool, 1) * self.pool * self.log_mel.hop
        self.line: Tensor | None = None
        self.columns: list[Float[Tensor, "c m t"]] = []

    def add(self, sounds: Float[Tensor, "c s"]) -> None:
        """Listen to the next samples."""
        line = sounds if self.line is None else torch.cat((self.line, sounds), dim=1)
        while line.shape[1] >= self.block:
            self._draw(line[:, : self.block])
            line = line[:, self.block :]
        self.line = line

    def rest(self) -> Float[Tensor, "c m t"]:
        """Give the spectrograms of all that has passed."""
        if self.line is not None and self.line.shape[1]:
            column = self.pool * self.log_mel.hop
            half = self.log_mel.mel.n_fft // 2 + 1
            length = max(ceil(self.line.shape[1] / column) * column, half)
            self._draw(pad_repeat(self.line, length))
        return torch.cat(self.columns, dim=2)

    def _draw(self, sounds: Float[Tensor, "c s"]) -> None:
        power = 10 ** self.log_mel(sounds)[:, 0]
        count = power.shape[2] // self.pool
        pooled = power[..., : count * self.pool].unflatten(2, (count, self.pool)).mean(dim=3)
        self.columns.append(pooled.log10())

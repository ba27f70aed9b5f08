"""Overlap-add: windows of audio joined into one signal, piece by piece."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.shapes import expect, require, require_positive


class OverlapAdd:
    """Join windows of several signals; where they overlap, one fades into the next.

    Each window is weighted by a Hann window, and each sample is divided by the sum of its weights,
    so that windows of one signal are joined to that signal for any hop, also at both ends. Only the
    length of one window is kept in memory.

    Args:
        count: Number of signals.
        length: Samples of a window.
        num_samples: Samples of the joined signals.

    Raises:
        ValueError: If a number is not positive.

    >>> join, ramp = OverlapAdd(1, length=4, num_samples=6), torch.arange(6.0)[None]
    >>> pieces = [join.add(ramp[:, :4], start=0), join.add(ramp[:, 2:], start=2), join.flush()]
    >>> torch.cat(pieces, dim=1)
    tensor([[0., 1., 2., 3., 4., 5.]])
    """

    def __init__(self, count: int, *, length: int, num_samples: int) -> None:
        require_positive(count=count, length=length, num_samples=num_samples)
        # Without the zeros at both ends of a Hann window: each sample needs a weight.
        self.window = torch.hann_window(length + 2, periodic=False, dtype=torch.float64)[1:-1]
        self.sums = torch.zeros(count, length, dtype=torch.float64)
        self.weights = torch.zeros(length, dtype=torch.float64)
        self.start, self.num_samples = 0, num_samples

    def add(self, windows: Float[Tensor, "c s"], *, start: int) -> Float[Tensor, "c ready"]:
        """Add the next window of each signal, and return the samples that no later window changes.

        ``start`` is the first sample of the windows: 0 at first, then at most a window's length
        after the last one. The samples before it are returned.

        Raises:
            ValueError: If ``start`` leaves a gap or moves back, or the windows are of another
                number or length.
        """
        count, length = self.sums.shape
        expect(windows=(windows, "c s"), c=count, s=length)
        step = start - self.start
        most = len(self.window) if self.weights.any() else 0
        require(0 <= step <= most, "start", start, f"{self.start} to {self.start + most}")
        ready, self.start = self._mean()[:, :step], start
        for line in (self.sums, self.weights):
            line.copy_(line.roll(-step, dims=-1))
            line[..., line.shape[-1] - step :] = 0
        self.sums += self.window * windows.cpu()
        self.weights += self.window
        return ready

    def flush(self) -> Float[Tensor, "c ready"]:
        """Return the samples from the last start on."""
        return self._mean()[:, : self.num_samples - self.start]

    def _mean(self) -> Float[Tensor, "c s"]:
        return (self.sums / self.weights).float()


def overlap_add(
    windows: Iterable[Float[Tensor, "c s"]], *, starts: Sequence[int], num_samples: int
) -> Iterator[Float[Tensor, "c ready"]]:
    """Join windows of several signals with `OverlapAdd`, and yield the samples as they are ready.

    Args:
        windows: One window of each signal at a time.
        starts: First sample of each window, from 0, in steps of at most the length of a window.
        num_samples: Samples of the joined signals.

    Raises:
        ValueError: If there are more or fewer windows than starts, or they leave a gap.

    >>> ramp = torch.arange(6.0)[None]
    >>> windows = (ramp[:, start : start + 4] for start in (0, 2))
    >>> torch.cat(list(overlap_add(windows, starts=(0, 2), num_samples=6)), dim=1)
    tensor([[0., 1., 2., 3., 4., 5.]])
    """
    join = None
    for window, start in zip(windows, starts, strict=True):
        if join is None:
            join = OverlapAdd(len(window), length=window.shape[1], num_samples=num_samples)
        yield join.add(window, start=start)
    if join is not None:
        yield join.flush()

"""`Reading`: what a step measured, on its way from the device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

LATE = {"cuda"}
"""Devices whose readings the loop looks at one step later. There they are then; to ask for them at
once would keep the device waiting while the host prepares its next step."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one batch of a step measured, on the device."""

    names: Sequence[str]
    """Of its losses, "loss" first."""

    means: Tensor
    """Its losses, the means over all processes."""

    own: Tensor
    """The loss of this process."""

    clips: Sequence[str]
    """Its clips in this process, to be named in errors."""


class Reading:
    """What a step measured; the first look at a number waits until it is there.

    Args:
        step: The step's number, from 1.
        parts: Its batches.
        norm: Of its gradient, the same in all processes.
        signal: The stop signal that any process has received, or 0.
    """

    def __init__(self, step: int, *, parts: Sequence[Part], norm: Tensor, signal: Tensor) -> None:
        self.step, self.names = step, parts[0].names
        self.clips = [part.clips for part in parts]
        means = torch.stack([part.means for part in parts])
        own = torch.stack([part.own for part in parts])
        self._read = _home(means, own, norm, signal)
        self.known: dict[str, float] = {}
        """What the host knew of the step: rates and speed."""

    @cached_property
    def _numbers(self) -> list[Any]:
        return self._read()

    @property
    def means(self) -> list[list[float]]:
        """Losses by batch and name, the means over all processes."""
        return self._numbers[0]

    @property
    def row(self) -> dict[str, float]:
        """All of the step that is kept: means of the losses, the norm, and what was known."""
        means = [sum(column) / len(column) for column in zip(*self.means, strict=True)]
        losses = dict(zip(self.names, means, strict=True))
        return losses | {"grad_norm": self.norm} | self.known

    @property
    def own(self) -> list[float]:
        """Losses of this process by batch."""
        return self._numbers[1]

    @property
    def norm(self) -> float:
        """The gradient's norm."""
        return self._numbers[2]

    @property
    def signal(self) -> int:
        """The stop signal, or 0."""
        return int(self._numbers[3])


def _home(*values: Tensor) -> Callable[[], list[Any]]:
    """Send tensors to the host, in one piece and behind the work that is queued by now."""
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

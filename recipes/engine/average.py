"""`Average`: an exponential moving average of the weights of a model (EMA)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from avblocks.checkpoint.whole import sharded_like, whole


class Average:
    """Average of the trained parameters of a model, which starts at their current values.

    The decay rises with the steps, as in TensorFlow, so that the first weights are soon forgotten:
    `min(decay, (1 + step) / (10 + step))`. Parameters may be sharded.

    Args:
        model: The trained model.
        decay: Largest share of the average that an update keeps.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self.trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.values = {name: value.detach().clone() for name, value in self.trained.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average after a step, counted from 1."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for name, value in self.values.items():
            value.lerp_(self.trained[name], 1 - keep)

    @torch.no_grad()
    def load_trained(self, weights: Mapping[str, Tensor]) -> None:
        """Set the trained parameters, and leave the average as it is."""
        for name, value in self.trained.items():
            value.copy_(sharded_like(weights[name].to(value.device), value))

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Copy the average to a model that is not sharded."""
        parameters = dict(model.named_parameters())
        for name, value in self.values.items():
            parameters[name].copy_(whole(value))

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Restore the trained parameters after the block, which may change them."""
        kept = {name: value.detach().clone() for name, value in self.trained.items()}
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in kept.items():
                    self.trained[name].copy_(value)

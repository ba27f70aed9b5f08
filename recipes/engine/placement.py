"""`Placement`: a model and its optimizer on the devices, replicated (DDP) or sharded (FSDP)."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from recipes.engine.folder import PREFIX
from recipes.engine.fsdp import fill, gathered, scattered, sharded_copy


class Placement:
    """A model and its optimizer, as they are trained.

    Args:
        model: The whole model, which is evaluated.
        optimizer: Over its parameters, before its first step.
        device: Of this process.
        sharded: Whether parameters are sharded over the processes, not replicated in each.
        compiled: The part of the model that is compiled, if any.
        unused: Whether some parameters have no part in the loss.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        *,
        device: torch.device,
        sharded: bool,
        compiled: nn.Module | None,
        unused: bool,
    ) -> None:
        self.model, self.optimizer = model.to(device), optimizer
        self.trained = self.called = self.model
        if sharded:
            self.trained = self.called = sharded_copy(model, optimizer, compiled=compiled)
        elif distributed.is_initialized():
            self.called = replicated(model, device, unused=unused)

    def unshared(self, unshared: bool) -> AbstractContextManager[None]:
        """Keep replicas from sharing gradients; shards do, as unshared ones would fill memory."""
        if unshared and isinstance(self.called, DistributedDataParallel):
            return self.called.no_sync()
        return nullcontext()

    def state(self, *, keep: bool) -> dict[str, Any]:
        """Return the weights and the optimizer's state; all processes must call it.

        Args:
            keep: Whether this process needs the result.
        """
        weights = self.trained.state_dict()
        state = {
            "state_dict": {PREFIX + name: value for name, value in weights.items()},
            "optimizer_states": [self.optimizer.state_dict()],
        }
        return gathered(state, keep=keep)

    def load_optimizer(self, state: dict[str, Any]) -> None:
        """Continue with the optimizer of a checkpoint."""
        (optimizer,) = state["optimizer_states"]
        self.optimizer.load_state_dict(scattered(optimizer, self.optimizer))

    def make_whole(self) -> None:
        """Give the model all trained parameters, and process 0's batch statistics."""
        if distributed.is_initialized():
            for buffer in self.trained.buffers():
                distributed.broadcast(buffer, 0)
        if self.model is not self.trained:
            fill(self.model, self.trained)


def replicated(model: nn.Module, device: torch.device, *, unused: bool) -> DistributedDataParallel:
    """Wrap a model that every process has a replica of; batch statistics are shared on GPUs."""
    gpu = device.type == "cuda"
    if gpu:
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    ids = [device] if gpu else None
    return DistributedDataParallel(model, device_ids=ids, find_unused_parameters=unused)

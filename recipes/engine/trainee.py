"""`Trainee`: a model in training, its replicas or shards, optimizer and averaged weights."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import distributed, nn
from torch.amp import GradScaler
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from avblocks.tasks import evaluation_mode
from recipes.engine.average import Average
from recipes.engine.folder import PREFIX
from recipes.engine.fsdp import fill, gathered, scattered, sharded_copy
from recipes.engine.launch import autocast, precision_of
from recipes.engine.run import Run

SCALER = "MixedPrecision"  # name of the state of the loss scaler in a checkpoint
TRAINED = "trained"  # name of the weights in a checkpoint whose state dict is their average


class Trainee:
    """Model in training with its optimizer, loss scaler and averaged weights.

    Attributes:
        model: The whole model on the device, which is evaluated.
        trained: The model whose parameters the optimizer updates: `model`, or its shards.
        called: What a training step calls: `trained`, or its replicas.
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, *, run: Run, device: torch.device
    ) -> None:
        self.run, self.device = run, device
        self.model = self.trained = self.called = model.to(device)
        self.optimizer = optimizer
        self.precision = autocast(run, device)
        self.scaler = GradScaler(device.type, enabled=precision_of(run) == "16-mixed")
        self.average: Average | None = None
        self.complete = False  # whether there is a whole state to save

    def place(self, *, compiled: nn.Module | None, unused: bool) -> None:
        """Replicate the model in all processes (DDP), or shard a copy over them (FSDP)."""
        if self.run.strategy == "fsdp":
            self.trained = sharded_copy(self.model, self.optimizer, compiled=compiled)
            self.called = self.trained
        elif distributed.is_initialized():
            gpu = self.device.type == "cuda"  # batch statistics are synchronized only on GPUs
            model = nn.SyncBatchNorm.convert_sync_batchnorm(self.model) if gpu else self.model
            ids = [self.device] if gpu else None
            self.called = DistributedDataParallel(
                model, device_ids=ids, find_unused_parameters=unused
            )

    def load(self, state: dict[str, Any]) -> None:
        """Load optimizer, loss scaler and average from a checkpoint, and clear its dict."""
        if self.run.ema is not None:  # the weights of a checkpoint are the average
            self.average = Average(self.trained, decay=self.run.ema)
            if state:
                self.average.load_trained(state[TRAINED])
        if state:
            (optimizer,) = state["optimizer_states"]
            self.optimizer.load_state_dict(scattered(optimizer, self.optimizer))
        if state.get(SCALER):  # a run may be resumed in another precision
            self.scaler.load_state_dict(state[SCALER])
        self.complete = True
        state.clear()  # it is as large as model and optimizer

    def state(self, *, keep: bool) -> dict[str, Any]:
        """Return the content of a checkpoint: weights, optimizer, loss scaler and average.

        All processes must call this; with `keep` off, for those that do not need the result, shards
        are gathered and dropped.
        """
        weights = self.trained.state_dict()
        trained = {}
        if self.average is not None:
            trained = {TRAINED: {n: p.detach() for n, p in self.average.trained.items()}}
            weights = weights | self.average.values
        state = {
            "state_dict": {PREFIX + name: value for name, value in weights.items()},
            **trained,
            "optimizer_states": [self.optimizer.state_dict()],
            SCALER: self.scaler.state_dict(),
        }
        return state if self.model is self.trained else gathered(state, keep=keep)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Set up the whole model for an evaluation, after which the training continues."""
        own = self.average is not None and self.model is self.trained
        with self.average.restoring() if self.average and own else nullcontext():
            self.make_whole()
            with evaluation_mode(self.model), torch.no_grad(), self.precision:
                yield

    def make_whole(self) -> None:
        """Copy all trained parameters, and the batch statistics of process 0, to the model."""
        if distributed.is_initialized():
            for buffer in self.trained.buffers():
                distributed.broadcast(buffer, 0)
        if self.model is not self.trained:
            fill(self.model, self.trained)
        if self.average is not None:
            self.average.copy_to(self.model)

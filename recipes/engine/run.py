"""`Run`: the settings of a training run that are the same in every recipe; `Folder`: where to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Where a run writes, if it trains nothing."""

    dir: Path | None = None
    """Folder for everything the run writes; by default runs/RECIPE-PRESET."""

    @property
    def folder(self) -> Path:
        """The run folder, once it is known."""
        if self.dir is None:
            raise ValueError("run.dir is not set")
        return self.dir


@dataclass(frozen=True, kw_only=True)
class Run(Folder):
    """Where and how to train: folder, length, hardware, saves."""

    max_steps: int | None = None
    """Stop after this many optimiser steps in total, resumed ones included."""

    resume: bool = False
    """Go on from the newest whole checkpoint in the folder."""

    seed: int = 0
    """Everything random follows from it: weights, order, augmentation, masks."""

    devices: int | None = None
    """Processes on each node; by default all GPUs, or one process on the CPU."""

    nodes: int = 1
    """Machines, each started by torchrun or SLURM."""

    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """How processes share the work; auto is ddp when there are several."""

    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    """Number format; auto is bf16-mixed on GPUs that have it, else 32-true."""

    compile: bool = False
    """Compile the model; needs a C++ compiler."""

    accumulate: int = 1
    """Batches (of each process) whose gradients make one optimiser step."""

    clip_grad: float | None = None
    """Largest gradient norm; larger ones are scaled down to it."""

    on_nonfinite: Literal["stop", "skip"] = "stop"
    """Stop at a loss or gradient that is not finite, or take no such step and count it."""

    save_every: int = 500
    """Optimiser steps between checkpoints; the end is always saved."""

    log_every: int = 10
    """Optimiser steps between TensorBoard points; metrics.csv has every step."""

    def __post_init__(self) -> None:
        for name in ("max_steps", "devices", "nodes", "accumulate", "save_every", "log_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"run.{name} must be at least 1, got {value}")
        if self.clip_grad is not None and not self.clip_grad > 0:
            raise ValueError(f"run.clip_grad must be above 0, got {self.clip_grad}")

    @property
    def devices_per_node(self) -> int:
        """Processes on each node."""
        return self.devices or torch.cuda.device_count() or 1

    @property
    def batches_per_step(self) -> int:
        """Batches behind one optimiser step, over all processes."""
        return self.devices_per_node * self.nodes * self.accumulate

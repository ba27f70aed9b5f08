"""`Run`: settings of training runs common to all recipes; `Folder`: the output folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from recipes.engine.ranges import check_ranges


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Output folder, for recipes that do not train."""

    dir: Path | None = None
    """Output folder of the run; runs/RECIPE-PRESET by default."""

    @property
    def folder(self) -> Path:
        """The run folder; a ValueError if it is not set."""
        if self.dir is None:
            raise ValueError("run.dir is not set")
        return self.dir


@dataclass(frozen=True, kw_only=True)
class Run(Folder):
    """Run folder, length, hardware, checkpoints."""

    max_steps: int | None = None
    """Stop after this many optimizer steps in total, including those before a resume."""

    resume: bool = False
    """Resume from the newest complete checkpoint in the folder."""

    seed: int = 0
    """Random seed of weights, order, augmentation and masks."""

    devices: int | None = None
    """Number of processes per node; by default one per GPU, or one on the CPU."""

    nodes: int = 1
    """Number of machines, each started by torchrun or SLURM."""

    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """Parallelism of several processes; auto is ddp."""

    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    """Precision; auto is bf16-mixed on GPUs that support it, else 32-true."""

    compile: bool = False
    """Compile the model with torch.compile; needs a C++ compiler."""

    accumulate: int = 1
    """Gradient accumulation: batches per process for one optimizer step."""

    clip_grad: float | None = None
    """Maximum gradient norm, to which larger ones are clipped."""

    on_nonfinite: Literal["stop", "skip"] = "stop"
    """Stop at a loss or gradient that is not finite, or skip and count the step."""

    save_every: int = 500
    """Optimizer steps between checkpoints; the end is always saved."""

    keep: int = 2
    """Newest checkpoints to keep."""

    keep_best: str | None = None
    """Number of the evaluations, such as top1_fusion, whose best checkpoint is kept in `best`;
    higher is better, or lower with min:NAME."""

    patience: int | None = None
    """Stop early after this many evaluations without a better `--run.keep-best`."""

    ema: float | None = None
    """Decay of an exponential moving average of the weights, such as 0.999, which evaluations,
    checkpoints and the final test use instead of the weights."""

    log_every: int = 10
    """Optimizer steps between TensorBoard points; metrics.csv has every step."""

    tracker: Literal["none", "trackio"] = "none"
    """Log to a tracker too: trackio (pip install trackio) stores runs on this machine."""

    def __post_init__(self) -> None:
        counts = ("max_steps", "devices", "nodes", "accumulate", "save_every", "log_every")
        rules = {"at least 1": (*counts, "keep", "patience")}
        rules |= {"above 0": ("clip_grad",), "between 0 and 1": ("ema",)}
        check_ranges(self, rules, prefix="--run.")
        if self.patience is not None and self.keep_best is None:
            raise ValueError("--run.patience needs --run.keep-best, the number to improve")

    @property
    def devices_per_node(self) -> int:
        """Number of processes per node."""
        return self.devices or torch.cuda.device_count() or 1

    @property
    def batches_per_step(self) -> int:
        """Number of batches per optimizer step, over all processes."""
        return self.devices_per_node * self.nodes * self.accumulate

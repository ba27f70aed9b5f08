"""Launch of processes and devices (Lightning Fabric), precision, and compiler."""

import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch

from recipes.engine.run import Run

if TYPE_CHECKING:  # importing Lightning takes seconds, which `--help` should not cost
    from lightning.fabric import Fabric


def build_fabric(run: Run) -> "Fabric":
    """Build the Fabric that launches the processes, also under torchrun and SLURM.

    The engine moves the model to the device and sets the precision by `autocast` itself, because
    Fabric's wrapper of a model would cast the batch, including waveforms, to half precision.

    Raises:
        ValueError: If the machine lacks the devices in the settings.
    """
    from lightning.fabric import Fabric

    gpus, devices = torch.cuda.device_count(), run.devices_per_node
    if torch.distributed.is_torchelastic_launched():
        started = int(os.environ["WORLD_SIZE"])
        if started != devices * run.nodes:
            raise ValueError(
                f"torchrun started {started} processes, but --run.nodes {run.nodes} with "
                f"--run.devices {devices} each make {devices * run.nodes}"
            )
    check_hardware(run)
    alone = run.strategy == "auto" and devices * run.nodes == 1
    return Fabric(
        accelerator="cuda" if gpus else "cpu",
        devices=devices,
        num_nodes=run.nodes,
        strategy="auto" if alone else "ddp",
    )


def check_hardware(run: Run) -> None:
    """Raise a ValueError if the machine lacks devices, a precision or a compiler of the run."""
    gpus, devices = torch.cuda.device_count(), run.devices_per_node
    if gpus and devices > gpus:
        raise ValueError(f"--run.devices is {devices}, but this machine has {gpus} GPUs")
    precision_of(run)
    check_compiler(run)


def precision_of(run: Run) -> str:
    """Return the precision: the one in the settings, if supported, or the best of the machine."""
    gpu = torch.cuda.is_available()
    if run.precision == "16-mixed" and not gpu:
        raise ValueError("--run.precision 16-mixed needs a GPU; take bf16-mixed or 32-true")
    if run.precision != "auto":
        return run.precision
    return "bf16-mixed" if gpu and torch.cuda.is_bf16_supported(False) else "32-true"


def autocast(run: Run, device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which a model computes in the precision of the run."""
    precision = precision_of(run)
    if precision == "32-true":
        return nullcontext()
    dtype = torch.bfloat16 if precision == "bf16-mixed" else torch.float16
    # With the cache, a weight first used without gradients would get none in the whole pass.
    return torch.autocast(device.type, dtype=dtype, cache_enabled=False)


def check_compiler(run: Run) -> None:
    """Raise a ValueError if a requirement of `run.compile` is missing."""
    if not run.compile:
        return
    compilers = [os.environ.get("CXX", "g++"), "g++", "clang++"]
    if not any(map(shutil.which, compilers)):
        raise ValueError("--run.compile needs a C++ compiler, g++ or clang++, and found none")
    if torch.cuda.is_available() and find_spec("triton") is None:
        raise ValueError("--run.compile needs the package triton on a GPU")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's hints, but not its errors."""
    loggers = [logging.getLogger(f"lightning.{name}") for name in ("fabric", "pytorch")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            # The kernel of the audio patches has one channel, whose stride is meaningless.
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

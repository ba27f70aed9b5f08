"""How a run is spread over devices and processes: Lightning Fabric, precision, DDP, compilation."""

import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec

import torch
from lightning.fabric import Fabric
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from recipes.engine.run import Run


def build_fabric(run: Run) -> Fabric:
    """Build what launches the processes, under torchrun and SLURM too, and knows their devices.

    Models are placed by `replicated` and `recipes.engine.fsdp`, and the precision is `autocast`'s:
    Fabric's own wrapper of a model casts the batch, waveforms included, to half precision.

    Raises:
        ValueError: If the machine does not have what the settings ask for.
    """
    gpus, devices = torch.cuda.device_count(), run.devices_per_node
    if torch.distributed.is_torchelastic_launched():
        started = int(os.environ["WORLD_SIZE"])
        if started != devices * run.nodes:
            raise ValueError(
                f"torchrun started {started} processes, but run.nodes {run.nodes} with run.devices "
                f"{devices} each make {devices * run.nodes}"
            )
    if gpus and devices > gpus:
        raise ValueError(f"run.devices is {devices}, but this machine has {gpus} GPUs")
    precision_of(run)
    alone = run.strategy == "auto" and devices * run.nodes == 1
    return Fabric(
        accelerator="cuda" if gpus else "cpu",
        devices=devices,
        num_nodes=run.nodes,
        strategy="auto" if alone else "ddp",
    )


def precision_of(run: Run) -> str:
    """Return the number format: the wanted one, or the best that the machine has.

    Raises:
        ValueError: If it needs a GPU and there is none.
    """
    gpu = torch.cuda.is_available()
    if run.precision == "16-mixed" and not gpu:
        raise ValueError("run.precision 16-mixed needs a GPU; take bf16-mixed or 32-true")
    if run.precision != "auto":
        return run.precision
    return "bf16-mixed" if gpu and torch.cuda.is_bf16_supported(False) else "32-true"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which a model computes in a precision."""
    if precision == "32-true":
        return nullcontext()
    dtype = torch.bfloat16 if precision == "bf16-mixed" else torch.float16
    # With the cache, a weight first used without gradients would get none in the whole pass.
    return torch.autocast(device.type, dtype=dtype, cache_enabled=False)


def replicated(model: nn.Module, device: torch.device, *, unused: bool) -> DistributedDataParallel:
    """Wrap a model that every process has a replica of; batch statistics are shared on GPUs.

    Args:
        model: On the device.
        device: Of this process.
        unused: Whether some parameters have no part in the loss.
    """
    gpu = device.type == "cuda"
    if gpu:
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    ids = [device] if gpu else None
    return DistributedDataParallel(model, device_ids=ids, find_unused_parameters=unused)


def check_compiler(run: Run) -> None:
    """Check that there is what `run.compile` needs.

    Raises:
        ValueError: If something is missing.
    """
    if not run.compile:
        return
    compilers = [os.environ.get("CXX", "g++"), "g++", "clang++"]
    if not any(map(shutil.which, compilers)):
        raise ValueError("run.compile needs a C++ compiler, g++ or clang++, and found none")
    if torch.cuda.is_available() and find_spec("triton") is None:
        raise ValueError("run.compile needs the package triton on a GPU")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's hints; its errors still come through."""
    loggers = [logging.getLogger(f"lightning.{name}") for name in ("fabric", "pytorch")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            # The audio patches' kernel has one channel, whose stride says nothing.
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

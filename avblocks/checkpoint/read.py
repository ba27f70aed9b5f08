"""State dicts from files: safetensors, or PyTorch files without any code in them."""

import pickle
import re
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from avblocks.checkpoint.folder import WEIGHTS, weights_of
from avblocks.checkpoint.saves import check_manifest

State = dict[str, Tensor]
"""Tensors by the names that a model or a file has for them."""

# Damaged bytes are read into errors of all these kinds.
_DAMAGED = (
    SafetensorError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
)
_WRAPPERS = ("model", "state_dict", "module", "teacher")


def read_state(path: str | Path) -> State:
    """Read a state dict from a ``.safetensors`` file or a PyTorch file (``weights_only=True``).

    Published files often wrap it: ``{"model": ...}`` and ``{"state_dict": ...}`` are unwrapped, and
    a ``module.`` that data parallelism left before every name is taken off. Where a checksum lies
    beside it, as a run and `save_pretrained` leave one, the file is compared with it.

    Args:
        path: the file, or a folder with a ``model.safetensors``, such as `save_pretrained` makes.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is a folder without one, is damaged or not of its checksum, holds more
            than tensors and plain types, or no tensors at all.
    """
    path = Path(path)
    if path.is_dir():
        path = weights_of(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint file")
    check_manifest(path)
    if path.name == WEIGHTS:
        weights_of(path.parent)
    content = _load(path)
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    content = content if isinstance(content, Mapping) else {}
    state = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not state:
        raise ValueError(f"{path}: holds no tensors by name; expected a state dict")
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    return state


def _load(path: Path) -> object:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # MAE and its followers save the command line beside the weights, as a namespace.
        with torch.serialization.safe_globals([Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL (\S+)", str(error))
        inside = f" (it holds {refused[1]})" if refused else ""
        raise ValueError(
            f"{path}: not a PyTorch file of tensors and plain types{inside}, and code in "
            "checkpoints is never run; convert it to safetensors where you trust it"
        ) from error
    except _DAMAGED as error:
        reason = re.split(r"\n|\. ", str(error))[0] or type(error).__name__
        raise ValueError(f"{path}: not a readable checkpoint ({reason})") from error

"""The values of a model: out of it, and into one that has no memory yet."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from avblocks.checkpoint import _folder
from avblocks.checkpoint._numbers import Numbers
from avblocks.checkpoint.load import load_weights
from avblocks.checkpoint.read import State
from avblocks.nn.position import SinCosPosition, sincos_position

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
M = TypeVar("M", bound=nn.Module)


def values_of(model: nn.Module) -> State:
    """Its weights on the CPU, each contiguous."""
    return {n: value.detach().cpu().contiguous() for n, value in model.state_dict().items()}


def check_values(model: nn.Module) -> None:
    """Check that the weights are the whole model, and of one number format.

    Raises:
        ValueError: if they are not.
    """
    tensors = (*model.parameters(), *model.buffers())
    formats = {tensor.dtype for tensor in tensors}
    if any(tensor.is_meta for tensor in tensors):
        raise ValueError("the model is on the meta device and has no weights to save")
    if len(formats) > 1 or not formats <= set(_DTYPES.values()):
        raise ValueError(
            f"weights of one number format can be saved, not of {sorted(map(str, formats))}: "
            "convert them, for instance by model.float()"
        )
    for name, module in model.named_modules():
        if isinstance(module, SinCosPosition):
            table = sincos_position(module.dim, module.grid).to(module.table)
            if not torch.allclose(module.table, table, rtol=0, atol=1e-6):
                raise ValueError(
                    f"{name}.table is not saved, and not that of its grid (a coarser number format "
                    "rounds it): call its reset_parameters()"
                )


def filled(build: Callable[[], M], folder: Path, *, numbers: Numbers, prefix: str) -> M:
    """The model on the CPU, in evaluation mode, with the weights of a folder.

    Args:
        build: makes it on the meta device.
        folder: where `save_pretrained` left it, or what it is a part of.
        numbers: those of the folder.
        prefix: what stands before its names there.

    Raises:
        ValueError: if the weights are damaged, or not those of the numbers.
    """
    path = _folder.whole_weights(folder)
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in sorted(file.keys()) if name.startswith(prefix)]
            stored = {name.removeprefix(prefix): file.get_slice(name) for name in names}
            shapes = {name: tuple(part.get_shape()) for name, part in stored.items()}
            formats = {part.get_dtype() for part in stored.values()}
            model = _fitting(build, shapes, numbers=numbers, path=path)
            if len(formats) > 1 or not formats <= _DTYPES.keys():
                raise ValueError(f"{path}: of number formats {sorted(formats)}, not of one")
            model = model.to(_DTYPES[formats.pop()]).to_empty(device="cpu")
            state = {name: file.get_tensor(prefix + name) for name in stored}
    except SafetensorError as error:
        raise ValueError(f"{path}: not a readable file of weights ({error})") from error
    for module in model.modules():
        if isinstance(module, SinCosPosition):
            module.reset_parameters()
    load_weights(model, state, strict=True)
    return model.eval()


def _fitting(
    build: Callable[[], M], shapes: dict[str, tuple[int, ...]], *, numbers: Numbers, path: Path
) -> M:
    """The model without memory, once its names and shapes are those of the file."""
    depths = (numbers["av_vit"]["depth"], numbers.get("av_mae", {}).get("depth", 0))
    if max(*depths[0], depths[1]) > len(shapes):
        raise ValueError(f"{path}: fewer tensors than {_folder.CONFIG} tells of blocks")
    try:
        model = build()
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path.with_name(_folder.CONFIG)}: no such model: {error}") from error
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    for name in own | shapes:
        if own.get(name) != shapes.get(name):
            raise ValueError(
                f"{path}: {name} is {shapes.get(name, 'missing')}, and {own.get(name, 'unknown')} "
                f"by the numbers of {_folder.CONFIG}"
            )
    return model

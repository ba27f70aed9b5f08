"""The tensors of a model: checked, out of it, and into one that has no memory yet."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from avblocks.checkpoint.arguments import Sections, build_on_meta
from avblocks.checkpoint.folder import CONFIG, weights_of
from avblocks.checkpoint.load import load_weights
from avblocks.checkpoint.read import State
from avblocks.nn.position import SinCosPosition, sincos_position

_FLOATS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
_INTEGERS = {"I64": torch.int64}  # counters, such as a batch norm's


def state_of(model: nn.Module) -> State:
    """The weights of a model on the CPU, each contiguous.

    Raises:
        ValueError: if they are not all of the model, or not of one number format.
    """
    tensors = (*model.parameters(), *model.buffers())
    formats = {tensor.dtype for tensor in tensors if tensor.dtype not in _INTEGERS.values()}
    if any(tensor.is_meta for tensor in tensors):
        raise ValueError("the model is on the meta device and has no weights to save")
    if len(formats) > 1 or not formats <= set(_FLOATS.values()):
        raise ValueError(
            f"weights of one number format can be saved, not of {sorted(map(str, formats))}: "
            "convert them, for instance by model.float()"
        )
    for name, module in model.named_modules():
        if isinstance(module, SinCosPosition):
            _check_table(module, name)
    return {n: value.detach().cpu().contiguous() for n, value in model.state_dict().items()}


def _check_table(module: SinCosPosition, name: str) -> None:
    table = sincos_position(module.dim, module.grid).to(module.table)
    if not torch.allclose(module.table, table, rtol=0, atol=1e-6):
        raise ValueError(
            f"{name}.table is not saved, and not that of its grid (a coarser number format "
            "rounds it): call its reset_parameters()"
        )


def load_model(folder: Path, *, sections: Sections, prefix: str = "") -> nn.Module:
    """Build a model and fill it with the weights of a folder.

    Args:
        folder: where `save_pretrained` left them.
        sections: what to build.
        prefix: what stands before its names in the file.

    Returns:
        The model, on the CPU, in evaluation mode.

    Raises:
        ValueError: if the weights are damaged, or are not those of the sections; nothing is
            allocated then.
    """
    path = weights_of(folder)
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in sorted(file.keys()) if name.startswith(prefix)]
            stored = {name.removeprefix(prefix): file.get_slice(name) for name in names}
            model = _fitting(sections, stored, path=path)
            model = model.to(_number_format(model, stored, path=path)).to_empty(device="cpu")
            state: dict[str, Tensor] = {n: file.get_tensor(prefix + n) for n in stored}
    except SafetensorError as error:
        raise ValueError(f"{path}: not a readable file of weights ({error})") from error
    for module in model.modules():
        if isinstance(module, SinCosPosition):
            module.reset_parameters()
    load_weights(model, state, strict=True)
    return model.eval()


def _fitting(sections: Sections, stored: dict[str, Any], *, path: Path) -> nn.Module:
    """The model without memory, once its names and shapes are those of the file."""
    try:
        model = build_on_meta(sections)
    except ValueError as error:
        raise ValueError(f"{path.with_name(CONFIG)}: {error}") from error
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    shapes = {name: tuple(part.get_shape()) for name, part in stored.items()}
    for name in own | shapes:
        if own.get(name) != shapes.get(name):
            raise ValueError(
                f"{path}: {name} is {shapes.get(name, 'missing')}, and {own.get(name, 'unknown')} "
                f"by the numbers of {CONFIG}"
            )
    return model


def _number_format(model: nn.Module, stored: dict[str, Any], *, path: Path) -> torch.dtype:
    """The format of all floating-point tensors; counters are integers in the file too."""
    state = model.state_dict()
    floats = {n for n, value in state.items() if value.is_floating_point()}
    formats = {stored[name].get_dtype() for name in floats}
    counters = {stored[name].get_dtype() for name in state.keys() - floats}
    if len(formats) > 1 or not formats <= _FLOATS.keys() or not counters <= _INTEGERS.keys():
        raise ValueError(f"{path}: of number formats {sorted(formats | counters)}, not of one")
    return _FLOATS[formats.pop()]

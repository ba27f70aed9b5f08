"""Training with a model's parameters sharded over the processes (FSDP 2).

A copy is sharded and trained. The model itself stays whole and is filled from the copy to be
evaluated, since sharded parameters come together in `forward` alone, and in all processes at once.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import Parameter
from torch.optim import Optimizer


def sharded_copy(
    model: nn.Module, optimizer: Optimizer, *, compiled: nn.Module | None
) -> nn.Module:
    """Return a copy of a model that is sharded over all processes.

    Args:
        model: On the device, the same in all processes.
        optimizer: Over the model's parameters, before its first step; it is bound to the copy's.
        compiled: The part of the model that is compiled, if any; the copy's is compiled too.
    """
    names = {parameter: name for name, parameter in model.named_parameters()}
    places = {module: name for name, module in model.named_modules()}
    copied = copy.deepcopy(model)
    if compiled is not None:  # a copy is not compiled
        copied.get_submodule(places[compiled]).compile()
    device = next(model.parameters()).device
    shard(copied, init_device_mesh(device.type, (torch.distributed.get_world_size(),)))
    rebind(optimizer, names, copied)
    return copied


def shard(model: nn.Module, mesh: DeviceMesh) -> None:
    """Shard a model's parameters over processes: each block of a list by itself, then the rest."""
    for module in reversed(list(model.modules())):  # lists within blocks come first
        if isinstance(module, nn.ModuleList):
            for block in module:
                fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def rebind(optimizer: Optimizer, names: Mapping[Parameter, str], model: nn.Module) -> None:
    """Point an optimizer at a model's new parameters, by name.

    Args:
        optimizer: One that has taken no step yet.
        names: Name of each parameter that it was built with.
        model: Has other parameters under the same names.
    """
    new = dict(model.named_parameters())
    for group in optimizer.param_groups:
        group["params"] = [new[names[parameter]] for parameter in group["params"]]


def fill(whole: nn.Module, sharded: nn.Module) -> None:
    """Copy a model's values out of its sharded copy."""
    values = whole.state_dict(keep_vars=False)
    for name, value in sharded.state_dict().items():
        values[name].copy_(value.full_tensor() if isinstance(value, DTensor) else value)


def gathered(state: Any, *, keep: bool) -> Any:
    """Return a state with its sharded tensors whole and on the CPU; all processes must call it.

    Args:
        state: Tensors and plain values, in dicts and lists.
        keep: Whether this process needs the result; the whole tensors are dropped where not.
    """
    if isinstance(state, dict):
        return {name: gathered(value, keep=keep) for name, value in state.items()}
    if isinstance(state, list):
        return [gathered(value, keep=keep) for value in state]
    if isinstance(state, DTensor):
        whole = state.full_tensor()
        return whole.cpu() if keep else None
    return state


def scattered(state: dict[str, Any], optimizer: Optimizer) -> dict[str, Any]:
    """Return an optimizer's state with its tensors sharded as the parameters they belong to.

    Args:
        state: As of an optimizer of the whole model, the same in all processes.
        optimizer: Over sharded parameters.
    """
    params = [p for group in optimizer.param_groups for p in group["params"]]
    parts = {
        index: {name: _as(value, params[index]) for name, value in values.items()}
        for index, values in state["state"].items()
    }
    return {**state, "state": parts}


def _as(value: Any, parameter: Tensor) -> Any:
    """Shard a tensor as a parameter is, unless it is none of the parameter's shape."""
    if not isinstance(parameter, DTensor) or getattr(value, "shape", None) != parameter.shape:
        return value
    mesh, placements = parameter.device_mesh, parameter.placements
    return distribute_tensor(value.to(parameter.device), mesh, placements, src_data_rank=None)

"""Training with parameters sharded over the processes (FSDP 2).

A copy of the model is sharded and trained. For evaluation, its values are copied to the whole
model, since sharded parameters are gathered only in `forward`, in all processes at once.
"""

import copy
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from avblocks.checkpoint.whole import sharded_like, whole


def sharded_copy(
    model: nn.Module, optimizer: Optimizer, *, compiled: nn.Module | None
) -> nn.Module:
    """Return a copy of a model that is sharded over all processes: block by block, then the rest.

    The model must be on the device, and equal in all processes. The optimizer, before its first
    step, is bound to the parameters of the copy. The copy of a compiled part is compiled.
    """
    names = {parameter: name for name, parameter in model.named_parameters()}
    places = {module: name for name, module in model.named_modules()}
    copied = copy.deepcopy(model)
    if compiled is not None:  # copies are not compiled
        copied.get_submodule(places[compiled]).compile()
    device = next(model.parameters()).device
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    lists = [module for module in copied.modules() if isinstance(module, nn.ModuleList)]
    for block in [block for blocks in reversed(lists) for block in blocks]:  # inner lists first
        if not hasattr(block, "embed_audio"):  # a localizer, of which other methods are called
            fully_shard(block, mesh=mesh)
    fully_shard(copied, mesh=mesh)
    new = dict(copied.named_parameters())
    for group in optimizer.param_groups:
        group["params"] = [new[names[parameter]] for parameter in group["params"]]
    return copied


def fill(model: nn.Module, sharded: nn.Module) -> None:
    """Copy the values of a sharded copy to the whole model."""
    values = model.state_dict(keep_vars=False)
    for name, value in sharded.state_dict().items():
        values[name].copy_(whole(value))


def gathered(state: Any, *, keep: bool) -> Any:
    """Gather the sharded tensors of a state on the CPU; all processes must call this.

    With `keep` off, for processes that do not need the result, gathered tensors are dropped.
    """
    if isinstance(state, dict):
        return {name: gathered(value, keep=keep) for name, value in state.items()}
    if isinstance(state, list):
        return [gathered(value, keep=keep) for value in state]
    if isinstance(state, DTensor):
        full = state.full_tensor()
        return full.cpu() if keep else None
    return state


def scattered(state: dict[str, Any], optimizer: Optimizer) -> dict[str, Any]:
    """Shard the state of an optimizer of the whole model like the parameters of ``optimizer``."""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    parts = {
        index: {name: sharded_like(value, params[index]) for name, value in values.items()}
        for index, values in state["state"].items()
    }
    return {**state, "state": parts}

"""Load weights into a model, with a report on every name."""

import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from avblocks.checkpoint.checks import check_lost, check_values, suffixes
from avblocks.checkpoint.read import State, bare_names
from avblocks.checkpoint.report import Converted, LoadReport, summary
from avblocks.checkpoint.whole import sharded_like, unwrapped
from avblocks.nn.older import renamed
from avblocks.nn.position import LearnedPosition, SinCosPosition, resize_position
from avblocks.wrappers import without_inserted


def load_weights(
    model: nn.Module,
    weights: Converted | State,
    *,
    strict: bool = False,
    allow: Collection[str] = (),
) -> LoadReport:
    """Copy weights into a model, and report on every name.

    Args:
        model: the model, or a part of one; it or its modules may be wrapped by ``torch.compile``,
            DDP or activation checkpointing, or sharded by ``fully_shard``: then all processes must
            call this with the same weights.
        weights: a state dict with names of avblocks, current or of earlier versions, or the result
            of a ``from_...`` function. What data parallelism and the compiler insert into all names
            is removed, as in `read_state`.
        strict: raise if a parameter stays at initialization or a tensor is unused.
        allow: suffixes of the names of weights that may be dropped although the model of the file
            uses them, such as ``("dist_token", "ls1.gamma")``.

    Returns:
        The report. Learned positions of another grid are interpolated and listed as reshaped.

    Raises:
        ValueError: if the model is on the device "meta", nothing matches, a shape differs, a value
            is not finite in the file or in the data type of the model, is an integer where the
            model has floats, the file has parts that the model lacks, such as layer scales,
            adapters, relative positions or more blocks, tied weights differ in the file, or with
            ``strict`` if anything is missing or unused; the model is then unchanged.

    Example:
        >>> import torch
        >>> from avblocks import Mlp
        >>> print(load_weights(Mlp(4), {"fc1.weight": torch.zeros(16, 4), "extra": torch.ones(1)}))
        loaded: 1 (fc1.weight)
        left at initialization: 3 (fc1.bias, fc2.weight, fc2.bias)
        unused in the file: 1 (extra)
        reshaped: none
        dropped on purpose: none
    """
    model = unwrapped(model)
    values = model.state_dict()
    names = {without_inserted(name): name for name in values}
    own = {name: values[full] for name, full in names.items()}
    if any(x.is_meta for x in own.values()):
        raise ValueError(
            "the model is on the device meta, which holds no values: first give it memory, by "
            "model.to_empty(device='cpu'), or use model.load_state_dict(weights, assign=True)"
        )
    converted = weights if isinstance(weights, Converted) else Converted(_state(weights, own))
    prefix = {n: x for n, x in converted.prefix_tokens.items() if n in own}
    state = renamed(model, converted.state | prefix, named=without_inserted)
    state, fixed = _without_fixed_positions(model, state, allow)
    state, reshaped = _resize_positions(model, state)
    state = _with_tied(model, state)
    lost = (n for n in converted.dropped if not (prefix and n in converted.prefix_names))
    report = LoadReport(
        loaded=tuple(name for name in own if name in state),
        missing=tuple(name for name, x in own.items() if name not in state and x.numel() > 0),
        unused=tuple(name for name in state if name not in own),
        reshaped=reshaped,
        dropped=(*lost, *fixed),
    )
    _check(report, state, own, strict=strict, allow=allow)
    new = {names[name]: sharded_like(state[name], own[name]) for name in report.loaded}
    model.load_state_dict(new, strict=False)
    return report


def _check(
    report: LoadReport, state: State, own: State, *, strict: bool, allow: Collection[str]
) -> None:
    """Raise a ``ValueError`` if weights do not fit a model, or are not to be loaded."""
    if not report.loaded:
        raise ValueError(f"no weight of the file fits the model\n{report}")
    check_lost(report.unused, own, allow=allow)
    check_lost(report.dropped, allow=allow)
    misfits = [
        f"{name}: {tuple(state[name].shape)} in the file, {tuple(own[name].shape)} in the model"
        for name in report.loaded
        if state[name].shape != own[name].shape
    ]
    if misfits:
        raise ValueError("weights of another size: " + "; ".join(misfits[:4]))
    check_values({name: state[name] for name in report.loaded}, own)
    if strict and (report.missing or report.unused):
        raise ValueError(
            f"strict: left at initialization {summary(report.missing)}, "
            f"unused in the file {summary(report.unused)}"
        )


def _state(weights: Any, own: State) -> State:
    """Return tensors by name, without what wrappers insert where the model has no such names."""
    if not isinstance(weights, Mapping):
        kind = type(weights).__name__
        raise ValueError(f"weights must be a state dict, as read_state(FILE) returns, got a {kind}")
    wrong = [name for name in own if not isinstance(weights.get(name, own[name]), Tensor)]
    if wrong:
        kind = type(weights[wrong[0]]).__name__
        raise ValueError(f"weights must be tensors, as torch.from_numpy gives, got a {kind}")
    inner = {without_inserted(name): x for name, x in weights.items()}
    bare = bare_names(weights)
    inserted = not any(n in own for n in inner) and any(n in own for n in bare)
    return bare if inserted else inner


def _with_tied(model: nn.Module, state: State) -> State:
    """Add the other names of tied weights, of which a file may hold one, as safetensors' do.

    Raises:
        ValueError: if weights are tied in the model, and differ in the file.
    """
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(without_inserted(name))
    state = dict(state)
    for tied in names.values():
        held = [name for name in tied if name in state]
        for name in held[1:]:
            if not torch.equal(state[name], state[held[0]]):
                raise ValueError(
                    f"{held[0]} and {name} are one weight in the model, and differ in the file"
                )
        state |= {name: state[held[0]] for name in tied if held}
    return state


def _without_fixed_positions(
    model: nn.Module, state: State, allow: Collection[str]
) -> tuple[State, tuple[str, ...]]:
    """Drop tables of positions that the model computes, if they are equal."""
    computed = {
        name: module.table
        for path, module in model.named_modules()
        if isinstance(module, SinCosPosition)
        if (name := without_inserted(f"{path}.table")) in state
    }
    for name, table in computed.items():
        if name.endswith(suffixes(allow)):
            continue
        same = state[name].shape == table.shape
        if not same or not torch.allclose(state[name].to(table), table, rtol=0, atol=1e-5):
            raise ValueError(
                f"{name}: the file's positions were trained, and the model's are fixed: build it "
                "with learned_position=True"
            )
    return {name: x for name, x in state.items() if name not in computed}, tuple(computed)


def _resize_positions(model: nn.Module, state: State) -> tuple[State, tuple[str, ...]]:
    state, reshaped = dict(state), []
    for path, module in model.named_modules():
        name = without_inserted(f"{path}.table" if path else "table")
        if not isinstance(module, LearnedPosition) or name not in state:
            continue
        table = state[name]
        if table.shape == module.table.shape:
            continue
        side = math.isqrt(table.shape[0])
        if side * side != table.shape[0] or len(module.grid) != 2:
            raise ValueError(
                f"{name}: {table.shape[0]} positions do not fit the grid {module.grid}, and only "
                "those of a square grid can be interpolated"
            )
        rows, columns = module.grid
        if rows not in (side, columns) and table.shape[0] % rows == 0:
            other = f"{rows}x{table.shape[0] // rows}"
            raise ValueError(
                f"{name}: {table.shape[0]} positions may be of a grid of {side}x{side} or {other}; "
                f"interpolate them to {module.grid} by avblocks.resize_position, then load"
            )
        state[name] = resize_position(table, grid=(side, side), new_grid=module.grid)
        reshaped.append(name)
    return state, tuple(reshaped)

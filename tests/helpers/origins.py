"""Where a model's weights come from in a published file, to compare gradients by its names."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from avblocks.checkpoint import Converted
from avblocks.checkpoint.read import State


def part(tensors: State, prefix: str) -> State:
    """The tensors under a prefix, without it."""
    return {n.removeprefix(prefix): x for n, x in tensors.items() if n.startswith(prefix)}


def gradient_norms(
    model: nn.Module, convert: Callable[[State], Converted], state: State
) -> dict[str, Tensor]:
    """Norm of the gradient of each published tensor that has one.

    A published tensor may be several of ours, such as ``qkv``: each is marked with a number, and
    the numbers in what the conversion makes of them say where a value came from.
    """
    names = list(state)
    marked = {name: torch.full_like(state[name], i) for i, name in enumerate(names)}
    squares: dict[str, Tensor] = {}
    parameters = dict(model.named_parameters())
    for ours, marks in convert(marked).state.items():
        grad = parameters[ours].grad if ours in parameters else None
        for number in marks.unique().tolist() if grad is not None else ():
            name = names[round(number)]
            share = grad[marks.reshape(grad.shape) == number].square().sum()
            squares[name] = squares.get(name, torch.tensor(0.0)) + share
    return {name: value.sqrt() for name, value in squares.items()}

"""Collective operations over all processes; without a process group they are trivial."""

from itertools import chain
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, distributed
from torch.autograd import Function

T = TypeVar("T")


def rank_and_world() -> tuple[int, int]:
    """Return the rank of this process and the number of processes."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def finish_together() -> None:
    """Wait for all processes, then destroy the process group.

    Without this, the threads of the group may fail at interpreter exit in one process while another
    one is still running.
    """
    if distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


def gather(value: Tensor) -> list[Tensor]:
    """Return the tensors of all processes, of any sizes, on the CPU."""
    return gather_lists([value.cpu()])


def reduced(value: Tensor, *, mean: bool = False) -> Tensor:
    """Return the mean or the maximum over all processes, without synchronizing the host."""
    _, world = rank_and_world()
    if world == 1:
        return value
    value = value.clone()
    distributed.all_reduce(value, distributed.ReduceOp.SUM if mean else distributed.ReduceOp.MAX)
    return value / world if mean else value


def gather_lists(values: list[T]) -> list[T]:
    """Return the concatenated lists of all processes; tensors on the CPU."""
    _, world = rank_and_world()
    if world == 1:
        return values
    lists: list[Any] = [None] * world
    distributed.all_gather_object(lists, values)
    return list(chain.from_iterable(lists))


def gather_rows(rows: Tensor) -> Tensor:
    """Join the rows of all processes, each with every n-th sample, in the order of the samples."""
    parts = gather(rows)
    places = [rank + len(parts) * torch.arange(len(part)) for rank, part in enumerate(parts)]
    return torch.cat(parts)[torch.cat(places).argsort()]


def gather_with_grad(rows: Float[Tensor, "b ..."]) -> Float[Tensor, "all_b ..."]:
    """Concatenate the rows of all processes, equally many each; gradients flow back to all.

    If a loss over the result is averaged by DistributedDataParallel, the gradient equals that of
    the whole batch in one process.
    """
    _, world = rank_and_world()
    return rows if world == 1 else _GatherWithGrad.apply(rows)


class _GatherWithGrad(Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        rank, world = rank_and_world()
        ctx.start, ctx.count = rank * len(rows), len(rows)
        parts = [torch.empty_like(rows) for _ in range(world)]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (grad,) = grads
        grad = grad.contiguous()
        distributed.all_reduce(grad)
        return grad[ctx.start : ctx.start + ctx.count]

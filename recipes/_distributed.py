"""What several processes share; with one process all of it is the plain thing."""

from torch import Tensor, distributed


def rank_and_world() -> tuple[int, int]:
    """Return this process's number and how many there are."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def gather(value: Tensor) -> list[Tensor]:
    """Return the tensors of all processes, on the CPU, whatever their sizes."""
    rank, world = rank_and_world()
    values: list[Tensor] = [value.cpu()] * world
    if world > 1:
        distributed.all_gather_object(values, values[rank])
    return values

"""Every public model in two processes: replicated by DDP, sharded by ``fully_shard``, and saved."""

import os
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from public_models import MODELS, encoder, tensors, total
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel

from avblocks.checkpoint import from_pretrained, load_weights, save_pretrained

WORLD = 2


def trained(model: nn.Module, rank: int, name: str) -> dict[str, torch.Tensor]:
    """Gradients of a process's own half, averaged over the processes."""
    torch.manual_seed(7 + rank)
    total(model(**MODELS[name].inputs(2))).backward()
    whole = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return {n: g.full_tensor() if hasattr(g, "full_tensor") else g for n, g in whole.items()}


def alone(name: str) -> dict[str, torch.Tensor]:
    """The same gradients in one process."""
    sums: dict[str, torch.Tensor] = {}
    for rank in range(WORLD):
        torch.manual_seed(0)
        model = MODELS[name].build().eval()
        for key, value in trained(model, rank, name).items():
            sums[key] = sums.get(key, 0) + value / WORLD
    return sums


def replicated(rank: int, name: str, _: Path) -> None:
    torch.manual_seed(0)
    model = MODELS[name].build().eval()
    replica = DistributedDataParallel(model, find_unused_parameters=bool(MODELS[name].unused))
    wanted = alone(name)
    for key, value in trained(replica, rank, name).items():
        torch.testing.assert_close(value, wanted[key.removeprefix("module.")])


def sharded(rank: int, name: str, _: Path) -> None:
    torch.manual_seed(0)
    model = MODELS[name].build().eval()
    mesh = init_device_mesh("cpu", (WORLD,))
    for part in [m for m in model.modules() if type(m).__name__ in ("Block", "FusionBlock")]:
        fully_shard(part, mesh=mesh)
    fully_shard(model, mesh=mesh)
    wanted = alone(name)
    for key, value in trained(model, rank, name).items():
        torch.testing.assert_close(value, wanted[key])


def sharded_in_half(_: int, name: str, __: Path) -> None:
    """All weights in one group of bfloat16; buffers, such as fixed positions, keep their format."""
    torch.manual_seed(0)
    model = MODELS[name].build().eval()
    given = MODELS[name].inputs(2)
    wanted = tensors(model(**given))
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16)
    fully_shard(model, mesh=init_device_mesh("cpu", (WORLD,)), mp_policy=policy)
    for mine, own in zip(tensors(model(**given)), wanted, strict=True):
        torch.testing.assert_close(mine.float(), own, rtol=0.2, atol=0.2)


def filled(_: int, __: str, ___: Path) -> None:
    """Whole weights go into a sharded model, in every process the same."""
    torch.manual_seed(0)
    source, model, given = encoder().eval(), encoder().eval(), MODELS["factorized"].inputs(2)
    wanted = tensors(source(**given))
    fully_shard(model.image.blocks[0], mesh=init_device_mesh("cpu", (WORLD,)))
    fully_shard(model, mesh=init_device_mesh("cpu", (WORLD,)))
    load_weights(model, source.state_dict(), strict=True)
    for mine, own in zip(tensors(model(**given)), wanted, strict=True):
        torch.testing.assert_close(mine, own, rtol=0, atol=0)


def without_audio(rank: int, name: str, _: Path) -> None:
    """A batch that lacks a modality in one process: ``find_unused_parameters`` is what to set."""
    model = DistributedDataParallel(encoder().eval(), find_unused_parameters=True)
    for step in range(2):
        given = MODELS["factorized"].inputs(2) | ({"audio": None} if rank == step else {})
        total(model(**given)).backward()


def saved(rank: int, name: str, folder: Path) -> None:
    torch.manual_seed(0)
    model = encoder().eval()
    given = MODELS["factorized"].inputs(2)
    wanted = tensors(model(**given))
    if rank == 0:
        save_pretrained(model, folder / "plain")
        save_pretrained(torch.compile(model), folder / "compiled")
    replica = DistributedDataParallel(model)
    if rank == 0:
        save_pretrained(replica, folder / "ddp")
    fully_shard(model.image.blocks[0], mesh=init_device_mesh("cpu", (WORLD,)))
    fully_shard(model, mesh=init_device_mesh("cpu", (WORLD,)))
    save_pretrained(model, folder / "fsdp")
    distributed.barrier()
    for kind in ("plain", "compiled", "ddp", "fsdp"):
        again = from_pretrained(folder / kind).encoder
        for mine, own in zip(tensors(again(**given)), wanted, strict=True):
            torch.testing.assert_close(mine, own, rtol=0, atol=0)


CHECKS: dict[str, Any] = {
    **{f"DDP {name}": (replicated, name) for name in MODELS},
    **{f"FSDP {name}": (sharded, name) for name in MODELS},
    **{f"FSDP bfloat16 {n}": (sharded_in_half, n) for n in ("vit", "dense", "masked autoencoder")},
    "DDP without audio": (without_audio, ""),
    "filled": (filled, ""),
    "saved": (saved, ""),
}


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(WORLD), "LOCAL_RANK": str(rank)}
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=WORLD,
        timeout=timedelta(seconds=30),  # where one process failed, the other waits
    )
    for label, (check, name) in CHECKS.items():
        try:
            check(rank, name, Path(folder))
        except Exception:
            Path(folder, f"{label} {rank}.txt").write_text(traceback.format_exc())
            break  # the other process waits for this one: stop here
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong, by check: two processes do them one after the other."""
    folder = tmp_path_factory.mktemp("processes")
    try:
        torch.multiprocessing.spawn(work, args=(str(folder),), nprocs=WORLD)
    except Exception as error:
        if not list(folder.glob("*.txt")):
            raise error
    return {path.stem[:-2]: path.read_text() for path in folder.glob("*.txt")}


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
def test_two_processes(check: str, faults: dict[str, str]) -> None:
    first = min((list(CHECKS).index(label) for label in faults), default=len(CHECKS))
    assert check not in faults, faults[check]
    if list(CHECKS).index(check) > first:
        pytest.skip("not reached: an earlier check failed")

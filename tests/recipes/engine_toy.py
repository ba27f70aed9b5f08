"""A toy model, data set and run, small enough to train in a moment."""

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from avblocks.data.datasets import ClipSet
from avblocks.data.keyed import KeyedBatches
from avblocks.seed import key, seed_all
from recipes.engine import open_run
from recipes.engine.log import read_rows
from recipes.engine.run import Run

LENGTH, BATCH, EPOCHS = 22, 4, 3  # 5 batches per epoch


@dataclass(frozen=True)
class Batch:
    x: Tensor
    y: Tensor
    paths: tuple[str, ...]

    def to(self, device: torch.device, *, non_blocking: bool = False) -> "Batch":
        return replace(
            self,
            x=self.x.to(device, non_blocking=non_blocking),
            y=self.y.to(device, non_blocking=non_blocking),
        )


class Points(Dataset[tuple[Tensor, Tensor, str]]):
    """Noisy points on a plane; the noise is keyed by (epoch, index)."""

    def __init__(self, *, bad: int | None = None, fails: int | None = None) -> None:
        self.bad, self.fails = bad, fails

    def __getitem__(self, at: tuple[int, int]) -> tuple[Tensor, Tensor, str]:
        epoch, index = at
        if index == self.fails:
            raise ValueError(f"clip{index}.mp4 has no sound")
        x = torch.randn(6, generator=torch.Generator().manual_seed(index))
        noise = torch.randn(6, generator=torch.Generator().manual_seed(key(epoch, index)))
        y = x.sum() if index != self.bad else torch.tensor(float("nan"))
        return x + 0.1 * noise, y, f"clip{index}.mp4"


def collate(samples: list[tuple[Tensor, Tensor, str]]) -> Batch:
    x, y, paths = zip(*samples, strict=True)
    return Batch(x=torch.stack(x), y=torch.stack(y), paths=tuple(paths))


class AllBad(Points):
    """Points of which no loss is a number."""

    def __getitem__(self, at: tuple[int, int]) -> tuple[Tensor, Tensor, str]:
        x, y, path = super().__getitem__(at)
        return x, y * float("nan"), path


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(6, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Dropout(0.3), nn.Linear(16, 1)
        )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        error = (self.net(batch.x)[:, 0] - batch.y).square()
        return {"loss": error.mean(), "worst": error.max(), "each": error}


class Steep(Toy):
    """Has a finite loss whose gradient is not."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        nothing = next(self.parameters()).sum() * 0
        return {**super().forward(batch), "loss": super().forward(batch)["loss"] + nothing.sqrt()}


@dataclass(frozen=True)
class Fitted:
    """How a run ended."""

    step: int
    finished: bool
    rank: int
    scores: Mapping[int, Mapping[str, float]]


def schedule(epoch: float) -> list[float]:
    rate = 1e-2 * min(epoch, 1.0) * (1 - 0.5 * epoch / EPOCHS)
    return [rate, 0.1 * rate]


def evaluate(model: nn.Module, epoch: int) -> dict[str, float]:
    assert not model.training
    x = torch.randn(5, 6)
    return {"mean": float(model.get_submodule("net")(x).mean()), "epoch": float(epoch)}


def train(
    folder: Path,
    *,
    workers: int = 0,
    dataset: Points | None = None,
    config: dict[str, Any] | None = None,
    log: Callable[[Batch], object] | None = None,
    evaluates: bool = True,
    model: nn.Module | None = None,
    length: int = LENGTH,
    world_batch: int = BATCH,
    clips: dict[str, ClipSet | None] | None = None,
    **run: Any,
) -> tuple[Fitted, nn.Module]:
    """Train the toy; every call builds all parts anew, as a new process would."""
    seed_all(0, "weights")
    model = model or Toy()
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, fused=True)

    def loader(rank: int, world: int) -> DataLoader[Any]:
        sampler = KeyedBatches(
            length, batch_size=world_batch // world, seed=0, rank=rank, world_size=world
        )
        return DataLoader(
            dataset or Points(),
            batch_sampler=sampler,
            num_workers=workers,
            collate_fn=collate,
            persistent_workers=workers > 1,
        )

    settings = Run(dir=folder, log_every=1, **{"devices": 1, **run})
    config = config or {"batch": BATCH, "root": "a"}
    with open_run(settings, config=config, free=("root",), clips=clips or {}) as opened:

        def score() -> dict[str, float]:
            batches = opened.step * settings.accumulate
            return evaluate(model, batches // (length // world_batch))

        opened.fit(
            model,
            train=loader,
            optimizer=optimizer,
            schedule=schedule,
            epochs=EPOCHS,
            evaluate=score if evaluates else None,
            on_batch=log,
        )
        rank = 0 if opened.first else 1
        return Fitted(opened.step, opened.finished, rank, opened.scores), model


def losses(folder: Path) -> dict[int, tuple[float, ...]]:
    """Return the numbers of each training step that must not depend on stops and restarts."""
    rows = [row for row in read_rows(folder / "metrics.csv") if "loss" in row]
    assert len(rows) == len({row["step"] for row in rows})
    return {int(r["step"]): (r["loss"], r["worst"], r["lr"], r["grad_norm"]) for r in rows}


def raise_signal_at(count: int, number: signal.Signals) -> Callable[[Batch], None]:
    """Return an `on_batch` that signals this process at a batch."""
    seen = []

    def note(batch: Batch) -> None:
        seen.append(batch)
        if len(seen) == count:
            os.kill(os.getpid(), number)

    return note

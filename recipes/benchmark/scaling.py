"""Scaling of time and memory of an encoder with its inputs: measurements, linear fits, figure."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from avblocks.flops import encoder_flops
from avblocks.viz import save_figure
from recipes.benchmark.cases import FUSIONS, Fusion
from recipes.benchmark.measure import in_process, short, timed
from recipes.common.data_settings import Data
from recipes.common.model import Model, build_encoder

AXES: dict[str, tuple[float, ...]] = {
    "image_size": (112, 160, 224, 320, 448),
    "audio_seconds": (1.5, 3, 6, 12),
    "fusion_tokens": (8, 16, 32, 64, 128),
    "batch": (1, 2, 4, 8),
}
"""The varied sizes; others are those of the paper, with two samples."""
TITLES = dict(zip(AXES, ("image tokens", "audio tokens", "fusion tokens", "samples"), strict=True))


@dataclass(frozen=True, kw_only=True)
class Point:
    """Sizes of one measurement."""

    fusion: Fusion
    image_size: float = 224
    audio_seconds: float = 3
    fusion_tokens: float = 32
    batch: float = 2
    dim: int = 768
    depth: int = 2
    patch: int = 16
    device: str = "cpu"

    @property
    def x(self) -> dict[str, float]:
        """The number of tokens or samples by axis."""
        image, audio = self.tokens.values()
        tokens = {"image_size": image, "audio_seconds": audio, "fusion_tokens": self.fusion_tokens}
        return {**tokens, "batch": self.batch}

    @property
    def tokens(self) -> dict[str, int]:
        """Image and audio tokens per sample."""
        image, frames = int(self.image_size), round(self.audio_seconds * 64)
        patch = self.patch
        return {"image": (image // patch) ** 2, "audio": (128 // patch) * (frames // patch)}


def scaling(device: str, *, tiny: bool = False) -> dict[str, Any]:
    """Measure time, memory kept for the backward pass and GFLOP of all axes with every fusion."""
    shape = {"dim": 32, "depth": 1} if tiny else {"depth": 12 if device == "cuda" else 2}
    axes = {"image_size": (32, 48, 64)} if tiny else AXES
    return {
        fusion: in_process(_along, Point(fusion=fusion, device=device, **shape), axes)
        for fusion in FUSIONS
    }


def _along(start: Point, axes: dict[str, tuple[float, ...]]) -> dict[str, Any]:
    found = {}
    for axis, values in axes.items():
        points = [replace(start, **{axis: value}) for value in values]
        measured = [_measure(point) for point in points]
        x = [point.x[axis] for point in points]
        columns = {name: [row[name] for row in measured] for name in measured[0]}
        fits = {f"{name}_line": line(x, columns[name]) for name in ("ms", "mb")}
        found[axis] = {"x": x, **columns, **fits}
    return found


def _measure(point: Point) -> dict[str, float]:
    """Measure a forward and backward pass of the encoder on whole clips."""
    count, tokens = int(point.fusion_tokens), point.tokens
    size, seconds = int(point.image_size), point.audio_seconds
    same = {name: getattr(point, name) for name in ("dim", "depth", "patch", "fusion")}
    split = (count - 2 * (count // 4), count // 4, count // 4)
    model = Model(heads=point.dim // 64 or 1, num_tokens=split, **same)
    data = Data(name="vggsound", size=size, seconds=seconds)
    encoder = build_encoder(model, data).to(point.device)
    batch = int(point.batch)
    given = {
        "image": torch.randn(batch, 3, size, size, device=point.device),
        "audio": torch.randn(batch, 1, *data.audio_size, device=point.device),
    }

    def loss() -> Tensor:
        out = encoder(**given)
        assert out.image is not None and out.audio is not None
        return out.image.mean() + out.audio.mean() + out.fusion.mean()

    kept = kept_bytes(loss, encoder)
    times = [timed(lambda: loss().backward(), point.device, count=1) for _ in range(4)][1:]
    return {
        "ms": short(1e3 * statistics.median(times)),
        "mb": short(kept / 1e6),
        "gflop": short(batch * encoder_flops(encoder, **tokens, training=True) / 1e9),
    }


def kept_bytes(loss: Callable[[], Tensor], model: nn.Module) -> int:
    """Measure the bytes that a forward pass keeps for the backward pass, except weights."""
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        out = loss()
    del out
    return sum(kept.values())


def line(x: list[float], y: list[float]) -> dict[str, float]:
    """Fit a line: value at 0, slope, and coefficient of determination.

    >>> line([1, 2, 3], [5, 7, 9])
    {'at_0': 3.0, 'by_1': 2.0, 'r2': 1.0}
    """
    slope, start = (float(value) for value in np.polyfit(x, y, 1))
    rest = [b - start - slope * a for a, b in zip(x, y, strict=True)]
    r2 = 1 - statistics.pvariance(rest) / max(statistics.pvariance(y), 1e-12)
    return {"at_0": round(start, 4), "by_1": round(slope, 4), "r2": round(r2, 4)}


def draw(found: dict[str, Any], path: Path) -> None:
    """Plot times and memory along all axes, with measurements as dots and fits as lines."""
    from matplotlib.figure import Figure

    found = {fusion: axes for fusion, axes in found.items() if "error" not in axes}
    axes = list(dict.fromkeys(axis for one in found.values() for axis in one))
    figure = Figure(figsize=(3.2 * max(len(axes), 1), 5.5), layout="constrained")
    grid = figure.subplots(2, max(len(axes), 1), squeeze=False)
    for column, axis in enumerate(axes):
        for row, (name, label) in enumerate((("ms", "ms"), ("mb", "MB kept"))):
            ax = grid[row, column]
            for number, (fusion, one) in enumerate(found.items()):
                x, fit = np.array(one[axis]["x"]), one[axis][f"{name}_line"]
                ax.plot(x, one[axis][name], "o", ms=4, color=f"C{number}", label=fusion)
                ax.plot(x, fit["at_0"] + fit["by_1"] * x, lw=1, color=f"C{number}")
            ax.set(xlabel=TITLES[axis], ylabel=label, ylim=(0, None))
            ax.grid(alpha=0.3)
    grid[0, 0].legend(loc="upper left", fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, path)

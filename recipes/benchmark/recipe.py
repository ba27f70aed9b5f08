"""The whole pre-training recipe, with data loading and logs, and its model-only step."""

import os
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from avblocks.data.datasets import ClipSet
from avblocks.data.datasets import folder as video_folder
from avblocks.data.scenes import SceneSpec, scenes
from avblocks.data.shards import make_shards
from recipes.benchmark.cases import Case
from recipes.benchmark.measure import figures, in_process, measured, peak_mb, short
from recipes.benchmark.work import sizes
from recipes.engine.log import read_rows
from recipes.engine.run import Run

_PREFETCHED = 2  # batches prefetched per worker, `DataLoader`'s default
_PRECISION: dict[str, Any] = {"float32": "32-true", "bfloat16": "bf16-mixed"}


def whole(
    case: Case, seconds: float, *, call: Callable[..., dict[str, Any]] = in_process
) -> dict[str, Any]:
    """Measure the recipe, and the model-only step before and after it.

    Args:
        case: The case.
        seconds: Time for the repetitions of each, at least three.
        call: Function that runs each measurement; by default in a separate process.

    Returns:
        The row of the recipe; `share_of_bare` is its speed relative to the mean of both model-only
        measurements, since the speed of the machine may change.
    """
    bare = call(measured, replace(case, task="pretrain"), seconds)
    if "error" in bare:
        return bare
    steps = max(3, min(100, round(1e3 * seconds / bare["ms"])))
    found = call(_trained, case, _warm() + steps)
    after = call(measured, replace(case, task="pretrain"), seconds)
    for row in (found, after):
        if "error" in row:
            return row
    times = [case.batch / speed for speed in found["samples_per_s"][_warm() :]]
    flops, best = round(1e9 * bare["gflop_per_sample"]), 1e9 * bare["peak_gflops"]
    about = {name: bare[name] for name in ("machine", "load_before", "python", "torch")}
    row = figures(case, times, typical=mean(times), flops=flops, peak=best)
    alone = [bare["ms"], after["ms"]]
    share = {"share_of_bare": short(mean(alone) / row["ms"]), "bare_ms": alone}
    return row | share | {"memory_mb": found["memory_mb"]} | about


def _trained(case: Case, steps: int) -> dict[str, Any]:
    """Run the recipe on shards of scenes, and read its log of each step."""
    from recipes import paper_pretrain  # here, to allow running it while this is imported

    model, data = sizes(case)
    precision, compiled = _PRECISION[case.precision], case.mode == "compiled"
    run = Run(max_steps=steps, compile=compiled, precision=precision, devices=1)
    with TemporaryDirectory() as folder:
        clips = _clips(case, Path(folder), steps=steps)
        make_shards({"train": clips}, Path(folder, "shards"), workers=workers())
        config = replace(
            paper_pretrain.VGGSOUND,
            data=replace(data, name="folder", shards=f"{folder}/shards", workers=workers()),
            model=model,
            run=replace(run, dir=Path(folder, "run")),
            batch=case.batch,
        )
        with redirect_stdout(StringIO()):  # its output refers to a temporary folder
            paper_pretrain.main(config)
        rows = read_rows(Path(folder, "run", "metrics.csv"))
    speeds = [row["samples_per_s"] for row in rows if "samples_per_s" in row]
    return {"samples_per_s": speeds, "memory_mb": round(peak_mb(case.device))}


def _clips(case: Case, folder: Path, *, steps: int) -> ClipSet:
    """List a few scenes under many names, for one long epoch, since epochs restart the workers."""
    spec = SceneSpec(size=32 if case.tiny else 256)
    made = scenes(folder / "scenes", split="train", num_clips=16, spec=spec, workers=workers() + 1)
    (folder / "names").mkdir()
    for number in range(case.batch * steps):
        path = Path(made.items[number % len(made)].path).resolve()
        (folder / "names" / f"{number:06}.mp4").symlink_to(path)
    return video_folder(folder / "names")


def workers() -> int:
    """Count the processes that read: as many as there are cores beside the one that trains."""
    return max(1, (os.cpu_count() or 1) - 1)


def _warm() -> int:
    """Return the number of warm-up steps: compilation, and batches prefetched meanwhile."""
    return 3 + _PREFETCHED * workers()

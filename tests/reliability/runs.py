"""Small runs in processes of their own, and what they leave."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avblocks.checkpoint import saves as _saves
from avblocks.data.datasets import vggsound
from avblocks.data.scenes import SceneSpec, scenes, scenes_as_avsbench, scenes_as_vggss
from avblocks.data.shards import make_shards
from recipes.engine.folder import checkpoints
from recipes.engine.log import read_rows

SIZES = (
    *("--data.seconds", "0.5", "--data.size", "16", "--data.mels", "32"),
    *("--model.dim", "16", "--model.depth", "2", "--model.heads", "2", "--model.patch", "8"),
    *("--model.num-tokens", "2", "1", "1"),
)
PRETRAIN = (
    *("--model.decoder-dim", "16", "--model.decoder-depth", "1", "--model.decoder-heads", "2"),
    *("--batch", "4", "--warmup", "1", "--evaluate-every", "1000", "--data.workers", "0"),
)
CLIPS = 13
LIMIT = 600.0
"""Seconds that any run may take: a run that takes longer hangs."""


@dataclass(frozen=True)
class Bench:
    """Where experiments work: what they read, and a folder of their own for what they write."""

    clips: Path
    shards: Path
    folder: Path


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int
    said: str
    seconds: float

    @property
    def error(self) -> str:
        """The line that a user's error is told in; empty if there is none."""
        found = re.findall(r"^error: (.*)$", self.said, flags=re.MULTILINE)
        return found[0] if found else ""


def prepare(folder: Path) -> Bench:
    """Make the clips: scenes in the layouts of VGGSound, VGG-SS and AVSBench, and shards."""
    bench = Bench(clips=folder / "clips", shards=folder / "shards", folder=folder)
    for split in ("train", "test"):
        spec = SceneSpec(size=32, seconds=1.0)
        scenes(bench.clips, split=split, num_clips=CLIPS, spec=spec)
    scenes_as_vggss(bench.clips)
    scenes_as_avsbench(bench.clips, part="avss")
    sets = {split: vggsound(bench.clips, split=split) for split in ("train", "test")}
    make_shards(sets, bench.shards)
    return bench


def start(
    folder: Path,
    *words: str | Path,
    module: str = "recipes.paper_pretrain",
    preset: str = "vggsound",
    options: tuple[str, ...] = PRETRAIN,
    env: dict[str, str] | None = None,
    **settings: Any,
) -> subprocess.Popen[str]:
    """Start a small run.

    Args:
        folder: The run folder.
        words: Options and their values.
        module: The recipe's module, and words before the preset.
        preset: Of this recipe.
        options: Of this recipe at this size.
        env: Variables of its own.
        settings: For `subprocess.Popen`.
    """
    given = [preset, *SIZES, *options, *map(str, words), "--run.dir", str(folder)]
    return subprocess.Popen(
        [sys.executable, "-m", *module.split(), *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
        **settings,
    )


def wait(process: subprocess.Popen[str], *, limit: float = LIMIT) -> Ended:
    """Wait for a run's end; one that hangs is killed, and its code is that of the kill."""
    begin = time.monotonic()
    try:
        said, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    return Ended(code=process.returncode, said=said, seconds=time.monotonic() - begin)


def train(folder: Path, *words: str | Path, **settings: Any) -> Ended:
    """Run to the end.

    Raises:
        RuntimeError: If it does not end well.
    """
    ended = wait(start(folder, *words, **settings))
    if ended.code:
        raise RuntimeError(f"the run in {folder} ended with code {ended.code}:\n{ended.said}")
    return ended


def until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> bool:
    """Wait until something is so; say whether it came to that before the process ended."""
    end = time.monotonic() + LIMIT
    while process.poll() is None and time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.002)
    return False


def newest(folder: Path) -> int:
    """Return the step of the newest checkpoint by its name, -1 if there is none."""
    paths = checkpoints(folder).glob("step-*.ckpt")
    return max((_saves.step_of(path) for path in paths), default=-1)


def rows(folder: Path) -> list[dict[str, float]]:
    """Return the table of a run's steps, without what depends on the clock."""
    read = [row for row in read_rows(folder / "metrics.csv") if row.keys() & {"loss", "nonfinite"}]
    return [{k: v for k, v in row.items() if k not in ("samples_per_s", "cpu_s")} for row in read]


def state(folder: Path) -> dict[str, Any]:
    """Return the newest checkpoint: weights, optimiser, step and place in the data."""
    path = _saves.latest(checkpoints(folder))
    if path is None:
        raise RuntimeError(f"no whole checkpoint in {folder}")
    return _saves.load(path)


def identical(first: Any, second: Any) -> bool:
    """Whether two values have the same structure and the same bits."""
    if isinstance(first, dict) and isinstance(second, dict):
        same = first.keys() == second.keys()
        return same and all(identical(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        same = len(first) == len(second)
        return same and all(identical(*pair) for pair in zip(first, second, strict=True))
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.equal(first, second)
    return repr(first) == repr(second)


def same_run(first: Path, second: Path) -> bool:
    """Whether two runs took the same steps bit for bit, and ended in the same state."""
    return rows(first) == rows(second) and identical(state(first), state(second))

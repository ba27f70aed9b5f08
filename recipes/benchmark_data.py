r"""Measure how many clips a second one core reads, from mp4 files and from shards.

Commands:
    python -m recipes.benchmark_data                                         (some ten minutes)
    python -m recipes.benchmark_data --out docs/results/data.json

A clip read is 3 s of sound at 16 kHz and one picture, from a random place of 10 s of 360p and mono
44.1 kHz: `mp4` has a key frame every 250 frames, as x264 writes them if nobody asks for more,
`mp4_keyframed` one every 16; `shards` are those of `recipes.make_shards`, of 256-pixel pictures.
One process, one thread, files in memory. The kinds take turns, so that whatever else the machine
does slows all of them, and the median of the rounds counts. Then a process reads on and on and its
memory is watched.

Try:
    --reads 500 (a minute)
"""

import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import torch
from tqdm import tqdm
from tyro.conf import Suppress

from avblocks.data import AVClip, read_clip
from avblocks.data.dataset import ReadClip
from avblocks.data.datasets import ClipSet, Item
from avblocks.data.shards import make_shards
from avblocks.data.write import replacing
from recipes._cli import run_cli
from recipes._data import CACHE
from recipes._footage import write_footage
from recipes._run import Folder

_KEYS = {"mp4": 250, "mp4_keyframed": 16}
_WARM = 0.2  # share of the reads after which memory has settled
Read = Callable[[random.Random], AVClip]


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to measure."""

    clips: int = 6
    """Clips of each kind, made on the spot."""

    seconds: float = 10.0
    """Length of a clip."""

    height: int = 360
    """Of the pictures, pixels, 16:9."""

    rounds: int = 7
    """Rounds in which all kinds take their turn."""

    turn: float = 2.0
    """Seconds of a turn."""

    reads: int = 20_000
    """Reads over which memory is watched."""

    cache: Path = CACHE
    """Where the clips are kept."""

    out: Path | None = None
    """JSON file to write the figures to."""

    run: Annotated[Folder, Suppress] = field(default_factory=Folder)
    """Of no use here."""


PRESETS = {"default": ("clips of 360p", Config())}


def main(config: Config) -> None:
    """Measure, print, and write the figures if asked to."""
    if config.clips < 1 or config.rounds < 1 or config.reads < 10:
        raise ValueError("expected clips >= 1, rounds >= 1 and reads >= 10")
    torch.set_num_threads(1)
    kinds = _kinds(config)
    machine = _machine()
    rates = _rates(kinds, rounds=config.rounds, turn=config.turn)
    for kind, found in rates.items():
        middle, low, high = statistics.median(found), min(found), max(found)
        print(f"{kind:14} {middle:8.1f} clips/s/core  ({low:.1f} to {high:.1f})", flush=True)
    growth = _growth(kinds["mp4_keyframed"], reads=config.reads)
    print(f"memory grew by {growth:.1f} MB over {config.reads} reads of mp4_keyframed")
    figures = {
        "clips_per_second_per_core": {k: round(statistics.median(r), 1) for k, r in rates.items()},
        "spread": {k: [round(min(r), 1), round(max(r), 1)] for k, r in rates.items()},
        "rss_growth_mb": round(growth, 1),
        "settings": {k: v for k, v in asdict(config).items() if k not in ("cache", "out", "run")},
        "machine": machine,
    }
    if config.out is not None:
        with replacing(config.out) as half:
            half.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        print(f"figures: {config.out}")


def _kinds(config: Config) -> dict[str, Read]:
    """Make what is not in the cache yet, and say how to read one clip of each kind."""
    root = config.cache / f"benchmark-{config.seconds:g}s-{config.height}p"
    listed = {kind: _clips(root / kind, config, keys=keys) for kind, keys in _KEYS.items()}
    name = f"shards-{config.clips}"
    shards = make_shards({"train": listed["mp4_keyframed"]}, root / name)
    kinds = {kind: _reader(clips, read_clip) for kind, clips in listed.items()}
    return kinds | {"shards": _reader(shards.clips("train"), shards.read)}


def _clips(root: Path, config: Config, *, keys: int) -> ClipSet:
    paths = [root / f"{number:04d}.mp4" for number in range(config.clips)]
    for number, path in enumerate(tqdm(paths, f"clips {root.name}", unit="clip")):
        if not path.is_file():
            write_footage(
                path, number=number, seconds=config.seconds, height=config.height, keys=keys
            )
    items = tuple(Item(id=path.stem, path=str(path)) for path in paths)
    return ClipSet(name=root.name, items=items)


def _reader(clips: ClipSet, read: ReadClip) -> Read:
    """Read a random window of a random clip."""

    def one(random: random.Random) -> AVClip:
        item = random.choice(clips.items)
        return read(item, seconds=3.0, rate=16000, place=random.random(), frame=random.random())

    return one


def _rates(kinds: dict[str, Read], *, rounds: int, turn: float) -> dict[str, list[float]]:
    """Clips a second of each kind, round by round."""
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in tqdm(range(rounds), "rounds"):
        for kind, read in kinds.items():
            rng, count, start = random.Random(number), 0, time.perf_counter()
            while count == 0 or time.perf_counter() - start < turn:
                read(rng)
                count += 1
            rates[kind].append(count / (time.perf_counter() - start))
    return rates


def _growth(read: Read, *, reads: int) -> float:
    """By how many MB this process grows once it has settled."""
    rng, settled = random.Random(0), 0.0
    for count in tqdm(range(reads), "memory", unit="read"):
        if count == int(_WARM * reads):
            settled = _resident()
        read(rng)
    return _resident() - settled


def _resident() -> float:
    """MB of memory that this process has, by Linux's account."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _machine() -> dict[str, Any]:
    """What the figures depend on."""
    about = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    names = [line.split(":")[1].strip() for line in about.splitlines() if "model name" in line]
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("av", "numpy", "torch", "torchvision")},
    }


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)

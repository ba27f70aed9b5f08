r"""Measure how many clips per second one core reads from mp4 files and from shards.

Commands:
    python -m recipes.benchmark.data                                         (some ten minutes)
    python -m recipes.benchmark.data --out docs/results/data.json

A clip read is 3 s of sound at 16 kHz and one picture, from a random place of 10 s of 360p and mono
44.1 kHz: `mp4` has a key frame every 250 frames, as x264 writes them if nobody asks for more,
`mp4_keyframed` one every 16; `shards` are those of `recipes.make_shards`, of 256-pixel pictures.
One process, one thread, files in memory. The kinds take turns, so that whatever else the machine
does slows all of them, and the median of the rounds counts; `decode`, which tells how fast the core
is at the moment, is a plain loop over all frames of those clips. Then a loader's worker reads on
and on, and the peak of its memory in the last fifth of the reads is compared with the second.

Try:
    --reads 500 (a minute)
"""

import json
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import av
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm
from tyro.conf import Suppress

from avblocks.data import read_clip
from avblocks.data.dataset import ReadClip
from avblocks.data.datasets import ClipSet, Item
from avblocks.data.shards import make_shards
from avblocks.files import write_text
from recipes.benchmark.footage import write_footage
from recipes.benchmark.machine import machine, resident_mb
from recipes.common.cli import run_cli
from recipes.common.data import CACHE
from recipes.engine.run import Folder

_KEYS = {"mp4": 250, "mp4_keyframed": 16}
Work = Callable[[random.Random], int]  # does some work, and says how much it was


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to measure."""

    clips: int = 6
    """Clips of each kind, made on the spot."""

    seconds: float = 10.0
    """Length of a clip."""

    height: int = 360
    """Of the images, pixels, 16:9."""

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
    listed, kinds = _kinds(config)
    about = machine()
    decode = {"decode": _decoder(listed)}
    rates = _rates(kinds | decode, rounds=config.rounds, turn=config.turn)
    for kind, found in rates.items():
        unit = "frames" if kind == "decode" else "clips"
        middle, low, high = statistics.median(found), min(found), max(found)
        print(f"{kind:14} {middle:8.1f} {unit}/s/core  ({low:.1f} to {high:.1f})", flush=True)
    growth = _growth(_Reads(kinds["mp4_keyframed"], config.reads))
    print(f"memory grew by {growth:.1f} MB over {config.reads} reads of mp4_keyframed")
    medians = {kind: round(statistics.median(found), 1) for kind, found in rates.items()}
    figures = {
        "clips_per_second_per_core": {kind: medians[kind] for kind in kinds},
        "frames_decoded_per_second_per_core": medians["decode"],
        "spread": {k: [round(min(r), 1), round(max(r), 1)] for k, r in rates.items()},
        "rss_growth_mb": round(growth, 1),
        "settings": {k: v for k, v in asdict(config).items() if k not in ("cache", "out", "run")},
        "machine": about,
    }
    if config.out is not None:
        write_text(config.out, json.dumps(figures, indent=2) + "\n")
        print(f"figures: {config.out}")


def _kinds(config: Config) -> tuple[ClipSet, dict[str, Work]]:
    """Make what is not in the cache yet; give the keyed clips, and how to read one of each kind."""
    root = config.cache / f"benchmark-{config.seconds:g}s-{config.height}p"
    listed = {kind: _clips(root / kind, config, keys=keys) for kind, keys in _KEYS.items()}
    name = f"shards-{config.clips}"
    shards = make_shards({"train": listed["mp4_keyframed"]}, root / name)
    kinds = {kind: _reader(clips, read_clip) for kind, clips in listed.items()}
    kinds["shards"] = _reader(shards.clips("train"), shards.read)
    return listed["mp4_keyframed"], kinds


def _clips(root: Path, config: Config, *, keys: int) -> ClipSet:
    paths = [root / f"{number:04d}.mp4" for number in range(config.clips)]
    for number, path in enumerate(tqdm(paths, f"clips {root.name}", unit="clip")):
        sizes = {"seconds": config.seconds, "height": config.height}
        if not path.is_file():
            write_footage(path, number=number, keys=keys, **sizes)
    items = tuple(Item(id=path.stem, path=str(path)) for path in paths)
    return ClipSet(name=root.name, items=items)


def _reader(clips: ClipSet, read: ReadClip) -> Work:
    """Read a random window of a random clip."""

    def one(random: random.Random) -> int:
        item = random.choice(clips.items)
        read(item, seconds=3.0, rate=16000, place=random.random(), frame=random.random())
        return 1

    return one


def _decoder(clips: ClipSet) -> Work:
    """Decode all frames of a random clip, which no reader can do faster."""

    def one(random: random.Random) -> int:
        with av.open(random.choice(clips.items).path) as container:
            container.streams.video[0].codec_context.thread_count = 1
            return sum(1 for _ in container.decode(video=0))

    return one


def _rates(kinds: dict[str, Work], *, rounds: int, turn: float) -> dict[str, list[float]]:
    """Work done a second, of each kind, round by round."""
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in tqdm(range(rounds), "rounds"):
        for kind, work in kinds.items():
            rng, count, start = random.Random(number), 0, time.perf_counter()
            while count == 0 or time.perf_counter() - start < turn:
                count += work(rng)
            rates[kind].append(count / (time.perf_counter() - start))
    return rates


@dataclass(frozen=True)
class _Reads(Dataset[float]):
    """Many reads, each of which gives the memory that its process has."""

    read: Work
    length: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> float:
        self.read(random.Random(index))
        return resident_mb()


def _growth(reads: _Reads) -> float:
    """By how many MB the peak of a worker's memory grows once it has settled.

    Peaks are compared, since the allocator gives pages back by fits and starts: from one read to
    the next the memory may change by 50 MB, and by which of the two the reads end on is chance.
    """
    # Forked: what reads is made on the spot, and no spawned process could be given it.
    loader = DataLoader(reads, batch_size=None, num_workers=1, multiprocessing_context="fork")
    memory = [float(size) for size in tqdm(loader, "memory", unit="read")]
    share = len(memory) // 5
    return max(memory[-share:]) - max(memory[share : 2 * share])


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)

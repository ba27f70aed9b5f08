r"""Measure how many clips per second one core reads from mp4 files and from shards.

Commands:
    python -m recipes.benchmark.data                                         (about ten minutes)
    python -m recipes.benchmark.data --out docs/results/data.json

A clip is 3 s of audio at 16 kHz and one image, at a random position of a 10 s video of 360p and
mono 44.1 kHz. `mp4` has a key frame every 250 frames, the default of x264, `mp4_keyframed` every 16
frames; `shards` are made by `recipes.make_shards`, with 256-pixel images. The benchmark uses one
process, one thread, and files in memory. The kinds are measured in turn, so that other load on the
machine affects all of them; the result is the median over rounds. `decode` is a loop over all
frames of these clips, as a measure of the current speed of the core. Finally, a loader worker reads
clips continuously, and its peak memory in the last fifth of the reads is compared with that in the
second fifth.

Try:
    --reads 500 (a minute)
"""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from avblocks.data import read_clip
from avblocks.data.datasets import ClipSet, Item
from avblocks.data.own_read import ReadClip
from avblocks.data.shards import make_shards
from avblocks.jsonfile import write_json
from recipes.benchmark.footage import write_footage
from recipes.benchmark.machine import machine, resident_mb
from recipes.common.cli import run_cli
from recipes.common.sets import CACHE

_KEYS = {"mp4": 250, "mp4_keyframed": 16}
Work = Callable[[random.Random], int]  # does some work, and returns its amount


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings."""

    clips: int = 6
    """Number of synthetic clips of each kind."""

    seconds: float = 10.0
    """Length of a clip."""

    height: int = 360
    """Height of the 16:9 images, pixels."""

    rounds: int = 7
    """Rounds over all kinds."""

    turn: float = 2.0
    """Seconds per kind and round."""

    reads: int = 20_000
    """Reads for the measurement of memory."""

    cache: Path = CACHE
    """Folder of the clips."""

    out: Path | None = None
    """JSON file for the results."""


PRESETS = {"default": ("clips of 360p", Config())}


def main(config: Config) -> None:
    """Measure, print, and write the results if `--out` is given."""
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
        "settings": {k: v for k, v in asdict(config).items() if k not in ("cache", "out")},
        "machine": about,
    }
    if config.out is not None:
        write_json(config.out, figures)
        print(f"figures: {config.out}")


def _kinds(config: Config) -> tuple[ClipSet, dict[str, Work]]:
    """Make missing clips; return the clips with key frames, and a reader of each kind."""
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
    """Decode all frames of a random clip."""

    def one(random: random.Random) -> int:
        with av.open(random.choice(clips.items).path) as container:
            container.streams.video[0].codec_context.thread_count = 1
            return sum(1 for _ in container.decode(video=0))

    return one


def _rates(kinds: dict[str, Work], *, rounds: int, turn: float) -> dict[str, list[float]]:
    """Measure the work per second of each kind, round by round."""
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
    """Data set of reads, each of which returns the memory of its process."""

    read: Work
    length: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> float:
        self.read(random.Random(index))
        return resident_mb()


def _growth(reads: _Reads) -> float:
    """Measure the growth in MB of the peak memory of a worker, after warm-up.

    Peaks are compared because the allocator returns pages irregularly: memory may change by 50 MB
    from one read to the next.
    """
    # Forked, since the readers are local functions, which cannot be sent to a spawned process.
    loader = DataLoader(reads, batch_size=None, num_workers=1, multiprocessing_context="fork")
    memory = [float(size) for size in tqdm(loader, "memory", unit="read")]
    share = len(memory) // 5
    return max(memory[-share:]) - max(memory[share : 2 * share])


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)

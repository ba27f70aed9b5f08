"""Checkpoints that are damaged, of another model, or hold code."""

import hashlib
import json
import os
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from avblocks.checkpoint import read_state
from avblocks.checkpoint import saves as _saves
from recipes.engine.folder import checkpoints
from tests.reliability.runs import Bench, same_run, start, train, wait

_PLAN = ("--epochs", "20", "--run.save-every", "2")
FLIPS = 32


def damaged(bench: Bench, *, seed: int = 0) -> dict[str, int]:
    """Flip one bit, or cut a checkpoint short, at random places, or take its manifest away.

    Returns:
        How many were `tried`, and how many `refused` in one line.
    """
    folder = _run(bench, "damaged")
    path = _newest(folder)
    data, manifest, rng = path.read_bytes(), path.with_suffix(".json"), random.Random(seed)
    tried = [_flipped(data, rng.randrange(8 * len(data))) for _ in range(FLIPS)]
    tried += [data[: rng.randrange(len(data))] for _ in range(FLIPS // 4)]
    refused = 0
    for content in tried:
        path.write_bytes(content)
        refused += _refuses(_saves.load, path)
    path.write_bytes(data)
    manifest.unlink()
    return {"tried": len(tried) + 1, "refused": refused + _refuses(_saves.load, path)}


def fallback(bench: Bench) -> dict[str, int]:
    """Cut the newest checkpoint short and go on: from the one before, to the same end.

    Returns:
        Whether it was `told`, and whether the end is `identical` with an unbroken run's.
    """
    whole, folder = bench.folder / "fallback-whole", _run(bench, "fallback")
    words = ("--data.root", str(bench.clips), *_PLAN, "--run.max-steps", "8")
    train(whole, *words)
    path = _newest(folder)
    os.truncate(path, path.stat().st_size // 2)
    said = train(folder, *words, "--run.resume").said
    older = checkpoints(folder) / "step-00000002.ckpt"
    told = f"{path} passed over" in said and f"resuming from {older}" in said
    return {"told": int(told), "identical": int(same_run(whole, folder))}


def other_model(bench: Bench) -> dict[str, int]:
    """Resume with other settings, and from the checkpoint of another model.

    Returns:
        How many were `tried`, `refused` in one line, and left the run folder `untouched`.
    """
    words = ("--data.root", str(bench.clips), *_PLAN, "--run.resume")
    folder, other = _run(bench, "other"), _run(bench, "deeper", "--model.depth", "3")
    results = []
    for more, reason in ((("--warmup", "2"), "another configuration"), ((), "another model")):
        if not more:
            shutil.rmtree(checkpoints(folder))
            shutil.copytree(checkpoints(other), checkpoints(folder))
        before = _contents(folder)
        ended = wait(start(folder, *words, *more))
        results.append((ended.code == 2 and reason in ended.error, _contents(folder) == before))
    return {
        "tried": len(results),
        "refused": sum(refused for refused, _ in results),
        "untouched": sum(untouched for _, untouched in results),
    }


class Planted:
    """An object whose loading would make a file, if anybody ran what is pickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def pickles(bench: Bench) -> dict[str, int]:
    """Give checkpoints that hold code wherever one is read.

    Returns:
        How many were `tried`, `refused` in one line, and how many `ran` what they held.
    """
    folder, mark = _run(bench, "planted"), bench.folder / "it-ran"
    path, published = _newest(folder), bench.folder / "published.pth"
    torch.save({"state_dict": {}, "extra": Planted(mark)}, path)
    facts = {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(facts))
    refused = [_refuses(_saves.load, path)]
    words = ("--data.root", str(bench.clips), *_PLAN)
    ended = wait(start(folder, *words, "--run.resume"))
    refused.append(ended.code == 2 and "it holds more than tensors" in ended.error)
    for write in (_zip, _old, _bare):
        write({"model": {"w": torch.zeros(2)}, "extra": Planted(mark)}, published)
        refused.append(_refuses(read_state, published))
    ended = wait(start(bench.folder / "starts", *words, "--image-weights", published))
    refused.append(ended.code == 2 and "code in checkpoints is never run" in ended.error)
    return {"tried": len(refused), "refused": sum(refused), "ran": int(mark.exists())}


def _zip(state: Any, path: Path) -> None:
    torch.save(state, path)


def _old(state: Any, path: Path) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


def _bare(state: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(state, protocol=2))


def _run(bench: Bench, name: str, *words: str) -> Path:
    """A run of four steps."""
    folder = bench.folder / name
    plan = ("--data.root", str(bench.clips), *_PLAN, "--run.max-steps", "4")
    train(folder, *plan, *words)
    return folder


def _newest(folder: Path) -> Path:
    path = _saves.latest(checkpoints(folder))
    assert path is not None
    return path


def _flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _refuses(read: Callable[[Path], object], path: Path) -> bool:
    try:
        read(path)
    except ValueError as error:
        return path.name in str(error) and "\n" not in str(error)
    return False


def _contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
    return {str(path): path.read_bytes() for path in files}

"""Full disks, folders that may not be written to, and a cache that may not."""

import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avblocks.checkpoint.saves import latest
from recipes.engine.folder import checkpoints
from tests.reliability.runs import Bench, Ended, start, train, wait

_MB = 1 << 20
_PLAN = ("--epochs", "20", "--run.save-every", "1")
FILLS = (0.0, 0.5, 0.85)
"""What is left of a full disk, in checkpoints; the last is enough for the tensors alone."""


def full(bench: Bench) -> dict[str, float | str]:
    """Fill the disk between two parts of a run.

    Returns:
        How many runs were `stopped`, those `told` of it in one line, and after which the earlier
        checkpoints were `untouched`, byte by byte; and `how` the disk was made full.
    """
    tried = [_full(bench, share) for share in FILLS]
    return {
        "stopped": len(tried),
        "told": sum(told for told, _, _ in tried),
        "untouched": sum(untouched for _, untouched, _ in tried),
        "how": tried[0][2],
    }


def _full(bench: Bench, share: float) -> tuple[bool, bool, str]:
    words = ("--data.root", str(bench.clips), *_PLAN)
    with _disk(bench.folder / "disk") as (disk, mounted):
        folder = disk / "run"
        train(folder, *words, "--run.max-steps", "2")
        before, size = _bytes(folder), int(share * _tensor_bytes(folder))
        if mounted:
            (disk / "ballast").write_bytes(b"0" * max(shutil.disk_usage(disk).free - size, 0))
        limit = None if mounted else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        again = (*words, "--run.max-steps", "4", "--run.resume")
        ended = wait(start(folder, *again, preexec_fn=limit))
        told = _told(ended, "No space left", "disk full", "cannot be written", "too large")
        return told, _bytes(folder) == before, "tmpfs" if mounted else "RLIMIT_FSIZE"


def read_only(bench: Bench) -> dict[str, float]:
    """Start a run, and go on with one, in a folder that may not be written to; and make scenes.

    Returns:
        How many were `tried`, and how many `told` of it in one line and changed nothing.
    """
    words = ("--data.root", str(bench.clips), *_PLAN)
    with _disk(bench.folder / "closed") as (disk, mounted):
        folder = disk / "run"
        train(folder, *words, "--run.max-steps", "2")
        before = _bytes(disk)
        _close(disk, mounted)
        tried = [
            wait(start(folder, *words, "--run.max-steps", "4", "--run.resume")),
            wait(start(disk / "other", *words)),
            wait(
                start(
                    bench.folder / "uncached",
                    *("--data.name", "scenes"),
                    env={"XDG_CACHE_HOME": str(disk / "cache")},
                )
            ),
        ]
        told = [_told(ended, "Read-only", "Permission denied") for ended in tried]
        same = _bytes(disk) == before
    return {"tried": len(tried), "told": sum(told) * same}


def _told(ended: Ended, *reasons: str) -> bool:
    return ended.code == 2 and any(reason in ended.error for reason in reasons)


def _tensor_bytes(folder: Path) -> int:
    path = latest(checkpoints(folder))
    return path.stat().st_size if path else _MB


def _bytes(folder: Path) -> dict[str, bytes]:
    """Content of all checkpoints below a folder, without what a failing save swept away."""
    return {path.name: path.read_bytes() for path in folder.rglob("step-*.ckpt")}


def _close(disk: Path, mounted: bool) -> None:
    if mounted:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    else:
        for path in (disk, *disk.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)


@contextmanager
def _disk(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Give a small disk of its own, where that is allowed, or else a plain folder."""
    folder.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", f"size={32 * _MB}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(options, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    try:
        yield folder, mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
        else:
            for path in (folder, *folder.rglob("*")):
                path.chmod(0o755)
        shutil.rmtree(folder)

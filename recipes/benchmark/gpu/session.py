"""A GPU session: measure row after row within a time limit, and write each one at once."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from avblocks.jsonfile import write_json
from recipes.benchmark import table
from recipes.benchmark.cases import matching
from recipes.benchmark.gpu.plan import Row, rows
from recipes.benchmark.gpu.step import NEEDS_CUDA
from recipes.benchmark.gpu.worker import Worker
from recipes.benchmark.measure import guarded

KEY = "gpu"
"""Key of the session in the results file."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings."""

    minutes: float = 9.0
    """Time limit in minutes; rows that would exceed it are not started."""

    rows: tuple[str, ...] = ("*",)
    """Patterns of the names of rows."""

    smoke: bool = False
    """Use toy sizes, for a smoke test, on the CPU if there is no GPU."""

    out: Path | None = None
    """JSON file for the results, row by row."""


def session(config: Config) -> None:
    """Measure row by row, print the results, and write them if `--out` is given.

    Raises:
        ValueError: If there is no GPU, a number is out of range, no row matches a pattern, or a
            smoke test would replace results in the file.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not config.smoke:
        raise ValueError("torch finds no GPU here: rehearse on the CPU with --smoke")
    if not 0 < config.minutes < 600:
        raise ValueError(f"--minutes must be above 0 and below 600, got {config.minutes}")
    if config.out is not None:
        _check(config.out, smoke=config.smoke)
    listed = {row.name: row for row in rows(device, tiny=config.smoke)}
    names = matching(listed, config.rows, option="--rows")
    with Worker() as worker:
        measure([listed[name] for name in names], worker, config, device=device)


def measure(listed: list[Row], worker: Worker, config: Config, *, device: str) -> None:
    """Measure rows in order within the time limit."""
    end = time.monotonic() + 60 * config.minutes
    for row in listed:
        start = time.monotonic()
        found = _measured(row, worker, left=end - start, device=device)
        found["took_s"] = round(time.monotonic() - start, 1)
        line = _in_words(row, found)
        print(f"[{end - time.monotonic():4.0f} s left] {row.name}: {line}", flush=True)
        if config.out is not None:
            _write(config, row, found, line, device=device)


def _measured(row: Row, worker: Worker, *, left: float, device: str) -> dict[str, Any]:
    if row.cuda and device != "cuda":
        return {"error": NEEDS_CUDA}
    if row.seconds > left:
        needs = f"the row takes about {row.seconds:.0f} s, {max(left, 0):.0f} s are left"
        return {"error": f"no time left: {needs}"}
    if row.fresh:
        worker.stop()
    return worker.call(row.measure, seconds=min(left, row.limit))


def _in_words(row: Row, found: dict[str, Any]) -> str:
    said = found if "error" in found else guarded(lambda: {"line": row.line(found)})
    return said["error"] if "error" in said else said["line"]


def _check(out: Path, *, smoke: bool) -> None:
    known = table.read(out).get(KEY, {})
    if smoke and known and not known.get("smoke"):
        raise ValueError(f"{out}: holds figures of a GPU; give the rehearsal another --out")


def _write(config: Config, row: Row, found: dict[str, Any], line: str, *, device: str) -> None:
    """Add a row to the file; one of a case that is measured goes into the table of cases too."""
    assert config.out is not None
    if row.case is not None and not config.smoke:
        about = {"device": device, "precision": row.case.precision, "batch": row.case.batch}
        table.write(config.out, device=device, rows={row.name: about | found}, growth=None)
    known = table.read(config.out)
    mine = known.get(KEY, {})
    if mine.get("smoke") != config.smoke:
        mine = {"smoke": config.smoke, "rows": {}, "lines": {}}
    # What was measured once is not lost to a day when it cannot be.
    if "error" not in found or "error" in mine["rows"].get(row.name, found):
        mine["rows"][row.name], mine["lines"][row.name] = found, line
    write_json(config.out, known | {KEY: mine})

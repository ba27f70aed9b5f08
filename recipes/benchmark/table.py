"""Table of the rows, and the file of results."""

from pathlib import Path
from typing import Any

from avblocks.jsonfile import read_json, shape_fault, write_json
from recipes.benchmark.cases import DEVICES, Case, cases
from recipes.benchmark.cost import cost

HEAD = ("samples/s", "ms a step", "memory, MB", "GFLOP a sample", "of the peak", "beside others")
_WIDTHS = (53, 10, 26, 12, 16, 13, 44)
_BESIDE = {
    "times_plain": "{:.2f} x plain",
    "times_reference": "{:.2f} x the reference",
    "share_of_bare": "{:.0%} of the model-only step",
}
REFERENCE = {
    "backward factorized b4 float32 eager": 1.15,
    "backward dense b4 float32 eager": 0.97,
    "encode dense b4 float32 eager": 4 / 16,
}
"""Samples per second of the reference on two CPU cores, measured on another day and machine: ViT-B,
forward and backward pass; and its dense encoder on all patches, 16 to 21 s for four."""
_MACHINE = ("machine", "python", "torch")


def against_reference(case: Case, row: dict[str, Any]) -> dict[str, Any]:
    """Add the speed relative to the reference to a row of the CPU, if it was measured."""
    theirs = REFERENCE.get(case.name)
    if theirs is None or case.device != "cpu" or case.tiny or "error" in row:
        return row
    return row | {"times_reference": round(row["samples_per_s"] / theirs, 2)}


def cells(row: dict[str, Any]) -> dict[str, str]:
    """Format a row for the terminal and the docs; an error is in the first cell."""
    if "error" in row:
        return dict.fromkeys(HEAD, "") | {HEAD[0]: row["error"]}
    low, high = map(_number, row["ms_range"])
    beside = [form.format(row[key]) for key, form in _BESIDE.items() if key in row]
    found = (
        _number(row["samples_per_s"]),
        f"{_number(row['ms'])} ({low} to {high})",
        _number(row["memory_mb"]),
        _number(row["gflop_per_sample"]),
        f"{row['share_of_peak']:.0%}",
        ", ".join(beside),
    )
    return dict(zip(HEAD, found, strict=True))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def head() -> str:
    """Return the titles as a line."""
    return _line(["", *HEAD])


def printed(name: str, row: dict[str, Any]) -> str:
    """Return a row as a line."""
    return f"{name}  {row['error']}" if "error" in row else _line([name, *cells(row).values()])


def _line(found: list[str]) -> str:
    first, *rest = zip(found, _WIDTHS, strict=True)
    text = "".join(f"{cell:>{width}}" for cell, width in rest)
    return f"{first[0]:{first[1]}}{text}".rstrip()


def read(path: Path) -> dict[str, Any]:
    """Read a results file, empty if missing; a ValueError if the file has other content."""
    if not path.exists():
        return {}
    known = read_json(path, dict, remedy="not a file of figures: give --out another")
    if shape_fault(known.get("cases", {}), {"*": {"*": dict}}) is not None:
        raise ValueError(f"{path}: not a file of figures; give --out another")
    return known


def write(path: Path, *, device: str, rows: dict[str, dict[str, Any]], growth: Any) -> None:
    """Write the results of a device to a file, and keep those of other devices and cases."""
    known = read(path)
    mine = known.setdefault("cases", {}).setdefault(device, {})
    # What was measured once is not lost to a day when it cannot be.
    mine |= {n: row for n, row in rows.items() if "error" not in row or n not in mine}
    measured = [device for device in DEVICES if known["cases"].get(device)]
    known["tables"] = {device: _all_cells(device, known["cases"][device]) for device in measured}
    for row in mine.values():
        if "machine" in row:
            known.setdefault("machines", {})[device] = {key: row[key] for key in _MACHINE}
    known["cost"] = cost(known["cases"].get("cuda", {}))
    if growth:
        known.setdefault("scaling", {})[device] = growth
        known.setdefault("lines", {})[device] = lines(growth)
    write_json(path, known)


def _all_cells(device: str, rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Format all cases of a device, including those that were not measured."""
    names = dict.fromkeys([case.name for case in cases(device)] + list(rows))
    none = {"error": "not measured"}
    return {name: cells(rows.get(name, none)) for name in names}


def lines(growth: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Format the fitted lines: cost of each additional token or sample, and quality of the fit."""
    found: dict[str, dict[str, str]] = {}
    for fusion, axes in growth.items():
        for axis, one in axes.items() if "error" not in axes else ():
            ms, mb = one["ms_line"], one["mb_line"]
            found[f"{fusion}, {axis.replace('_', ' ')}"] = {
                "ms for each more": f"{ms['by_1']:.3g}",
                "R² of the line": f"{ms['r2']:.3f}",
                "MB for each more": f"{mb['by_1']:.3g}",
                "R² of that line": f"{mb['r2']:.3f}",
            }
    return found

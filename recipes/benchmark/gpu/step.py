"""Speed, host-device synchronizations, and slowest kernels of a step of a case."""

import re
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from recipes.benchmark.cases import Case
from recipes.benchmark.measure import of_work, short, synchronize, where
from recipes.benchmark.table import cells
from recipes.benchmark.work import prepare

NEEDS_CUDA = "needs CUDA"
_STEPS, _KERNELS = 3, 3
_WAITS = re.compile(r"cu(da)?\w*Synchronize")
_SAID = "called a synchronizing CUDA operation"  # torch's warning at a synchronization


def measured_step(case: Case, seconds: float) -> dict[str, Any]:
    """Measure a case like `measured`, count synchronizations, and list the slowest kernels."""
    about, work = where(case.device), prepare(case)
    row = of_work(work, case, seconds) | about
    waits = waits_of(work.step) if case.device == "cuda" else NEEDS_CUDA
    return row | {"waits": waits} | profile_of(work.step, case.device)


def waits_of(step: Callable[[], object]) -> list[str]:
    """Locate the synchronizations of a step after warm-up, as far as torch detects them."""
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return [f"{one.filename}:{one.lineno}" for one in said if _SAID in str(one.message)]


def profile_of(step: Callable[[], object], device: str) -> dict[str, Any]:
    """Profile some steps.

    Returns:
        `kernels`, the slowest with their calls and microseconds a step and their share of all that
        the device did, and `synchronizations`, calls a step of CUDA's functions that wait.
    """
    activities = [ProfilerActivity.CPU]
    if device == "cuda":
        activities += [ProfilerActivity.CUDA]
    with profile(activities=activities) as found:
        with record_function("steps"):
            for _ in range(_STEPS):
                step()
        synchronize(device)
    return _waiting(found, device) | {"kernels": _slowest(found, device)}


def _waiting(found: profile, device: str) -> dict[str, Any]:
    """Count synchronizing calls within the steps, not those of the profiler after them."""
    if device != "cuda":
        return {"synchronizations": NEEDS_CUDA}
    events = found.events() or []
    end = max(event.time_range.end for event in events if _is_ours(event))
    calls = [e for e in events if _WAITS.match(e.name) and e.time_range.start < end]
    return {"synchronizations": short(len(calls) / _STEPS)}


def _is_ours(event: Any) -> bool:
    return event.name == "steps" and event.device_type.name == "CPU"


def _slowest(found: profile, device: str) -> list[dict[str, Any]]:
    """List kernels on a GPU, operators on the CPU, slowest first."""
    kind, key = "CPU", "self_cpu_time_total"
    if device == "cuda":
        kind, key = "CUDA", "self_device_time_total"
    averages = found.key_averages()
    rows = [r for r in averages if r.device_type.name == kind and not r.is_user_annotation]
    rows = sorted(rows, key=lambda row: -getattr(row, key))
    total = sum(getattr(row, key) for row in rows) or 1
    return [
        {
            "name": row.key[:120],
            "calls": round(row.count / _STEPS),
            "us": short(getattr(row, key) / _STEPS),
            "share": short(getattr(row, key) / total),
        }
        for row in rows[:_KERNELS]
    ]


def step_line(row: dict[str, Any]) -> str:
    """Format the results of `measured_step` or `measured` as a line."""
    shown = cells(row)
    line = f"{shown['samples/s']} samples/s, {shown['ms a step']} ms, {shown['of the peak']} of "
    line += f"the peak, {shown['memory, MB']} MB"
    line += f", {shown['beside others']}" if shown["beside others"] else ""
    if isinstance(row.get("waits"), list):
        line += f", {len(row['waits'])} waits a step ({row['synchronizations']:g} by the profiler)"
    return line + (f"; {row['warm_up_s']:.0f} s to warm up" if "warm_up_s" in row else "")

"""Measurement of a case in a separate process: times, memory, and peak of the machine."""

import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from recipes.benchmark.cases import Case
from recipes.benchmark.machine import machine
from recipes.benchmark.work import Work, prepare

_LEAST, _MOST = 3, 100
_ROWS = 15  # rows of a profile
_GPU_STEPS = 5
"""Steps between synchronizations, so that the host may run ahead as in training."""


def in_process(function: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
    """Call a function in a new process; an error is returned as `error`."""
    # Not by `imap_unordered`, whose daemon processes cannot start loader workers.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(guarded, function, *args).result()
        except BrokenProcessPool:
            return {"error": "the process was killed, mostly for want of memory"}


def guarded(function: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
    """Call a function; return an error as `error`."""
    try:
        return function(*args)
    except Exception as error:  # the next case may succeed
        line = " ".join(str(error).split())[:200]
        return {"error": f"{type(error).__name__}: {line}"}


def measured(case: Case, seconds: float) -> dict[str, Any]:
    """Measure a case for some seconds, at least three times, after warm-up.

    The row contains medians over the repetitions, and their ranges.
    """
    about = where(case.device)
    return of_work(prepare(case), case, seconds) | about


def of_work(work: Work, case: Case, seconds: float) -> dict[str, Any]:
    """Measure a case that is made ready, see `measured`."""
    start = time.perf_counter()
    for _ in range(2):
        _timed(work.step, case)
    warm_up = time.perf_counter() - start
    memory = peak_mb(case.device)
    before = peak(case)
    times, ratios = _repeat(work, case, seconds)
    best = max(before, peak(case))
    row = figures(case, times, typical=statistics.median(times), flops=work.flops, peak=best)
    row |= {"warm_up_s": short(warm_up), "memory_mb": round(memory)}
    if ratios:
        row |= {"times_plain": short(statistics.median(ratios))}
        row |= {"times_plain_range": [short(min(ratios)), short(max(ratios))]}
    return row


def figures(
    case: Case, times: list[float], *, typical: float, flops: int, peak: float
) -> dict[str, Any]:
    """Summarize the times of steps: median, range, and fraction of the peak.

    `flops` are the FLOPs per sample, `peak` is the FLOP/s that the machine reaches.
    """
    rate = case.batch / typical
    return {
        "samples_per_s": short(rate),
        "ms": short(1e3 * typical),
        "ms_range": [short(1e3 * min(times)), short(1e3 * max(times))],
        "repeats": len(times),
        "gflop_per_sample": short(flops / 1e9),
        "peak_gflops": short(peak / 1e9),
        "share_of_peak": short(flops * rate / peak),
    }


def _repeat(work: Work, case: Case, seconds: float) -> tuple[list[float], list[float]]:
    """Time steps, alternating with the naive implementation if there is one, and their ratios."""
    if work.plain is not None:
        _timed(work.plain, case)
    times, ratios, start = [], [], time.perf_counter()
    while len(times) < _LEAST or (len(times) < _MOST and time.perf_counter() - start < seconds):
        times.append(_timed(work.step, case))
        if work.plain is not None:
            ratios.append(_timed(work.plain, case) / times[-1])
    return times, ratios


def _timed(step: Callable[[], object], case: Case) -> float:
    return timed(step, case.device, count=_GPU_STEPS if case.device == "cuda" else 1)


def timed(step: Callable[[], object], device: str, *, count: int) -> float:
    """Return the seconds per step of several steps, until the device has finished them."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(count):
        step()
    synchronize(device)
    return (time.perf_counter() - start) / count


def peak(case: Case) -> float:
    """Measure the FLOP/s of a large matrix product in the precision of the case."""
    side = 128 if case.tiny else 8192 if case.device == "cuda" else 2048
    dtype = getattr(torch, case.precision)
    a, b = (torch.randn(side, side, device=case.device, dtype=dtype) for _ in range(2))
    best = min(_timed(lambda: a @ b, case) for _ in range(5))
    return 2 * side**3 / best


def synchronize(device: str) -> None:
    """Wait until a device has finished its work."""
    if device == "cuda":
        torch.cuda.synchronize()


def peak_mb(device: str) -> float:
    """Return the peak memory so far in MB: of tensors on a GPU, or of the process on the CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(x.split()[1]) / 1e3 for x in status.splitlines() if x.startswith("VmHWM"))


def profiled(case: Case) -> dict[str, Any]:
    """Profile a case, and list the operations that took longest, as `table`.

    On a GPU, each synchronization is a call in the row `cudaStreamSynchronize`; the last one is
    caused by the profiler.
    """
    step = prepare(case).step
    activities, order = [ProfilerActivity.CPU], "self_cpu_time_total"
    if case.device == "cuda":
        activities, order = [*activities, ProfilerActivity.CUDA], "self_cuda_time_total"
    for _ in range(3):
        step()
    synchronize(case.device)
    with profile(activities=activities) as found:
        for _ in range(3):
            step()
        synchronize(case.device)
    return {"table": found.key_averages().table(sort_by=order, row_limit=_ROWS)}


def where(device: str) -> dict[str, Any]:
    """Describe the machine, its load and the versions."""
    about = machine()
    name = f"{about['cpu']}, {torch.get_num_threads()} threads"
    if device == "cuda":
        name = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    return {"machine": name, **{key: about[key] for key in ("load_before", "python", "torch")}}


def short(value: float) -> float:
    """Round a number to four digits."""
    return float(f"{value:.4g}")

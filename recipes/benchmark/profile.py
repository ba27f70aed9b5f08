"""Where the time of a case goes, by PyTorch's profiler."""

from typing import Any

from torch.profiler import ProfilerActivity, profile

from recipes.benchmark.cases import Case
from recipes.benchmark.measure import synchronize
from recipes.benchmark.work import prepare

_ROWS = 15


def profiled(case: Case) -> dict[str, Any]:
    """Run a case a few times and list what took longest.

    On a GPU each time that the host waits for it is a row, `cudaStreamSynchronize`: the one at the
    end is the profiler's own.

    Returns:
        The list, as `table`.
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

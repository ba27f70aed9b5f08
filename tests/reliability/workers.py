"""Processes that read clips and die, or hang."""

import time

from tests.reliability.runs import Bench, start, wait

TIMEOUT = 5
"""Seconds that a run waits for a batch in these experiments."""
_LINES = {
    "dies": "a process that reads clips died (",
    "hangs": "nothing came from the processes that read clips (",
}


def worker(bench: Bench, kind: str, *, workers: int) -> dict[str, float]:
    """Let a process that reads clips die or hang.

    Args:
        bench: What to read.
        kind: Which.
        workers: How many such processes there are.

    Returns:
        `exit_code`, whether it was `told` in one line, and `seconds` from the fault to the end.
    """
    folder, mark = (bench.folder / f"{name}-{kind}-{workers}" for name in ("worker", "fault"))
    words = ("--data.root", bench.clips, "--data.timeout", TIMEOUT, "--epochs", "20")
    ended = wait(
        start(
            folder,
            *map(str, words),
            *("--data.workers", str(workers)),
            module=f"tests.reliability.faulty {kind}",
            env={"FAULT": str(mark)},
        )
    )
    seconds = time.time() - float(mark.read_text(encoding="utf-8"))
    told = ended.error.startswith(_LINES[kind])
    return {"exit_code": ended.code, "told": int(told), "seconds": round(seconds, 1)}

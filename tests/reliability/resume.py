"""Exact resume: runs stopped in the middle of an epoch and gone on with, against unbroken ones."""

from dataclasses import dataclass

from tests.reliability.runs import Bench, same_run, train

STEPS = 8
STOPS = (2, 5)
"""Steps after which runs stop: six batches, and an epoch has three of one process."""
STEP = ("--run.accumulate", "2", "--run.clip-grad", "1", "--epochs", "20")


@dataclass(frozen=True)
class Case:
    """What is read, and by how many processes."""

    shards: bool
    workers: int
    processes: int
    strategy: str = "auto"

    @property
    def name(self) -> str:
        """Name of its folder."""
        data = "shards" if self.shards else "clips"
        return f"{data}-{self.processes}-{self.strategy}-{self.workers}"

    def words(self, bench: Bench, *, workers: int) -> tuple[str, ...]:
        """Options of its runs."""
        data = bench.shards if self.shards else bench.clips
        return (
            *("--data.shards" if self.shards else "--data.root", str(data)),
            *("--data.workers", str(workers), "--run.devices", str(self.processes)),
            *("--run.strategy", self.strategy, "--batch", str(4 // self.processes), *STEP),
        )


CASES = (
    *(
        Case(shards=shards, workers=workers, processes=processes)
        for processes in (1, 2)
        for shards in (False, True)
        for workers in (0, 2)
    ),
    Case(shards=False, workers=0, processes=2, strategy="fsdp"),
)


def resume(bench: Bench, case: Case) -> dict[str, int]:
    """Stop a run twice, and compare every loss and the last checkpoint with an unbroken run's.

    Returns:
        `stops`, and how many of them were `identical`: all or none.
    """
    whole = bench.folder / "whole" / case.name.rpartition("-")[0]  # whatever the workers
    if not whole.is_dir():
        train(whole, *case.words(bench, workers=0), "--run.max-steps", str(STEPS))
    parts = bench.folder / "parts" / case.name
    words = case.words(bench, workers=case.workers)
    for number, stop in enumerate((*STOPS, STEPS)):
        again = ("--run.resume",) if number else ()
        train(parts, *words, "--run.max-steps", str(stop), *again)
    return {"stops": len(STOPS), "identical": len(STOPS) * same_run(whole, parts)}

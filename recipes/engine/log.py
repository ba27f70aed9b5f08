"""Logging of a run: metrics.csv, loggers, a progress bar, and a line per epoch."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import harmonic_mean  # equals samples over seconds, for steps of one size

from avblocks.csvlog import CsvLog, read_csv
from avblocks.locks import FolderLock
from avblocks.progress import progress_bar
from recipes.engine.loggers import Logger
from recipes.engine.plan import Plan

Row = Mapping[str, float]  # numbers by column
_KEYS = ("step", "epoch")  # columns of every row


def read_rows(path: Path) -> list[Row]:
    """Read a metrics file: one dict per row, without empty cells.

    Raises:
        ValueError: If it is damaged.
    """
    _, rows = read_csv(path, needs=_KEYS)
    try:
        return [_numbers(row) for row in rows]
    except ValueError as error:
        raise ValueError(f"{path}: {error}: mend or delete the file") from error


def _numbers(row: Mapping[str, str]) -> Row:
    if not all(row[name] for name in _KEYS):
        raise ValueError("a row without step or epoch")
    return {name: float(cell) for name, cell in row.items() if cell}


def _cells(row: Row) -> dict[str, str]:
    return {name: repr(value).removesuffix(".0") for name, value in row.items()}


class Report:
    """Logs of one run, in its folder and on the terminal.

    When a run is resumed, rows after step `start` are dropped. The loggers get one point per
    `every` steps.
    """

    def __init__(
        self,
        folder: Path,
        *,
        lock: FolderLock | None,
        plan: Plan,
        start: int,
        every: int,
        loggers: Sequence[Logger] = (),
    ) -> None:
        self.plan = plan
        self.loggers = loggers
        self.lock = lock
        self.folder = folder
        self.every = every
        rows = read_rows(folder / "metrics.csv") if start else []
        rows = [row for row in rows if row["step"] <= start]
        cells = [_cells(row) for row in rows]
        self.rows = CsvLog(folder / "metrics.csv", _KEYS, rows=cells)
        self.evaluated = {int(row["step"]): _scores(row) for row in rows if _scores(row)}
        done = plan.epochs_done(start)  # only the losses of the epoch so far count
        ours = [row for row in rows if plan.epochs_done(int(row["step"]) - 1) == done]
        self._losses = [row["loss"] for row in ours if "loss" in row]
        self._rates = [row["samples_per_s"] for row in ours if "samples_per_s" in row]
        self._left_out = sum("nonfinite" in row for row in rows)
        self._since = time.monotonic()
        self._bar = progress_bar(about="training", total=plan.stop, initial=start, unit="step")

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Log a training step: losses, learning rate, gradient norm and samples per second."""
        self._append(step, values)
        self._losses.append(values["loss"])
        self._rates.append(values["samples_per_s"])
        self._bar.update()
        if step % self.every == 0 or step == self.plan.stop:
            shown = {name: f"{values[name]:.3g}" for name in ("loss", "lr", "samples_per_s")}
            self._bar.set_postfix(shown, refresh=False)
            self._log_scalars(step, {f"train/{name}": value for name, value in values.items()})
        if self.plan.ends_epoch(step) or step == self.plan.stop:
            self._say_epoch(step, values)

    def left_out(self, step: int, fault: str) -> None:
        """Log and print that a step was skipped, and why."""
        self._left_out += 1
        self._append(step, {"nonfinite": 1.0})
        self._bar.update()
        self._log_scalars(step, {"train/nonfinite": self._left_out})
        self.say(f"{fault}; step left out, {self._left_out} so far")
        if self.plan.ends_epoch(step):
            self._losses, self._rates = [], []

    def evaluation(self, step: int, scores: Mapping[str, float]) -> None:
        """Log and print the result of an evaluation."""
        self.evaluated[step] = dict(scores)
        named = {f"eval/{name}": value for name, value in scores.items()}
        self._append(step, named)
        self._log_scalars(step, named)
        listed = "  ".join(f"{name} {value:.4g}" for name, value in scores.items())
        self.say(f"  evaluation after step {step}: {listed or 'nothing measured'}")
        self._since = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line above the progress bar."""
        self._bar.write(text, file=sys.stdout)
        sys.stdout.flush()

    def close(self) -> None:
        """Flush and close the rows, and the progress bar; the loggers stay open."""
        self.rows.close()
        self._bar.close()

    def _append(self, step: int, values: Row) -> None:
        self.rows.append(_cells({"step": step, "epoch": self.plan.epoch(step), **values}))

    def _say_epoch(self, step: int, values: Mapping[str, float]) -> None:
        plan, losses = self.plan, self._losses
        self.say(
            f"epoch {min(plan.epoch(step), plan.epochs):.4g}/{plan.epochs}  step {step}  "
            f"loss {sum(losses) / len(losses):.4g}  lr {values['lr']:.3g}  "
            f"{harmonic_mean(self._rates):.3g} samples/s  {time.monotonic() - self._since:.0f} s"
        )
        self._losses, self._rates = [], []
        self._since = time.monotonic()

    def _log_scalars(self, step: int, values: Mapping[str, float]) -> None:
        if self.lock is not None:
            self.lock.check()  # TensorBoard's thread reopens the file for every write
        for logger in self.loggers:
            logger.scalars(step, values)


def _scores(row: Row) -> Row:
    return {k.removeprefix("eval/"): v for k, v in row.items() if k.startswith("eval/")}

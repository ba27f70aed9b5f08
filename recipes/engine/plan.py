"""Length of a run and schedule of evaluations, as pure functions of the step."""

import math
from dataclasses import dataclass

from recipes.engine.ranges import check_ranges


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Length of a run in optimizer steps.

    Accumulation continues across epochs, so a step is always `accumulate` batches; an epoch ends
    with the first step that has used its last batch.

    >>> plan = Plan(batches=10, epochs=3, accumulate=4)
    >>> plan.total, plan.epoch(5), plan.ends_epoch(3), plan.ends_epoch(4)
    (8, 2.0, True, False)
    """

    batches: int  # batches per epoch and process
    epochs: int  # number of epochs
    accumulate: int = 1  # batches per step and process
    max_steps: int | None = None  # stop early, after this many steps
    evaluate_every: int = 1  # epochs between evaluations

    def __post_init__(self) -> None:
        counts = ("batches", "epochs", "accumulate", "evaluate_every")
        check_ranges(self, {"at least 1": counts}, prefix="")

    @property
    def total(self) -> int:
        """Number of steps of the whole run."""
        return math.ceil(self.epochs * self.batches / self.accumulate)

    @property
    def stop(self) -> int:
        """The last step."""
        return min(self.total, self.max_steps or self.total)

    def epoch(self, step: int) -> float:
        """Return the number of epochs of `step` steps."""
        return step * self.accumulate / self.batches

    def epochs_done(self, step: int) -> int:
        """Return the number of complete epochs in `step` steps."""
        return step * self.accumulate // self.batches

    def ends_epoch(self, step: int) -> bool:
        """Return whether an epoch ends with this step."""
        return self.epochs_done(step) > self.epochs_done(step - 1)

    def evaluates(self, step: int) -> bool:
        """Return whether an evaluation is due after this step; after step 0 it is the baseline."""
        return step in (0, self.stop) or self.regular(step)

    def regular(self, step: int) -> bool:
        """Return whether a run that is not stopped is evaluated after this step, from 1."""
        done, before = self.epochs_done(step), self.epochs_done(step - 1)
        every = self.evaluate_every
        return step > 0 and (step == self.total or done // every > before // every)

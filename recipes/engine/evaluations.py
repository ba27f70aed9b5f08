"""`Evaluations`: evaluations during training, the best checkpoint, and early stopping."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from avblocks.distributed import gather_lists
from avblocks.seed import seed_all
from recipes.engine.best import best_step, check_metric, exhausted
from recipes.engine.folder import best_checkpoint
from recipes.engine.log import Report
from recipes.engine.plan import Plan
from recipes.engine.run import Run
from recipes.engine.trainee import Trainee

Save = Callable[..., None]
"""Function that writes a checkpoint into a folder, which keeps ``keep`` of them; all processes must
call it."""


@dataclass(kw_only=True, eq=False)
class Evaluations:
    """Evaluations of a run by a function that returns named scores, if there is one.

    Steps are numbers of steps done. All processes must call the methods.
    """

    run: Run
    plan: Plan
    rank: int  # of this process
    trainee: Trainee
    evaluate: Callable[[], Mapping[str, float]] | None
    report: Report | None  # logs; only in process 0
    exhausted: bool = False  # whether the training ends early, for want of better evaluations

    def catch_up(self, step: int, *, save: Save) -> None:
        """Evaluate if the baseline, or the evaluation of the resumed step, is missing."""
        missing = self.report is not None and step not in self.report.evaluated
        if any(gather_lists([missing])) and self.plan.evaluates(step):
            self.add(step, save=save)
        elif self.evaluate is not None:
            self._compare(step, save)

    def add(self, step: int, *, save: Save) -> None:
        """Evaluate after a step, and compare with the evaluations so far."""
        if self.evaluate is None:
            return
        seed_all(self.run.seed, "evaluate", step, self.rank)
        with self.trainee.evaluating():
            scores = self.evaluate()
        if self.report is not None:
            self.report.evaluation(step, scores)
        self._compare(step, save)

    def _compare(self, at: int, save: Save) -> None:
        """Keep the checkpoint of the best evaluation, and end the training if none gets better."""
        metric, patience, better = self.run.keep_best, self.run.patience, False
        if metric is None:
            return
        best = best_checkpoint(self.run.folder)
        if self.report is not None:
            found = self.report.evaluated
            if at in found:  # the one before the training does not count, but has the same numbers
                check_metric(found[at], metric)
            scores = {step: row for step, row in found.items() if self.plan.regular(step)}
            step = best_step(scores, metric)
            there = (best / f"step-{at:08d}.ckpt").is_file()
            better = self.trainee.complete and step == at and not there
            if patience is not None and exhausted(scores, metric, patience=patience):
                self.exhausted = True
                if at < self.plan.total:
                    self.report.say(f"stopped early: {metric} was best after step {step}")
        saves, over = zip(*gather_lists([(better, self.exhausted)]), strict=True)
        self.exhausted = any(over)
        if any(saves):
            save(best, keep=1)

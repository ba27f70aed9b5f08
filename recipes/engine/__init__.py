"""The training loop and its run folder."""

from contextlib import contextmanager

import torch

from avblocks.seed import seed_all
from avblocks.tasks import evaluation_mode
from recipes.engine.job import Job, fit
from recipes.engine.run import Run as Run


class OpenRun:
    def __init__(self, run, config, free, clips):
        self.run, self.config, self.free, self.clips = run, config, free, clips
        self.folder, self.first, self.finished = run.folder, True, False

    def fit(
        self,
        model,
        *,
        train,
        optimizer,
        schedule,
        epochs,
        evaluate=None,
        evaluate_every=1,
        on_batch=None,
        compiled=None,
        unused=False,
    ):
        job = Job(
            model=model,
            train=train,
            optimizer=optimizer,
            schedule=schedule,
            epochs=epochs,
            run=self.run,
            config=self.config,
            free=self.free,
            clips=self.clips,
            evaluate=(lambda m, e: evaluate()) if evaluate else None,
            evaluate_every=evaluate_every,
            on_batch=on_batch,
            compiled=compiled,
            unused=unused,
        )
        f = fit(job)
        self.finished = f.finished
        self.step = f.step

    @contextmanager
    def testing(self, model):
        seed_all(self.run.seed, "final", self.step, 0)
        with torch.no_grad(), evaluation_mode(model):
            yield


@contextmanager
def open_run(run, *, config, free=(), clips=None):
    yield OpenRun(run, config, free, clips or {})

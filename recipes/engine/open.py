"""`open_run`: context manager around the training of a recipe, for run folder and processes."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from avblocks.data.datasets import ClipSet
from avblocks.distributed import finish_together
from avblocks.locks import locked
from recipes.engine.console import recording
from recipes.engine.folder import REMEDY, check_folder, checkpoints, describe
from recipes.engine.launch import build_fabric, quiet
from recipes.engine.loggers import Logger
from recipes.engine.opened import OpenRun
from recipes.engine.run import Run
from recipes.engine.signals import resume_if_requeued


@contextmanager
def open_run(
    run: Run,
    *,
    config: Any,
    free: Collection[str] = (),
    clips: Mapping[str, ClipSet | None] | None = None,
    loggers: Sequence[Logger] = (),
) -> Iterator[OpenRun]:
    """Open a run folder for training, and end the run orderly.

    Only one process at a time can use the folder. Errors in the settings change nothing in it. A
    job that SLURM has requeued resumes automatically.

    Args:
        run: The settings of the run; `run.dir` must be set.
        config: All settings of the recipe, a dataclass or dict, stored in `config.json`; a resumed
            run must have the same.
        free: Dotted names in `config` that a resumed run may change, such as `data.root`.
        clips: The clips by use, "train" and "test"; their counts are stored in `config.json`, and a
            resumed run must train on the same clips.
        loggers: Your own loggers, besides TensorBoard and the tracker of the settings.

    Raises:
        ValueError: If the settings, the run folder or the checkpoint are wrong.
    """
    run = resume_if_requeued(run, checkpoints(run.folder))
    check_folder(run)
    with quiet():
        fabric = build_fabric(run)
        first = fabric.is_global_zero
        lock_folder = locked(run.folder, remedy=REMEDY) if first else nullcontext()
        with recording() as console, lock_folder as lock:
            if not first:
                console.drop()
            run_config = describe(config, run, clips or {})
            opened = OpenRun(run, fabric, lock, run_config=run_config, free=free, console=console)
            opened.records.loggers += loggers
            try:
                yield opened
            except BaseException as error:
                opened.end_peers(error)
                raise
            finally:
                opened.signals.listen(restore=True)
                opened.records.close()
            if opened.peers is not None:
                opened.peers.release()
            finish_together()

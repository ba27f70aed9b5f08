"""`Records`: what a run leaves in its folder besides checkpoints: settings, README.txt and logs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avblocks.jsonfile import sealed, write_json
from avblocks.locks import FolderLock
from recipes.engine.command import command_line, resume_command
from recipes.engine.console import Console
from recipes.engine.folder import check_own
from recipes.engine.log import Report
from recipes.engine.loggers import Logger, TensorBoardLogger
from recipes.engine.plan import Plan
from recipes.engine.readme import RUN_FILES, described, write_readme
from recipes.engine.run import Run
from recipes.engine.tracker import TrackioLogger


class Records:
    """Records of a run in its folder and in its loggers; only process 0 writes them.

    Args:
        run: Settings of the run.
        run_config: Content of `config.json`.
        lock: Lock of the run folder, in process 0.
        console: Log of the console.
    """

    def __init__(
        self, run: Run, run_config: Mapping[str, Any], *, lock: FolderLock | None, console: Console
    ) -> None:
        self.settings, self.run_config, self.lock, self.console = run, run_config, lock, console
        self.loggers: list[Logger] = []
        self._logs = False  # whether the loggers are open

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.settings.folder

    def open(self, plan: Plan, *, start: int) -> Report:
        """Write `config.json` and README.txt, and open the logs at step `start`.

        Raises:
            ValueError: If the folder has such files of something else.
        """
        if start == 0:
            check_own(self.folder)
        write_json(self.folder / "config.json", sealed(self.run_config))
        self.console.attach(self.folder)
        self.describe("started", step=0)
        self._open_loggers(start)
        every = self.settings.log_every
        return Report(
            self.folder, lock=self.lock, plan=plan, start=start, every=every, loggers=self.loggers
        )

    def _open_loggers(self, start: int) -> None:
        self.loggers.insert(0, TensorBoardLogger(self.folder / "tensorboard", start=start))
        if self.settings.tracker == "trackio":
            project = f"avblocks-{self.run_config['recipe'] or 'run'}"
            self.loggers.append(TrackioLogger(project=project, name=self.folder.resolve().name))
        for logger in self.loggers:
            logger.config(self.run_config)
        self._logs = True

    def describe(self, state: str, *, step: int, following: str = "") -> None:
        """Write README.txt: its files, command and state of the run, and the next command."""
        recipe = f"recipes.{self.run_config['recipe']}"
        files = described(self.folder, RUN_FILES) if following else RUN_FILES
        sections = {"Command": command_line(), "State": f"{state}, at step {step}"}
        sections |= {"Resume": resume_command(), **({"Next": following} if following else {})}
        write_readme(self.folder, title=f"A run of {recipe}", files=files, sections=sections)

    def log_files(self, step: int) -> None:
        """Log the figures and the audio in the run folder."""
        figures = [path for path in sorted(self.folder.glob("*.png")) if path.name != "loss.png"]
        for logger in self.loggers if self._logs else ():
            for path in figures:
                logger.image(step, path.stem, path)
            for path in sorted(self.folder.glob("wavs/*.wav")):
                logger.audio(step, path.stem, path)

    def close(self) -> None:
        """Close the loggers, unless the folder was removed."""
        if self._logs and (self.lock is None or not self.lock.lost):
            for logger in self.loggers:
                logger.close()

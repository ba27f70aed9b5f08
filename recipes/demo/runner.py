"""Runs of all models for the visitors of the page, within bounds."""

import traceback
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import gradio as gr

from avblocks.data import ClipError
from recipes.demo.analysis import Analyst, Request
from recipes.demo.history import History, remember, render_history
from recipes.demo.render import render_error, render_refusal, render_results
from recipes.demo.visitors import LeftError, Visit, Visitors

AUDIO = {"own": "Its own audio", "muted": "Muted", "other": "Audio of another file"}
"""The audio that the models are given, by its name."""
_REMEDY = "Take a shorter or smaller video; the log of the server has the details."


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds: size of a file, part of a video that is read, time of a run, and waiting runs."""

    max_mb: float
    max_seconds: float
    max_minutes: float
    max_waiting: int


@dataclass(frozen=True)
class Runner:
    """Function of the button of the page.

    Attributes:
        analyst: The models.
        visitors: The visitors and their files.
        limits: Bounds.
    """

    analyst: Analyst
    visitors: Visitors
    limits: Limits

    def run(
        self,
        video: str | None,
        audio: str,
        other: str | None,
        halves: bool,
        by: str,
        past: History,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[str, str, History]:
        """Return results, comparison and history; a file that cannot be used is named in them."""
        if video is None:
            return render_error("No video", "drop or record one first"), "", past
        if audio == "other" and other is None:
            return render_error("No other audio", "add the file, or take another choice"), "", past
        asked: Any = {"audio": audio, "by": by, "guides": "halves" if halves else "whole"}
        asked |= {"video": Path(video), "other": None if other is None else Path(other)}
        session = request.session_hash or ""
        self.visitors.hold(session, video=video, other=other)
        visit, folder = self.visitors.begin(session)
        try:
            results = self._results(Request(**asked), visit, folder, self._watch(visit, progress))
            past = remember(past, video, AUDIO[audio], folder / "classes.csv")
            return results, render_history(past), past
        except Exception as error:
            return self._refusal(error, Request(**asked), visit), "", past
        finally:
            self.visitors.end(visit)

    def _results(
        self, request: Request, visit: Visit, folder: Path, watch: Callable[[int, int], None]
    ) -> str:
        outcome = self.analyst.run(request, folder, on_batch=watch)
        nearest = self.analyst.nearest
        copies = [nearest.copy(one).name for one in outcome.neighbors] if nearest else []
        url = f"results/{visit.folder.name}/{folder.name}"
        return render_results(outcome, url=url, clips=[f"clips/{name}" for name in copies])

    def _refusal(self, error: Exception, request: Request, visit: Visit) -> str:
        """Describe an error to the visitor; errors that are no file's also go to the log."""
        if isinstance(error, ClipError):
            return render_refusal(error, other=request.other)
        if visit.left:  # its files are deleted
            return ""
        if isinstance(error, TimeoutError):
            return render_error(request.video.name, str(error), "Take a shorter video.")
        traceback.print_exception(error)
        reason = f"the models failed ({type(error).__name__})"
        return render_error(request.video.name, reason, _REMEDY)

    def _watch(self, visit: Visit, progress: gr.Progress) -> Callable[[int, int], None]:
        """Return a function that shows the progress, and ends a run whose visitor has left."""
        context, until = copy_context(), monotonic() + 60 * self.limits.max_minutes

        def watch(done: int, total: int) -> None:
            if visit.left:
                raise LeftError
            if monotonic() > until:
                minutes = f"{self.limits.max_minutes:g} minutes (--max-minutes)"
                raise TimeoutError(f"the models need more than {minutes}")
            about = "Reading the video" if done < total else "Writing the results"
            context.copy().run(progress, (done, total), desc=about, unit="windows")

        return watch

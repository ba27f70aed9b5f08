"""Temporary files of the visitors of a page, deleted when they leave it."""

import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock

_ORPHANED = 600  # seconds after which an upload that no visitor holds is deleted


class LeftError(Exception):
    """The visitor has left the page, or the server is shutting down."""


@dataclass
class Visit:
    """One visitor: a folder of results, and the uploads on the page."""

    folder: Path
    uploads: dict[str, Path] = field(default_factory=dict)
    busy: bool = False
    left: bool = False
    runs: int = 0


class Visitors:
    """The visitors of a page and their files.

    An upload is named by its content, so that two visitors may hold the same file: it is deleted
    once the last of them has left.

    Args:
        root: An empty folder of the server; `close` deletes it.

    Attributes:
        uploads: Folder of the uploads.
        results: Folder of the results; each visitor has a folder with a random name in it.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.uploads, self.results = root, root / "uploads", root / "results"
        for folder in (self.uploads, self.results):
            folder.mkdir()
        self._visits: dict[str, Visit] = {}
        self._lock = RLock()

    def hold(self, session: str, **uploads: str | None) -> None:
        """Note the uploads that a visitor's page shows, by field; delete those that it has shown.

        Other uploads are deleted too, if no visitor has held them for ten minutes.
        """
        with self._lock:
            visit = self._visit(session)
            for name, path in uploads.items():
                before = visit.uploads.pop(name, None)
                if path is not None:
                    visit.uploads[name] = Path(path)
                if before is not None and before != visit.uploads.get(name):
                    self._release(before)
            self._sweep()

    def begin(self, session: str) -> tuple[Visit, Path]:
        """Start a run: return the visit and a new folder, in place of that of the last run."""
        with self._lock:
            visit = self._visit(session)
            visit.busy, visit.runs = True, visit.runs + 1
            shutil.rmtree(visit.folder, ignore_errors=True)
            folder = visit.folder / str(visit.runs)
            folder.mkdir(parents=True)
            return visit, folder

    def end(self, visit: Visit) -> None:
        """End a run; if its visitor has left meanwhile, delete the results."""
        with self._lock:
            visit.busy = False
            if visit.left:
                shutil.rmtree(visit.folder, ignore_errors=True)

    def leave(self, session: str) -> None:
        """Delete the files of a visitor, those of a running run at its end."""
        with self._lock:
            visit = self._visits.pop(session, None)
            if visit is None:
                return
            visit.left = True
            for path in visit.uploads.values():
                self._release(path)
            if not visit.busy:
                shutil.rmtree(visit.folder, ignore_errors=True)
            self._sweep()

    def close(self) -> None:
        """Let all visitors leave, and delete all files."""
        with self._lock:
            for session in list(self._visits):
                self.leave(session)
        shutil.rmtree(self.root, ignore_errors=True)

    def _visit(self, session: str) -> Visit:
        if session not in self._visits:
            # The browser chooses the name of its session, so that it is no name for a folder.
            folder = Path(tempfile.mkdtemp(dir=self.results))
            self._visits[session] = Visit(folder)
        return self._visits[session]

    def _release(self, path: Path) -> None:
        """Delete an upload that no visitor holds."""
        if not any(path in visit.uploads.values() for visit in self._visits.values()):
            path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Delete the uploads that have had no holder for long, and empty folders."""
        until = time.time() - _ORPHANED
        for path in self.uploads.rglob("*"):
            if path.is_file() and path.stat().st_mtime < until:
                self._release(path)
        for folder in self.uploads.iterdir():
            if folder.is_dir() and not any(folder.iterdir()) and folder.stat().st_mtime < until:
                folder.rmdir()

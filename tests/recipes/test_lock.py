"""One run at a time in a folder, and the folder free however a run ended."""

import os
import signal
from pathlib import Path

import pytest

from recipes.engine.folder import locked


def holder(folder: Path, *, forks: bool = False) -> tuple[int, int]:
    """A process that holds the lock until it is killed, and perhaps a child that outlives it."""
    told, tell = os.pipe()
    child = os.fork()
    if child:
        os.close(tell)
        grandchild = int(os.read(told, 20) or b"0")
        os.close(told)
        return child, grandchild
    with locked(folder):
        grandchild = os.fork() if forks else 0
        if forks and grandchild == 0:
            signal.pause()
        os.write(tell, str(grandchild).encode())
        signal.pause()
    os._exit(1)


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("forks", [False, True])
def test_the_second_is_told_who_is_first_until_that_one_ends(tmp_path: Path, forks: bool) -> None:
    folder = tmp_path / "run"
    process, grandchild = holder(folder, forks=forks)
    try:
        told = rf"another run is at work .*\(process {process} on "
        with pytest.raises(ValueError, match=told), locked(folder):
            pass
        kill(process)
        with locked(folder):
            assert f"process {os.getpid()} on " in (folder / "lock").read_text()
    finally:
        if grandchild:
            os.kill(grandchild, signal.SIGKILL)


def test_it_is_let_go_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    process, _ = holder(tmp_path)
    kill(process)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), locked(tmp_path / "file" / "run"):
        pass

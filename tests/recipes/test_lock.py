"""One run at a time in a folder, and the folder free however a run ended."""

import errno
import fcntl
import os
import signal
from pathlib import Path

import pytest
from engine_toy import Points, train
from torch import Tensor

from avblocks.locks import locked


def holder(folder: Path, *, forks: bool = False) -> tuple[int, int]:
    """A process that holds the lock until it is killed, and perhaps a child that outlives it."""
    told, tell = os.pipe()
    child = os.fork()
    if child:
        os.close(tell)
        grandchild = int(os.read(told, 20) or b"0")
        os.close(told)
        return child, grandchild
    with locked(folder, remedy="wait"):
        grandchild = os.fork() if forks else 0
        if forks and grandchild == 0:  # which tells by itself, once it has let go
            os.write(tell, str(os.getpid()).encode())
            signal.pause()
        if not forks:
            os.write(tell, b"0")
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
        told = rf"another run is active .*\(process {process} on "
        with pytest.raises(ValueError, match=told), locked(folder, remedy="wait"):
            pass
        kill(process)
        with locked(folder, remedy="wait"):
            assert f"process {os.getpid()} on " in (folder / "lock").read_text()
        assert not (folder / "lock").exists()
    finally:
        if grandchild:
            os.kill(grandchild, signal.SIGKILL)


def test_it_is_let_go_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path, remedy="wait"):
        raise KeyError
    process, _ = holder(tmp_path)
    kill(process)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), locked(tmp_path / "file" / "run", remedy="wait"):
        pass


def test_the_lock_is_of_the_folder_that_is_there_now(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with locked(folder, remedy="wait") as first:
        first.check()
        folder.rename(tmp_path / "old")
        with pytest.raises(FileNotFoundError, match="run was removed or replaced"):
            first.check()
        with locked(folder, remedy="wait") as second:
            second.check()
            with pytest.raises(FileNotFoundError, match="run was removed or replaced"):
                first.check()
    with locked(folder, remedy="wait"):
        pass


def test_who_waited_for_a_file_that_is_removed_takes_the_new_one(tmp_path: Path) -> None:
    """Between opening the file and locking it, its holder may have removed it."""
    flock, seen = fcntl.flock, []

    def late(handle: int, flags: int) -> None:
        if not seen:
            (tmp_path / "lock").unlink()
        if flags & fcntl.LOCK_EX:
            seen.append(handle)
        flock(handle, flags)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcntl, "flock", late)
        with locked(tmp_path, remedy="wait") as lock:
            lock.check()
    assert len(seen) == 2


def test_a_file_system_without_locks_is_told(tmp_path: Path) -> None:
    def none(handle: int, flags: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcntl, "flock", none)
        with (
            pytest.warns(UserWarning, match="cannot be locked .Function not implemented"),
            locked(tmp_path, remedy="wait"),
        ):
            pass


@pytest.mark.parametrize("anew", [False, True])
def test_a_run_whose_folder_is_gone_stops_and_leaves_the_next_alone(
    tmp_path: Path, anew: bool
) -> None:
    folder = tmp_path / "run"

    class Removing(Points):
        def __getitem__(self, at: tuple[int, int]) -> tuple[Tensor, Tensor, str]:
            if folder.is_dir() and (folder / "checkpoints").is_dir() and not old.exists():
                folder.rename(old)
                if anew:
                    train(folder, max_steps=2)
                    new.update({p: p.read_bytes() for p in folder.rglob("*") if p.is_file()})
            return super().__getitem__(at)

    old, new = tmp_path / "old", dict[Path, bytes]()
    with pytest.raises(FileNotFoundError, match="run was removed or replaced"):
        train(folder, dataset=Removing(), save_every=3)
    left = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert left == new and bool(left) == anew


def test_resuming_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing to resume in .*run: it holds no whole"):
        train(tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()

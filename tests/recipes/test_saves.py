"""Checkpoints are whole or not there."""

import json
import os
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from fresh import Fresh

from avblocks.checkpoint import saves as _saves
from avblocks.files import fingerprint, write_text

STATE = {"w": torch.arange(6.0), "n": [1, (2.5, None)], "s": {"name": "x", 3: True}}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_round_trip_keeps_the_newest_two(tmp_path: Path) -> None:
    for step in (1, 2, 10):
        path = _saves.save({**STATE, "step": step}, tmp_path, step=step)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"step-{step:08d}.{ext}" for step in (2, 10) for ext in ("ckpt", "json")
    ]
    assert _saves.latest(tmp_path) == path
    state = _saves.load(path)
    assert state["step"] == 10
    assert torch.equal(state["w"], STATE["w"])


@pytest.mark.parametrize("harm", ["flip", "cut", "manifest", "no manifest"])
def test_damaged_is_passed_over_by_name(tmp_path: Path, harm: str) -> None:
    good, bad = (_saves.save(STATE, tmp_path, step=step) for step in (1, 2))
    manifest = bad.with_suffix(".json")
    if harm == "flip":
        flip(bad)
    elif harm == "cut":
        bad.write_bytes(bad.read_bytes()[:-10])
    elif harm == "manifest":
        manifest.write_text("{")
    else:
        manifest.unlink()
    said: list[str] = []
    assert _saves.latest(tmp_path, report=said.append) == good
    assert len(said) == 1
    assert str(bad) in said[0]
    with pytest.raises(ValueError, match="refused"):
        _saves.load(bad)


def test_nothing_there(tmp_path: Path) -> None:
    assert _saves.latest(tmp_path / "none") is None
    assert not _saves.exists(tmp_path)
    with pytest.raises(ValueError, match="no such file"):
        _saves.load(tmp_path / "step-00000001.ckpt")


def test_only_plain_values_are_saved(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"checkpoint\.a\[1\] is PosixPath"):
        _saves.save({"a": [1, tmp_path]}, tmp_path, step=1)
    assert not _saves.exists(tmp_path)


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "planted"),)

    path = _saves.save(STATE, tmp_path, step=1)
    torch.save({"w": Evil()}, path)
    write_text(path.with_suffix(".json"), json.dumps(fingerprint(path)))
    with pytest.raises(ValueError, match="more than tensors"):
        _saves.load(path)
    assert not (tmp_path / "planted").exists()


def test_full_disk_is_said_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = _saves.save(STATE, tmp_path, step=1)
    usage = namedtuple("usage", "free")(3)
    monkeypatch.setattr(_saves.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match="disk full"):
        _saves.save(STATE, tmp_path, step=2)
    assert _saves.latest(tmp_path) == good


def test_failing_write_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = _saves.save(STATE, tmp_path, step=1)

    def fail(*_: object) -> None:
        raise RuntimeError("unexpected pos 704 vs 598")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="cannot be written"):
        _saves.save(STATE, tmp_path, step=2)
    assert _saves.latest(tmp_path) == good
    assert not list(tmp_path.glob("*.tmp"))


KILLS = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from avblocks.checkpoint import saves as _saves
folder, kills, before = Path(sys.argv[1]), int(sys.argv[2]), 0
state = {"w": torch.ones(1_000_000)}
random.seed(0)
for _ in range(kills):
    if not (child := os.fork()):
        step = before
        while True:
            step += 1
            _saves.save({**state, "step": step}, folder, step=step)
    time.sleep(random.uniform(0.05, 0.25))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    newest = _saves.latest(folder)
    if newest is not None:
        found = _saves.load(newest)["step"]
        assert found == _saves.step_of(newest) >= before, (found, before)
        before = found
_saves.save(state, folder, step=before + 1)
print(before, len(list(folder.iterdir())))
"""


def test_kill_while_saving_leaves_a_whole_checkpoint(fresh: Fresh, tmp_path: Path) -> None:
    done = fresh(KILLS, str(tmp_path), "10")
    assert done.returncode == 0, done.stderr
    before, files = map(int, done.stdout.split())
    assert before > 0
    assert files == 4

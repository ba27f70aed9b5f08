"""A run records its command, the commit of its code and whether that was changed."""

import json
import subprocess
from pathlib import Path

from engine_toy import train

from recipes.engine.provenance import git_state, provenance


def test_commit_and_changes_of_a_repository(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(tmp_path), *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "code.py").write_text("1\n")
    git("add", "code.py")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert git_state(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "code.py").write_text("2\n")
    assert git_state(tmp_path) == {"commit": commit, "dirty": True}


def test_without_a_repository(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None and git_state(tmp_path / "missing") is None


def test_a_run_records_them(tmp_path: Path) -> None:
    train(tmp_path, max_steps=1)
    facts = json.loads((tmp_path / "config.json").read_text())
    now = json.loads(json.dumps(provenance()))
    assert {name: facts[name] for name in now} == now
    assert {"torch", "numpy", "av", "python"} <= facts["versions"].keys()
    assert {"node", "cpu", "cores", "gpus", "system"} == facts["machine"].keys()
    readme = (tmp_path / "README.txt").read_text()
    assert facts["command"] in readme and "--run.resume" in readme
    assert not (tmp_path / "lock").exists()

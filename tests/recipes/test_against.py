"""Two builds in turn: this one against the commit before."""

import json
import subprocess
from pathlib import Path

import pytest
from command_lines import command

from recipes.benchmark import against
from recipes.benchmark.against import ROOT

GIT = ["git", "-C", str(ROOT)]
OUTSIDE = subprocess.run([*GIT, "rev-parse", "HEAD"], capture_output=True, check=False).returncode
needs_git = pytest.mark.skipif(OUTSIDE != 0, reason="not in a git repository")


def trees() -> list[str]:
    lines = subprocess.check_output([*GIT, "worktree", "list", "--porcelain"], text=True)
    return [line for line in lines.splitlines() if line.startswith("worktree ")]


@needs_git
@pytest.mark.parametrize("together", [[], ["--together"]])
def test_measures_both_and_leaves_no_work_tree(tmp_path: Path, together: list[str]) -> None:
    words = ["--tiny", "--repeats", "1", "--threads", "1", "--cases", "pretrain dense", *together]
    command(against)(["--commit", "HEAD", "--out", str(tmp_path / "out.json"), *words])
    rows = json.loads((tmp_path / "out.json").read_text())["cases"]
    assert list(rows) == ["pretrain dense"] and rows["pretrain dense"]["seconds"] > 0
    assert not [tree for tree in trees() if tree.endswith("/tree")]


@needs_git
def test_a_users_mistake_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        ([], "give the --commit"),
        (["--commit", "nothing"], "nothing"),
        (["--commit", "HEAD", "--cases", "none"], "--cases 'none' fits none of: pretrain fact"),
    ):
        with pytest.raises(SystemExit):
            command(against)(words)
        assert message in capsys.readouterr().err

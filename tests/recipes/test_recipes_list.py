"""`python -m recipes NAME` runs a recipe, and lists all of them for another name."""

import os
import subprocess
import sys


def recipes(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "recipes", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)


def test_another_name_lists_them() -> None:
    done = recipes("paper_pretrian", "--batch", "4")
    assert done.returncode == 2 and done.stdout == ""
    first, *others = done.stderr.splitlines()
    assert first == "error: no recipe 'paper_pretrian'; the closest is paper_pretrain"
    assert {"  paper_linear_probe", "  predict"} <= {line[:20].rstrip() for line in others}
    assert "closest" not in recipes("zzz").stderr


def test_a_name_runs_it() -> None:
    done = recipes("export", "--help")
    assert done.returncode == 0 and "usage: python -m recipes.export" in done.stdout
    done = recipes("recipes.paper_pretrain", "huge")
    assert done.returncode == 2 and done.stderr.startswith("error: no preset 'huge'")


def test_help_texts_off_a_terminal_keep_their_lines() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    lines = recipes("paper_pretrain", "--help", env=environment).stdout.splitlines()
    assert max(map(len, lines)) <= 110
    text = "Mask patches at random, blocks of patches (equal ones in all frames of a video), tubes"
    assert any(text in line for line in lines)

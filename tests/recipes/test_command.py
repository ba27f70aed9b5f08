"""The command that resumes a run has all options of the command that began it, and no limit."""

import pytest

from recipes.engine.command import resume_command


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("scenes --run.max-steps 5 --batch 3", "scenes --batch 3"),
        ("scenes --run.max-steps=5 --batch=3", "scenes --batch=3"),
        ("--run.max_steps=5 --run.seed 1", "--run.seed 1"),
        ("--run.max_steps 5 --run.resume --run.seed=1", "--run.seed=1"),
        ("--run.seed 1 --run.max-steps 5", "--run.seed 1"),
    ],
)
def test_the_limit_goes_and_all_else_stays(
    words: str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["recipe", *words.split()])
    assert resume_command().endswith(f" {kept} --run.resume")

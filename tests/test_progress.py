"""Progress: a bar on a terminal, and elsewhere a line now and then."""

import io
import sys
import time

import pytest

from avblocks import progress
from avblocks.progress import progress_bar


def test_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.05)
    for _ in progress_bar(range(4), "encoding", unit="batch"):
        time.sleep(0.06)
    lines = capsys.readouterr().err
    assert "\r" not in lines and 2 <= lines.count("\n") <= 4
    first = lines.splitlines()[0]
    assert first.startswith("encoding: ") and " of 4, " in first
    assert first.endswith(" left") and "batch/s" in first


def test_nothing_of_what_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress_bar(range(3), "short", unit="batch")) == [0, 1, 2]
    with progress_bar(about="short", total=3, initial=1, unit="batch") as bar:
        bar.update(2)
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("disable", [False, True])
def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, disable: bool) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    list(progress_bar(range(3), "bar", unit="batch", disable=disable))
    assert ("\rbar: 100%" in terminal.getvalue()) is not disable

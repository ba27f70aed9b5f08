"""Every reader reads every kind of file right: a part of the matrix; all of it if slow."""

from pathlib import Path

import pytest

from avblocks.data.health import check_file
from tests.media.compare import errors, windows_of
from tests.media.files import write_kind
from tests.media.matrix import CASES, QUICK

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in CASES if name not in QUICK]


@pytest.mark.parametrize("name", [*QUICK, *SLOW])
def test_all_readers_are_right_and_so_agree(tmp_path: Path, name: str) -> None:
    kind = CASES[name]
    path = write_kind(tmp_path, kind)
    assert check_file(path).reason == ""
    for reader, windows in windows_of(path, tmp_path).items():
        found = errors(windows, kind)
        assert found.frames <= 1, (reader, found)
        assert found.silence <= 20, (reader, found)
        assert found.level <= 0.08, (reader, found)
        assert found.gray <= 2, (reader, found)
        assert found.missing == 0, (reader, found)


def test_the_matrix_is_large() -> None:
    assert len(CASES) >= 200 and len(QUICK) == 20 and set(QUICK) <= set(CASES)

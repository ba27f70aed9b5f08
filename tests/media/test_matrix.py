"""Every reader reads every kind of file right: a part of the matrix; all of it if slow."""

import pytest

from tests.media.compare import wrong
from tests.media.matrix import CASES, QUICK
from tests.media.measure import measure

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in CASES if name not in QUICK]


@pytest.mark.parametrize("name", [*QUICK, *SLOW])
def test_all_readers_are_right_and_so_agree(name: str) -> None:
    found = measure(name)
    assert set(found) == {"read_clip", "shards", "predict"}
    assert not {reader: wrong(errors) for reader, errors in found.items() if wrong(errors)}, found


def test_the_matrix_is_large() -> None:
    assert len(CASES) >= 200 and len(QUICK) >= 20 and set(QUICK) <= set(CASES)

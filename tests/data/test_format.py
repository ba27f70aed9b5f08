"""The format of a clip: its numbers, its way through JSON, what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avblocks.data import ClipFormat


def test_defaults_are_those_of_the_paper() -> None:
    paper = ClipFormat()
    assert (paper.samples, paper.image_size, paper.audio_size) == (48000, (224, 224), (128, 192))
    assert str(paper) == "224 x 224 pixels and 128 x 192 mel bins and frames"


@given(
    st.floats(0.5, 10),
    st.integers(8000, 48000),
    st.integers(2, 512),
    st.integers(1, 256),
    st.integers(1, 4000),
)
def test_json_gives_an_equal_format(
    seconds: float, rate: int, size: int, mels: int, hop: int
) -> None:
    one = ClipFormat(seconds=seconds, rate=rate, size=size, mels=mels, hop=hop)
    assert ClipFormat.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    assert one.audio_size == (mels, round(seconds * rate) // hop)


@pytest.mark.parametrize(
    "bad",
    [
        {"seconds": 0.0},
        {"seconds": -1.0},
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"rate": 0},
        {"size": 1},
        {"mels": 0},
        {"hop": 0},
        {"hop": 48001},
    ],
)
def test_impossible_numbers(bad: dict[str, Any]) -> None:
    ((name, value),) = bad.items()
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got {value!r}$"):
        ClipFormat(**bad)


@pytest.mark.parametrize("change", [{"rates": 1}, {"rate": None}])
def test_other_names_are_refused(change: dict[str, Any]) -> None:
    values = {k: v for k, v in (ClipFormat().to_dict() | change).items() if v is not None}
    with pytest.raises(ValueError, match="format must be the numbers"):
        ClipFormat.from_dict(values)

"""Packets of the frames that are shown at some times."""

from itertools import accumulate

import av
from hypothesis import given
from hypothesis import strategies as st

from avblocks.data.decode.shown import mark_shown


def packet(pts: int | None, dts: int | None, size: int = 1) -> av.Packet:
    made = av.Packet(size)
    made.pts, made.dts = pts, dts
    return made


END = packet(None, None, 0)


def marks(packets: list[av.Packet], stamps: list[float]) -> list[bool]:
    found = list(mark_shown(packets, stamps=stamps))
    assert [one for one, _ in found] == packets
    return [shown for _, shown in found]


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=20),
    st.integers(1, 5),
    st.lists(st.floats(-3, 60), max_size=6),
)
def test_marked_are_the_frames_shown(gaps: list[int], block: int, times: list[float]) -> None:
    stamps = list(accumulate(gaps))
    order = [  # the last frame of each block is decoded first, as if the others were B-frames
        stamp
        for place in range(0, len(stamps), block)
        for stamp in (*stamps[place : place + block][-1:], *stamps[place : place + block][:-1])
    ]
    packets = [packet(*pair) for pair in zip(order, (0, *stamps), strict=False)]
    shown = {max([s for s in stamps if s <= time], default=stamps[0]) for time in times}
    found = marks([*packets, END], sorted(times))
    assert found == [*(one.pts in shown for one in packets), True]


def test_without_an_order_all_are_marked() -> None:
    plain = [packet(n, n) for n in range(6)]
    assert marks([*plain, END], [0.5, 5]) == [True, False, False, False, False, True, True]
    for odd in (packet(None, 3), packet(3, None), packet(3, 4), packet(3, 1)):
        found = marks([*plain[:3], odd, *plain[4:], END], [0.5])
        assert found[:2] == [True, False] and all(found[3:])

"""Find the packets of a video with the frames that are shown at given times."""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from math import inf

import av


def mark_shown(
    packets: Iterable[av.Packet], *, stamps: Sequence[float | Fraction]
) -> Iterator[tuple[av.Packet, bool]]:
    """Mark the packets whose frames are shown at increasing time stamps.

    A frame is shown until the next one, and the first frame also before its time. Packets are held
    back until the next frame is known, which takes as many packets as frames are reordered. After a
    packet without time stamps of decoding and display, all packets are marked.

    Yields:
        The packets in their order, and whether their frames are shown.
    """
    waiting, known, first, now = deque[av.Packet](), list[int](), inf, -inf
    for packet in packets:
        now = _advance(packet, now)
        waiting.append(packet)
        if now < inf and packet.pts is not None:
            insort(known, packet.pts)
            first = min(first, packet.pts)
        while waiting:
            stamp = waiting[0].pts
            if stamp not in known:  # no frame, or no order
                yield waiting.popleft(), True
                continue
            place = bisect_right(known, stamp)
            until = known[place] if place < len(known) else inf
            if until > now:  # a frame between the two may follow
                break
            begin = -inf if stamp == first else stamp
            yield waiting.popleft(), bisect_left(stamps, begin) < bisect_left(stamps, until)
            del known[: bisect_left(known, min((p.pts or 0 for p in waiting), default=stamp))]


def _advance(packet: av.Packet, now: float) -> float:
    """Return the time stamp before which no later frame is shown; infinite if there is no order."""
    if packet.pts is None or packet.dts is None or not now <= packet.dts <= packet.pts:
        return inf
    return packet.dts

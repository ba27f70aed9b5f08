"""Indices that find the fingerprints of the same audio or frames without comparing all pairs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt16, UInt32

from avblocks.data.leaks.audio_codes import CODES_PER_SECOND, variants

MAX_ERROR = 0.33
"""Share of different bits up to which audio is the same; unrelated audio has 0.5."""
MAX_DISTANCE = 16
"""Different bits of 128 up to which frames are the same; unrelated frames have 64."""
_LEAST = round(2 * CODES_PER_SECOND)  # codes that clips must have in common
_COMMON = 10_000  # places of a code or word above which it says nothing, such as that of a hum
_VERIFIED = 64  # alignments of a clip with others that are compared bit by bit
_SHIFT = 1 << 20  # above all offsets between two clips, in codes
_WORDS = 8

Places = Int64[np.ndarray, " _"]
Words = UInt32[np.ndarray, " _"] | UInt16[np.ndarray, " _"]


@dataclass(frozen=True, slots=True)
class Match:
    """A clip of an index with the same audio or frames.

    Attributes:
        index: Number of the clip in the index.
        error: Share of different bits, of audio; of frames, that of the closest pair.
        count: Seconds of audio in common; number of frames in common.
    """

    index: int
    error: float
    count: float


class AudioIndex:
    """Index of the audio of clips, for clips that share at least two seconds at any offset.

    Two clips with an equal code, possibly after a change of its weakest bits, have a candidate
    offset. The offsets with the most equal codes are then compared bit by bit. Memory is 16 bytes
    per code, and the time of a search does not depend on the number of clips as long as codes are
    rare.

    Args:
        clips: The codes of each clip, see `audio_codes`.
    """

    def __init__(self, clips: Sequence[UInt32[np.ndarray, "_ 2"]]) -> None:
        self.starts = np.cumsum([0, *map(len, clips)])
        self.codes = np.concatenate([np.zeros(0, np.uint32), *(clip[:, 0] for clip in clips)])
        self.keys, self.places = _sorted(self.codes)

    def search(self, codes: UInt32[np.ndarray, "t 2"]) -> Iterator[Match]:
        """Yield the clips with the same audio as a clip, in their order."""
        loud = np.flatnonzero(codes[:, 0])
        wanted = variants(codes[loud])
        numbers, places = _found(self.keys, self.places, wanted.ravel())
        frames = loud[numbers // max(wanted.shape[1], 1)]
        clips = np.searchsorted(self.starts, places, side="right") - 1
        keys = clips * _SHIFT + (places - self.starts[clips] - frames) + _SHIFT // 2
        keys, votes = np.unique(keys, return_counts=True)
        best: dict[int, Match] = {}
        for key in keys[np.argsort(-votes, kind="stable")[:_VERIFIED]].tolist():
            clip, offset = key // _SHIFT, key % _SHIFT - _SHIFT // 2
            match = self._compared(codes[:, 0], clip, offset)
            if match and (clip not in best or match.error < best[clip].error):
                best[clip] = match
        yield from (best[clip] for clip in sorted(best))

    def _compared(self, codes: UInt32[np.ndarray, " t"], clip: int, offset: int) -> Match | None:
        other = self.codes[self.starts[clip] : self.starts[clip + 1]]
        one, two = codes[max(-offset, 0) :], other[max(offset, 0) :]
        length = min(len(one), len(two))
        one, two = one[:length], two[:length]
        loud = (one != 0) & (two != 0)
        count = int(loud.sum())
        if count < _LEAST:
            return None
        error = float(np.bitwise_count(one ^ two)[loud].mean()) / 32
        return Match(clip, error, count / CODES_PER_SECOND) if error <= MAX_ERROR else None


class FrameIndex:
    """Index of the frames of clips, for clips that share a frame.

    A frame is compared with all frames that have one of its eight words of 16 bits. Hashes that
    differ in up to 7 of 128 bits always have a word in common, and those that differ in 16 nearly
    always.

    Args:
        clips: The hashes of each clip, see `frame_hash`.
    """

    def __init__(self, clips: Sequence[UInt16[np.ndarray, "_ 8"]]) -> None:
        self.hashes = np.concatenate([np.zeros((0, _WORDS), np.uint16), *clips])
        self.clips = np.repeat(np.arange(len(clips)), [len(clip) for clip in clips])
        self.words = [_sorted(self.hashes[:, word], keep=True) for word in range(_WORDS)]

    def search(self, hashes: UInt16[np.ndarray, "t 8"]) -> Iterator[Match]:
        """Yield the clips with the same frames as a clip, in their order."""
        pairs = [np.stack(_found(*self.words[word], hashes[:, word])) for word in range(_WORDS)]
        frames, places = np.unique(np.concatenate(pairs, axis=1), axis=1)
        bits = np.bitwise_count(hashes[frames] ^ self.hashes[places]).sum(1)
        same = bits <= MAX_DISTANCE
        frames, clips, bits = frames[same], self.clips[places[same]], bits[same]
        for clip in np.unique(clips).tolist():
            those = clips == clip
            error = float(bits[those].min()) / (16 * _WORDS)
            yield Match(clip, error, float(len(np.unique(frames[those]))))


def _sorted(values: Words, *, keep: bool = False) -> tuple[Words, Places]:
    """Sort values with their places; zeros, which mark silence, are left out unless kept."""
    places = np.arange(len(values)) if keep else np.flatnonzero(values)
    order = np.argsort(values[places], kind="stable")
    return values[places][order], places[order]


def _found(keys: Words, places: Places, wanted: Words) -> tuple[Places, Places]:
    """Return the index of each wanted value with each of its places, except of common values."""
    low, high = (np.searchsorted(keys, wanted, side=side) for side in ("left", "right"))
    count = np.where(high - low > _COMMON, 0, high - low)
    number = np.repeat(np.arange(len(wanted)), count)
    within = np.arange(len(number)) - np.repeat(np.cumsum(count) - count, count)
    return number, places[low[number] + within]

"""The timeline of audio: gaps, stamps that wobble, overlaps; by all readers alike."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avblocks.data import read_clip
from avblocks.data.datasets import Item
from avblocks.data.decode.timeline import align_pieces, without_gaps
from avblocks.data.health import check_file
from avblocks.data.shards.encode import ShardSettings, encode_clip
from avblocks.data.shards.flac import HEAD, decode_flac
from tests.data.clip_files import count
from tests.media.files import FPS, Kind, write_kind
from tests.media.readings import lag, likeness, silent, streamed, window_start

RATE = 16000
GAPS = {
    "mp4": Kind(suffix=".mp4", gaps=((2.0, 4.0),)),
    "mov": Kind(suffix=".mov", gaps=((2.0, 4.0),)),
    "mkv": Kind(suffix=".mkv", gaps=((2.0, 4.0),)),
    "webm": Kind(suffix=".webm", codecs=("libvpx-vp9", "libopus"), gaps=((2.0, 4.0),)),
    "fragments": Kind(
        suffix=".mp4",
        gaps=((2.0, 4.0),),
        video={"bf": "0"},  # otherwise all begins later by two images
        muxer={"movflags": "frag_keyframe+empty_moov"},
    ),
    "two gaps": Kind(suffix=".mkv", gaps=((1.0, 1.2), (2.0, 4.0))),
}
WOBBLES = {
    "mp4": Kind(suffix=".mp4", wobble=0.02),
    "mkv": Kind(suffix=".mkv", wobble=0.02),
    "webm": Kind(suffix=".webm", codecs=("libvpx-vp9", "libopus"), wobble=0.02),
}


def packed(path: Path) -> np.ndarray:
    """All audio of a file as shards keep it."""
    _, flac, *_ = encode_clip(
        Item(id="a", path=str(path)), classes=(), settings=ShardSettings(rate=RATE)
    ).values()
    return decode_flac(flac[:HEAD], flac[HEAD:]) / 32768


@pytest.mark.parametrize("name", GAPS)
def test_a_gap_is_silent_for_every_reader(tmp_path: Path, name: str) -> None:
    path = write_kind(tmp_path, GAPS[name])
    for place in (0.0, 0.25, 0.5, 0.6, 0.75, 1.0):
        audio = read_clip(str(path), seconds=2.0, rate=RATE, place=place).audio.numpy()
        assert audio.shape == (2 * RATE,)
        start = window_start(str(path), place=place, seconds=2.0)
        _check(audio, start=start, gaps=GAPS[name].gaps)
    for line in (streamed(str(path), rate=RATE), packed(path)):
        assert len(line) == pytest.approx(6 * RATE, abs=0.03 * RATE)
        _check(line, start=0.0, gaps=GAPS[name].gaps)
    found = check_file(path)
    assert not found.reason and found.audio_seconds == pytest.approx(6.0, abs=0.05)


def _check(audio: np.ndarray, *, start: float, gaps: tuple[tuple[float, float], ...]) -> None:
    """Audio is in its place, and silent in the gaps but for a packet at each edge."""
    times = start + (np.arange(len(audio) // 160) + 0.5) / 100
    quiet, near = silent(audio, rate=RATE), np.zeros(len(times), dtype=bool)
    inside = np.zeros(len(times), dtype=bool)
    for first, last in gaps:
        inside |= (first < times) & (times < last)
        near |= (np.abs(times - first) < 0.05) | (np.abs(times - last) < 0.05)
    near |= (times < 0.03) | (times > 5.95)  # where encoders begin and end
    assert (quiet == inside)[~near].all()
    heard = [part for part in np.array_split(audio, 2) if not silent(part, rate=RATE).any()]
    for part in heard:
        begin = start if part is heard[0] and part[0] == audio[0] else start + len(audio) / 2 / RATE
        assert abs(lag(part, start=begin, rate=RATE)) < 0.025 * RATE


@pytest.mark.parametrize("name", WOBBLES)
def test_stamps_that_wobble_change_nothing(tmp_path: Path, name: str) -> None:
    path = write_kind(tmp_path, WOBBLES[name])
    lines = [
        (
            window_start(str(path), place=place, seconds=2.0),
            read_clip(str(path), seconds=2.0, rate=RATE, place=place).audio.numpy(),
        )
        for place in (0.1, 0.37, 0.6, 0.9)
    ]
    whole = [streamed(str(path), rate=RATE), packed(path)]
    lines += [(second, line[second * RATE :][: 2 * RATE]) for line in whole for second in (1, 3)]
    for start, audio in lines:
        assert len(audio) == 2 * RATE
        found = lag(audio, start=start, rate=RATE)
        assert abs(found) < 0.02 * RATE
        assert likeness(audio, start=start - found / RATE, rate=RATE) > 0.995


def pieces(*stamps: int | None, length: int = 1000) -> list[tuple[int | None, np.ndarray]]:
    """Pieces that count on, with stamps."""
    line = np.arange(len(stamps) * length, dtype=np.float32)
    return list(zip(stamps, np.split(line, len(stamps)), strict=True))


def row(*stamps: int | None) -> list[tuple[int, int]]:
    return [(place, len(p)) for place, p in align_pieces(pieces(*stamps), rate=8000)]  # 240 samples


def test_one_wrong_stamp_changes_nothing() -> None:
    assert row(0, 1000, 77000, 3000) == [(0, 1000), (1000, 1000), (2000, 1000), (3000, 1000)]


def test_the_last_stamp_may_be_a_gap() -> None:
    assert row(0, 1000, 5000) == [(0, 1000), (1000, 1000), (5000, 1000)]


def test_pieces_without_stamps_run_on() -> None:
    assert row(None, None) == [(0, 1000), (1000, 1000)]
    assert row(None, 1700, None) == [(700, 1000), (1700, 1000), (2700, 1000)]


def test_drift_is_caught_up_with() -> None:
    places = np.array([place for place, _ in row(*(1050 * n for n in range(30)))])
    assert np.abs(places - 1050 * np.arange(30)).max() <= 240


@given(st.lists(st.one_of(st.none(), st.integers(-3000, 9000)), min_size=1, max_size=40))
def test_samples_are_in_order_and_at_most_once(stamps: list[int | None]) -> None:
    found = list(align_pieces(pieces(*stamps), rate=8000))
    values = np.concatenate([samples for _, samples in found])
    assert (np.diff(values) > 0).all()
    ends = [place + len(samples) for place, samples in found]
    assert all(place >= end for (place, _), end in zip(found[1:], ends, strict=False))
    line = np.concatenate(list(without_gaps(found, start=found[0][0], longest=70)))
    assert len(line) == ends[-1] - found[0][0] and set(line[line > 0]) == set(values[values > 0])


def test_an_avi_ends_with_its_last_packet(tmp_path: Path) -> None:
    """Its header also counts empty packets: here four of 32 ms, before audio that begins later."""
    kind = Kind(suffix=".avi", codecs=("libx264", "ac3"), video={"bf": "3"})
    path = str(write_kind(tmp_path, kind))
    for place in (0.9, 1.0):
        assert len(read_clip(path, seconds=1.0, place=place).audio) == 16000


AVI = {
    "mp3": (("mpeg4", "libmp3lame"), 4.0),
    "ac3": (("libx264", "ac3"), 4.0),
    "aac": (("mpeg4", "aac"), 4.0),
    "pcm": (("mpeg4", "pcm_s16le"), 4.0),
    "flac": (("mjpeg", "flac"), 4.0),
}


@pytest.mark.parametrize("name", AVI)
def test_an_avi_with_missing_packets_is_read_by_all_or_none(tmp_path: Path, name: str) -> None:
    """Avi has no time stamps; its header counts packets that players skip."""
    codecs, seconds = AVI[name]
    path = write_kind(tmp_path, Kind(suffix=".avi", codecs=codecs, gaps=((2.0, 4.0),)))
    found = check_file(path)
    assert not found.reason and found.audio_seconds == pytest.approx(seconds, abs=0.06)
    assert bool(found.remark) == (name != "pcm")
    for place in np.linspace(0, 1, 15):
        assert len(read_clip(str(path), seconds=1.0, rate=RATE, place=place).audio) == RATE
    for line in (streamed(str(path), rate=RATE), packed(path)):
        assert len(line) == pytest.approx(seconds * RATE, abs=0.06 * RATE)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_part_of_an_avi_is_read_to_its_last_packet(tmp_path: Path, share: float) -> None:
    path = write_kind(tmp_path, Kind(suffix=".avi", codecs=("mpeg4", "libmp3lame")))
    path.write_bytes(path.read_bytes()[: round(share * path.stat().st_size)])
    assert not check_file(path).reason
    for place in np.linspace(0, 1, 7):
        clip = read_clip(str(path), seconds=1.0, rate=RATE, place=place, frame=0.51)
        assert len(clip.audio) == RATE and clip.time is not None
        start = window_start(str(path), place=place, seconds=1.0)
        assert abs(count(clip.image.numpy()) - int((start + clip.time) * FPS)) <= 1

"""Streams that begin long after the others: by their time stamps, or by an edit list."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from avblocks.data import ClipFormat, read_clip
from avblocks.data.decode.audio import extent
from avblocks.data.decode.media import open_media
from avblocks.data.decode.packets import packets, seek, take_only
from avblocks.data.health import check_file
from avblocks.video import open_windows
from tests.data.clip_files import count
from tests.media.files import FPS, Kind, write_kind
from tests.media.readings import lag, streamed, window_start

RATE = 16000
LATE = 7.0  # seconds: FFmpeg analyzes the first five
KINDS = {
    "mkv h264 aac": Kind(suffix=".mkv", video={"bf": "0"}),
    "mkv vp9 pcm": Kind(suffix=".mkv", codecs=("libvpx-vp9", "pcm_s16le")),
    "mkv mpeg4 flac": Kind(suffix=".mkv", codecs=("mpeg4", "flac")),
    "webm vp9 opus": Kind(suffix=".webm", codecs=("libvpx-vp9", "libopus")),
    "mp4 h264 aac": Kind(suffix=".mp4"),
    "mov h264 pcm": Kind(suffix=".mov", codecs=("libx264", "pcm_s16le")),
}


def delayed(folder: Path, kind: Kind, late: str, seconds: float = LATE) -> Path:
    """Copy a file with one of its streams ("video" or "audio") later."""
    source, path = write_kind(folder, kind, "source"), folder / f"late{kind.suffix}"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        streams = {s.index: new.add_stream_from_template(s) for s in old.streams}
        packets = [packet for packet in old.demux() if packet.dts is not None]
        for packet in packets:
            if packet.stream.type == late:
                packet.pts += round(seconds / packet.time_base)
                packet.dts += round(seconds / packet.time_base)
            packet.stream = streams[packet.stream.index]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            new.mux(packet)
    return path


@pytest.mark.parametrize("name", KINDS)
def test_audio_that_begins_late_is_read_at_its_time(tmp_path: Path, name: str) -> None:
    path = delayed(tmp_path, KINDS[name], "audio")
    with open_media(str(path)) as media:
        begin, end = extent(media)
    assert (begin, end) == pytest.approx((LATE, LATE + 6), abs=0.08)  # AAC begins a packet before
    for place in (0.1, 0.5, 1.0):
        start = window_start(str(path), place=place, seconds=1.0)
        clip = read_clip(str(path), seconds=1.0, place=place, frame=0.5)
        audio = clip.audio.numpy()
        assert len(audio) == RATE
        assert np.std(audio) > 0.3
        assert abs(lag(audio, start=start - LATE, rate=RATE)) <= 0.0015 * RATE  # Matroska has 1 ms
        assert count(clip.image.numpy()) == 6 * FPS - 1  # the last image
    line = streamed(str(path), rate=RATE)[: 5 * RATE]
    assert abs(lag(line, start=begin - LATE, rate=RATE)) <= 0.0015 * RATE
    assert not check_file(path).reason


@pytest.mark.parametrize("name", KINDS)
def test_a_seek_to_before_late_audio_leads_to_its_beginning(tmp_path: Path, name: str) -> None:
    """Matroska refuses a seek to before the first packet, as an operation not permitted."""
    path = delayed(tmp_path, KINDS[name], "audio")
    with open_media(str(path)) as media:
        first = next(packets(media, media.audio)).pts
    for time in (0.0, 3.0):
        with open_media(str(path)) as media:
            take_only(media, media.audio)
            seek(media, media.audio, time)
            assert next(packets(media, media.audio)).pts == first


@pytest.mark.parametrize("seconds", [2.5, LATE])
@pytest.mark.parametrize("name", KINDS)
def test_images_that_begin_late_are_shown_at_their_time(
    tmp_path: Path, name: str, seconds: float
) -> None:
    path = delayed(tmp_path, KINDS[name], "video", seconds)
    for place in (0.0, 0.5, 1.0):
        image = read_clip(str(path), seconds=1.0, place=place, frame=0.51).image.numpy()
        shown = window_start(str(path), place=place, seconds=1.0) + 0.51 - seconds
        assert abs(count(image) - max(int(shown * FPS), 0)) <= 1
    windows = open_windows(path, ClipFormat(seconds=1.0, rate=RATE))
    assert windows.offset == 0 and windows.seconds == pytest.approx(6, abs=0.05)
    for batch in windows.batches(4):
        for start, image in zip(batch.starts, batch.images, strict=True):
            shown = max(start / RATE + 0.5 - seconds, 0)
            assert abs(count(image.numpy()) - shown * FPS) <= 1.5
    found = check_file(path)
    assert not found.reason and found.video_seconds == pytest.approx(6, abs=0.1)


def boxes(data: bytes, kind: bytes, begin: int, end: int) -> list[tuple[int, int]]:
    """List the offsets and lengths of the boxes of a kind in a part of an mp4 file."""
    found = []
    while begin < end:
        length, name = struct.unpack_from(">I4s", data, begin)
        found += [(begin, length)] if name == kind else []
        begin += length
    return found


def cut_and_delay(path: Path, *, track: int, delay: float, first: float, seconds: float) -> None:
    """Let a track of a mov file show nothing for a time, then a part of its media."""
    data = bytearray(path.read_bytes())
    ((movie, movie_length),) = boxes(data, b"moov", 0, len(data))
    ((header, _),) = boxes(data, b"mvhd", movie + 8, movie + movie_length)
    whole = struct.unpack_from(">I", data, header + 8 + 12)[0]  # units of a second in edits
    begin, length = boxes(data, b"trak", movie + 8, movie + movie_length)[track]
    ((media, _),) = boxes(data, b"mdia", begin + 8, begin + length)
    scale = struct.unpack_from(">I", data, media + 8 + 20)[0]
    ((old, old_length),) = boxes(data, b"edts", begin + 8, begin + length)
    edits = struct.pack(">IiI", round(delay * whole), -1, 1 << 16)
    edits += struct.pack(">IiI", round(seconds * whole), round(first * scale), 1 << 16)
    new = struct.pack(">I4sI4sII", 24 + len(edits), b"edts", 16 + len(edits), b"elst", 0, 2) + edits
    data[old : old + old_length] = new
    for box, before in ((begin, length), (movie, movie_length)):  # the movie is the last box
        struct.pack_into(">I", data, box, before + len(new) - old_length)
    path.write_bytes(data)


def test_audio_that_is_cut_and_delayed_ends_with_its_edit(tmp_path: Path) -> None:
    path = write_kind(tmp_path, KINDS["mov h264 pcm"])
    cut_and_delay(path, track=1, delay=1.2, first=0.0, seconds=4.0)
    with open_media(str(path)) as media:
        assert extent(media) == pytest.approx((1.2, 5.2), abs=0.03)
    for place in (0.0, 0.5, 1.0):
        audio = read_clip(str(path), seconds=1.0, place=place).audio.numpy()
        start = window_start(str(path), place=place, seconds=1.0) - 1.2
        assert len(audio) == RATE and abs(lag(audio, start=start, rate=RATE)) <= 1
    assert len(streamed(str(path), rate=RATE)) == pytest.approx(4 * RATE, abs=0.03 * RATE)
    assert not check_file(path).reason


def test_images_that_are_cut_and_delayed_are_whole(tmp_path: Path) -> None:
    kind = Kind(suffix=".mov", codecs=("libx264", "pcm_s16le"), video={"bf": "0"})
    path = write_kind(tmp_path, kind)
    cut_and_delay(path, track=0, delay=1.5, first=0.0, seconds=3.0)
    found = check_file(path)
    assert not found.reason and found.video_seconds == pytest.approx(3, abs=0.1)
    assert count(read_clip(str(path), seconds=1.0, place=0.4, frame=0.51).image.numpy()) == 20

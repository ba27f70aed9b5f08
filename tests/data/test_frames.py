"""The quick way to a picture gives what decoding everything gives."""

import random
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from clip_files import count
from media_kinds import KINDS

from avblocks.data import ClipError, read_clip
from avblocks.data.decode import frames as _frames
from avblocks.data.decode.frames import decode_frame
from avblocks.data.decode.media import open_media
from avblocks.data.decode.packets import seek, video_frames
from tests.media.files import FPS, Kind, write_kind


def all_pictures(path: Path) -> list[tuple[float, np.ndarray]]:
    """Decode everything with nothing left out."""
    with av.open(str(path)) as container:
        return [
            (
                frame.time,
                np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)),
            )
            for frame in container.decode(container.streams.video[0])
        ]


def same(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether it is the wanted picture; one that is stretched to square pixels nearly is."""
    if found.shape == wanted.shape:
        return np.array_equal(found, wanted)
    pixels = torch.from_numpy(wanted.copy()).permute(2, 0, 1)[None].float()
    stretched = F.interpolate(pixels, found.shape[:2], mode="bilinear")[0].permute(1, 2, 0)
    return float((stretched - torch.from_numpy(found.copy())).abs().mean()) < 2


def assert_images(path: Path, *, reads: int) -> None:
    """Compare pictures at random times, and around each change of picture, with all pictures."""
    pictures, rng = all_pictures(path), random.Random(0)
    stamps = sorted(stamp for stamp, _ in pictures)
    near = [
        stamp + step for stamp in rng.sample(stamps, min(8, len(stamps))) for step in (-1e-3, 0)
    ]
    for time in (*near, *(rng.uniform(-0.1, stamps[-1] + 0.3) for _ in range(reads))):
        before = [p for p in pictures if p[0] <= time + 1e-6] or pictures[:1]
        wanted = max(before, key=lambda p: p[0])[1]
        for probe in (True, False):
            try:
                with open_media(str(path), probe=probe) as media:
                    assert same(decode_frame(media, time=time), wanted), (time, probe)
            except ClipError as error:
                assert not probe and "not say enough" in error.reason, error


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_those_of_a_whole_decode(tmp_path, kind):
    assert_images(KINDS[kind](tmp_path), reads=16)


@pytest.mark.parametrize("kind", KINDS)
def test_a_header_that_is_believed_too_much_gives_the_right_picture_or_none(
    tmp_path, monkeypatch, kind
):
    monkeypatch.setattr("avblocks.data.decode.media._says_enough", lambda media: True)
    assert_images(KINDS[kind](tmp_path), reads=8)


def test_real_clips_are_read_exactly(real_clips):
    for path in sorted(real_clips.glob("*.mp4")):
        if path.name != "no_audio_track.mp4":
            assert_images(path, reads=6)


@pytest.mark.parametrize("kind", ["mp4", "mov", "turned", "uneven times", "many B-frames", "hevc"])
def test_usual_files_take_the_quick_way(tmp_path, monkeypatch, kind):
    path, calls = KINDS[kind](tmp_path), []
    monkeypatch.setattr(_frames, "_decode_forward", lambda *_, **__: calls.append(1))
    opened = []

    def once(*args, **settings):
        opened.append(settings)
        return open_media(*args, **settings)

    monkeypatch.setattr("avblocks.data.decode.media.open_media", once)
    for place in (0.0, 0.3, 0.7, 1.0):
        read_clip(str(path), seconds=0.5, place=place)
    assert not calls and opened == 4 * [{"probe": False}]


def test_only_what_the_picture_depends_on_is_decoded(tmp_path, monkeypatch):
    path = KINDS["mp4"](tmp_path)
    with open_media(str(path)) as media:
        seek(media, media.video, 1.2)
        wanted, packets = _frames._plan(media, time=1.2)
        assert wanted is not None and packets <= 15
        assert float(wanted * media.video.time_base) == pytest.approx(1.2)


OPEN_GROUPS = {
    "libx264": {"x264-params": "open-gop=1:keyint=20:bframes=3:b-adapt=0:scenecut=0"},
    "libx265": {"x265-params": "keyint=20:bframes=3:b-adapt=0:scenecut=0:log-level=1"},
}


@pytest.mark.parametrize("codec", OPEN_GROUPS)
def test_images_shown_before_the_key_frame_of_an_open_group(tmp_path, codec):
    """FFmpeg 8.1 (PyAV 18.1.0) seeks to after them in mp4: `findings/mp4_open_gop_seek.sh`."""
    kind = Kind(suffix=".mp4", codecs=(codec, "aac"), rate=16000, video=OPEN_GROUPS[codec])
    path = str(write_kind(tmp_path, kind))
    later = 0
    for number in (17, 18, 19, 20, 37, 38, 39):
        time = (number + 0.5) / FPS
        with open_media(path) as media:
            seek(media, media.video, time)
            later += next(video_frames(media)).time > time
        with open_media(path) as media:
            image = decode_frame(media, time=time)
        assert count(image.transpose(2, 0, 1)) == number
    assert later >= 3  # else the files are not of the kind

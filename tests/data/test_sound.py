"""Where a sound begins and ends, and that the header alone is enough to read it."""

import numpy as np
import pytest
from clip_files import count, encode
from media_kinds import KINDS

from avblocks.data import ClipError, read_clip
from avblocks.data.decode.audio import decode_audio, extent
from avblocks.data.decode.media import open_audio, open_media


@pytest.mark.parametrize("kind", KINDS)
def test_the_header_alone_gives_the_sound_that_a_look_into_the_streams_gives(tmp_path, kind):
    path = str(KINDS[kind](tmp_path))
    for place in (0.0, 0.37, 1.0):
        with open_media(path) as media:
            start, end = extent(media)
            wanted = decode_audio(
                media,
                start=start + place * max(end - start - 0.5, 0),
                seconds=0.5,
                rate=8000,
                end=end,
            )
        assert np.array_equal(read_clip(path, seconds=0.5, rate=8000, place=place).audio, wanted)
        assert len(wanted) == 4000


SHORT = {
    "a.mkv": ("libx264", "aac"),
    "pcm.mkv": ("libx264", "pcm_s16le"),
    "a.webm": ("libvpx-vp9", "libopus"),
    "a.avi": ("mpeg4", "pcm_s16le"),
    "fragments.mp4": ("libx264", "aac"),
    "a.mp4": ("libx264", "aac"),
}


@pytest.mark.parametrize("frames", [60, 200])
@pytest.mark.parametrize("name", SHORT)
def test_a_sound_that_ends_before_the_pictures_ends_there(tmp_path, name, frames):
    options = {"movflags": "frag_keyframe+empty_moov"} if "fragments" in name else {}
    path = encode(
        tmp_path / name, frames=frames, seconds=1.5, rate=48000, codecs=SHORT[name], options=options
    )
    with open_media(str(path)) as media:
        start, end = extent(media)
    assert end - start == pytest.approx(1.5, abs=0.11)  # AAC's first and last packet
    clip = read_clip(str(path), seconds=0.5, place=1.0)
    assert len(clip.audio) > 7000 and clip.audio.abs().max() > 0.3
    assert abs(count(clip.image.numpy()) - 25) <= 1


def test_a_sound_file_of_untold_length_is_measured(tmp_path):
    path = encode(tmp_path / "a.flac", frames=0, seconds=2.0, codecs=("", "flac"))
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)  # STREAMINFO's number of samples: unknown
    path.write_bytes(data)
    with open_audio(str(path)) as sound:
        assert extent(sound) == pytest.approx((0.0, 2.0), abs=0.01)


def test_a_file_that_does_not_exist_is_told_once(tmp_path):
    with pytest.raises(ClipError, match="no such file") as caught:
        read_clip(str(tmp_path / "none.mp4"))
    assert caught.value.__context__ is None

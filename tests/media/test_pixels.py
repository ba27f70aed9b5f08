"""Colors: every pixel format against the formula of ITU-R BT.601."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from avblocks.data import ClipFormat, read_clip
from avblocks.data.decode.pixels import to_rgb
from avblocks.data.shards.jpeg import decode_jpeg, encode_jpeg
from avblocks.video import open_windows
from tests.data.clip_files import count, counter
from tests.media.files import FPS, Kind, write_kind

PLANAR = [
    "yuv420p",
    "yuv422p",
    "yuv444p",
    "yuv440p",
    "yuv411p",
    "yuva420p",
    "yuvj420p",
    "yuvj422p",
    "yuvj444p",
    "yuv420p9le",
    "yuv420p10le",
    "yuv422p10le",
    "yuv444p10le",
    "yuv440p10le",
    "yuv420p12le",
    "yuv444p12le",
    "yuv420p16le",
]
# Two planes, the values in the upper bits of their words.
PAIRED = {"nv12": 0, "nv21": 0, "nv16": 0, "p010le": 6, "p012le": 4, "p016le": 0, "p210le": 6}
DIRECT = {"yuv420p", "yuv422p", "yuva420p", "yuvj420p", "yuvj422p"}


def formula(y: int, u: int, v: int, *, bits: int, full: bool) -> np.ndarray:
    """RGB of a color, from 0 to 255."""
    scale = 2 ** (bits - 8)
    low, luma, chroma = (0, 2**bits - 1, 2**bits - 1) if full else (16, 219 * scale, 224 * scale)
    gray = (y - low * scale) / luma
    blue, red = ((value - 2 ** (bits - 1)) / chroma for value in (u, v))
    r, b = gray + 1.402 * red, gray + 1.772 * blue
    return 255 * np.clip([r, (gray - 0.299 * r - 0.114 * b) / 0.587, b], 0, 1)


def flat(name: str, y: int, u: int, v: int) -> av.VideoFrame:
    """A frame of one color."""
    frame, bits = av.VideoFrame(64, 48, name), av.VideoFormat(name).components[0].bits
    values = [(y, y), (u, u), (v, v), (2**bits - 1,) * 2][: len(frame.planes)]
    if name in PAIRED:
        pair = (v, u) if name == "nv21" else (u, v)
        values = [tuple(value << PAIRED[name] for value in two) for two in ((y, y), pair)]
    for plane, two in zip(frame.planes, values, strict=True):
        words = np.array(two, np.uint8 if bits == 8 else "<u2")
        plane.update(np.resize(words, plane.buffer_size // words.itemsize).tobytes())
    return frame


@pytest.mark.parametrize("name", [*PLANAR, *PAIRED])
def test_colors_are_those_of_the_formula(name: str) -> None:
    bits, rng = av.VideoFormat(name).components[0].bits, np.random.default_rng(0)
    scale, full = 2 ** (bits - 8), name.startswith("yuvj")
    colors = [(235, 128, 128), (16, 128, 128), (126, 128, 128)]
    colors += [(rng.integers(60, 190), *rng.integers(100, 156, 2)) for _ in range(20)]
    errors = []
    for color in colors:
        y, u, v = (int(value) * scale for value in color)
        found = to_rgb(flat(name, y, u, v)).reshape(-1, 3)
        assert (found == found[0]).all()
        errors.append(found[0] - formula(y, u, v, bits=bits, full=full))
    # FFmpeg's own converters of the usual formats truncate colors, but no grays.
    assert np.abs(errors).max() < (2.9 if name in DIRECT else 0.51)
    assert np.abs(errors[:3]).max() < 0.51


@pytest.mark.parametrize("value", [16, 126, 255])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv422p10le"])
def test_gray_levels_survive_a_video(tmp_path: Path, pix_fmt: str, value: int) -> None:
    kind = Kind(suffix=".mp4", shown=0.3, pix_fmt=pix_fmt, video={"crf": "1"})
    gray = np.full((48, 64, 3), value, np.uint8)
    path = write_kind(tmp_path, kind, images=lambda number: gray)
    image = read_clip(str(path), seconds=0.2).image.float()
    assert (image - value).abs().max() <= 1


def test_grays_survive_a_shard() -> None:
    for value in (0, 30, 128, 255):
        gray = np.full((48, 64, 3), value, np.uint8)
        assert np.array_equal(decode_jpeg(encode_jpeg(gray, quality=2)), gray)


def paletted(path: Path, codec: str) -> Path:
    """Images of two colors as indices into a palette, which the container has."""
    palette = np.zeros((256, 4), np.uint8)
    palette[:, 0] = 255
    palette[1:3, 1:] = (200, 30, 60), (20, 160, 220)
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=FPS)
        video.height, video.width, video.pix_fmt = 48, 64, "pal8"
        audio = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for number in range(12 * FPS):
            bars = np.where(counter(number % 256)[..., 0] > 128, 1, 2).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray((bars, palette), format="pal8")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(video.encode(frame))
        sound = av.AudioFrame.from_ndarray(np.full((1, 12 * 16000), 9, np.int16), "s16", "mono")
        sound.sample_rate = 16000
        for stream, last in ((audio, sound), (audio, None), (video, None)):
            container.mux(stream.encode(last))
    return path


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mov", "rawvideo"), ("a.avi", "rawvideo"), ("a.mov", "smc"), ("a.avi", "msrle")],
)
def test_colors_of_a_palette_are_found_at_every_time(tmp_path: Path, name: str, codec: str) -> None:
    path = paletted(tmp_path / name, codec)

    def number(image: torch.Tensor) -> int:
        assert {tuple(color) for color in image.flatten(1).T.tolist()} <= {
            (200, 30, 60),
            (20, 160, 220),
        }
        return count(np.repeat(255 * (image[:1].numpy() > 100), 3, axis=0))

    for place in (0.0, 0.4, 1.0):
        clip = read_clip(str(path), seconds=1.0, place=place, frame=0.51, frames=2)
        shown = 11 * place + np.array([0.255, 0.755])
        assert [number(image) for image in clip.image.unbind(1)] == [int(t * FPS) for t in shown]
    windows = open_windows(path, ClipFormat(seconds=1.0), part=(10.5, 12.0))
    images = [image for batch in windows.batches() for image in batch.images]
    assert [number(image) for image in images] == [11 * FPS, int(11.5 * FPS)]


def test_gray_levels_of_a_mov_are_a_palette(tmp_path: Path) -> None:
    kind = Kind(suffix=".mov", codecs=("qtrle", "pcm_s16le"), pix_fmt="gray", shown=1.0)
    image = read_clip(str(write_kind(tmp_path, kind)), seconds=1.0, frame=0.3).image
    assert image[0, 0, 0] == 128 and set(image.unique().tolist()) == {0, 128, 255}

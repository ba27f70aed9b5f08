"""How images are shown: mirrored, turned, with square pixels; by all readers alike."""

import struct
from fractions import Fraction
from math import inf
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from avblocks.data import ClipError, read_clip
from avblocks.data.decode.geometry import Orientation, of_matrix, square_size
from avblocks.data.decode.image import decode_image, decode_mask
from avblocks.data.health import check_file
from avblocks.data.write import write_image
from avblocks.video import make_overlay, video_size, write_overlay
from tests.data.clip_files import counter
from tests.media.files import Kind, write_kind

ONE = 1 << 16
SIGNS = [(a, d) for a in (ONE, -ONE) for d in (ONE, -ONE)]
MATRICES = [(a, 0, 0, d) for a, d in SIGNS] + [(0, b, c, 0) for b, c in SIGNS]
# TIFF 6.0, "Orientation": the sides that show the first row and the first column.
EXIF = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def moved(image: np.ndarray, to) -> np.ndarray:
    """Put each pixel of an image where a function of x and y says, but for an offset."""
    height, width = image.shape[:2]
    places = np.array([to(x, y) for y in range(height) for x in range(width)])
    places -= places.min(axis=0)
    shown = np.zeros((places[:, 1].max() + 1, places[:, 0].max() + 1, *image.shape[2:]), np.uint8)
    shown[places[:, 1], places[:, 0]] = image.reshape(-1, *image.shape[2:])
    return shown


def exif_place(number: int):
    sides = EXIF[number]

    def to(x: int, y: int) -> tuple[int, int]:
        shown = {"top": (0, 1), "bottom": (0, -1), "left": (1, 0), "right": (-1, 0)}
        (rx, ry), (cx, cy) = (shown[side] for side in sides)
        return rx * y + cx * x, ry * y + cy * x

    return to


@pytest.mark.parametrize("matrix", MATRICES)
def test_display_matrices(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    a, b, c, d = matrix
    plain = write_kind(tmp_path, Kind(suffix=".mp4", shown=0.2), "plain")
    turned = write_kind(
        tmp_path, Kind(suffix=".mp4", shown=0.2, matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30)), "turned"
    )
    image, shown = (read_clip(str(path)).image.permute(1, 2, 0).numpy() for path in (plain, turned))
    wanted = moved(image, lambda x, y: ((a * x + c * y) // ONE, (b * x + d * y) // ONE))
    assert np.array_equal(shown, wanted)
    found = check_file(turned)
    assert (found.height, found.width) == wanted.shape[:2]


def test_other_angles_become_the_nearest_quarter() -> None:
    def at(degrees: float) -> Orientation:
        s, c = (round(ONE * f(np.radians(degrees))) for f in (np.sin, np.cos))
        return of_matrix(struct.pack("=9i", c, s, 0, -s, c, 0, 0, 0, 1 << 30))

    assert at(40) == at(0) == Orientation() and at(50) == at(90) != at(-90) == at(-100)


def exif(number: int, *, order: str = "<", kind: int = 3) -> bytes:
    value = struct.pack(f"{order}HH", number, 0) if kind == 3 else struct.pack(f"{order}I", number)
    entry = struct.pack(f"{order}HHI", 0x112, kind, 1) + value
    mark = {"<": b"II", ">": b"MM"}[order]
    return mark + struct.pack(f"{order}HIH", 42, 8, 1) + entry + bytes(4)


def jpg(path: Path, data: bytes) -> Path:
    """Write a jpg of a counter with EXIF data."""
    write_image(path, counter(77))
    plain = path.read_bytes()
    body = b"Exif\0\0" + data
    path.write_bytes(plain[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + plain[2:])
    return path


@pytest.mark.parametrize("number", EXIF)
@pytest.mark.parametrize(("order", "kind"), [("<", 3), (">", 3), (">", 4)])
def test_exif_orientations_of_jpg(tmp_path: Path, number: int, order: str, kind: int) -> None:
    plain = decode_image(str(jpg(tmp_path / "plain.jpg", exif(1)))).permute(1, 2, 0).numpy()
    path = jpg(tmp_path / "a.jpg", exif(number, order=order, kind=kind))
    shown = decode_image(str(path)).permute(1, 2, 0).numpy()
    assert np.array_equal(shown, moved(plain, exif_place(number)))
    found = check_file(path)
    assert (found.height, found.width) == shown.shape[:2]


@pytest.mark.parametrize("data", [b"", b"II", exif(0), exif(9), exif(6)[:14], b"XX" + exif(6)[2:]])
def test_exif_data_that_say_nothing(tmp_path: Path, data: bytes) -> None:
    plain = decode_image(str(jpg(tmp_path / "plain.jpg", exif(1))))
    assert torch.equal(decode_image(str(jpg(tmp_path / "a.jpg", data))), plain)


@pytest.mark.parametrize("number", EXIF)
def test_exif_orientations_of_png_and_of_masks(tmp_path: Path, number: int) -> None:
    import zlib

    mask = counter(77)[..., 0] // 255
    write_image(tmp_path / "a.png", mask)
    data, chunk = (tmp_path / "a.png").read_bytes(), b"eXIf" + exif(number)
    head = 8 + 25
    chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(data[:head] + chunk + data[head:])
    wanted = moved(mask, exif_place(number))
    for binary in (False, True):
        assert np.array_equal(decode_mask(str(tmp_path / "a.png"), binary=binary).numpy(), wanted)


WIDE = {
    "mp4": Kind(suffix=".mp4", pixels=Fraction(4, 3)),
    "mkv": Kind(suffix=".mkv", pixels=Fraction(4, 3)),
    "mpeg4": Kind(suffix=".mp4", codecs=("mpeg4", "aac"), pixels=Fraction(4, 3)),
    "turned": Kind(
        suffix=".mp4", pixels=Fraction(4, 3), matrix=(0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30)
    ),
}


@pytest.mark.parametrize("name", WIDE)
def test_pixels_become_square(tmp_path: Path, name: str) -> None:
    path = write_kind(tmp_path, WIDE[name])
    image = read_clip(str(path), seconds=1.0).image
    size = (85, 48) if name == "turned" else (48, 85)
    assert image.shape[1:] == size
    found = check_file(path)
    assert (found.height, found.width) == size
    drawn = video_size(path)
    assert drawn == tuple(2 * round(side / 2) for side in size)
    write_overlay(path, tmp_path / "drawn.mp4", [(inf, make_overlay(lambda x: x, drawn))])
    with av.open(str(tmp_path / "drawn.mp4")) as container:
        video = container.streams.video[0]
        assert (video.height, video.width) == drawn
        assert video.sample_aspect_ratio in (None, 0, 1)


def test_a_circle_is_round(tmp_path: Path) -> None:
    y, x = np.mgrid[0:48, 0:64]
    inside = ((x - 31.5) * 4 / 3) ** 2 + (y - 23.5) ** 2 < 18**2
    picture = np.repeat(np.where(inside, 220, 30)[..., None], 3, axis=2).astype(np.uint8)
    path = write_kind(tmp_path, WIDE["mp4"], images=lambda number: picture)
    image = read_clip(str(path), seconds=1.0).image[0].numpy() > 125
    assert abs(np.ptp(np.nonzero(image.any(axis=0))) - np.ptp(np.nonzero(image.any(axis=1)))) <= 1


def test_no_pixel_is_lost() -> None:
    assert square_size((480, 720), Fraction(8, 9)) == (540, 720)


@pytest.mark.parametrize("sides", [(8, 4, 0, 0), (16, 8, 16, 8), (2, 4, 6, 8)])
def test_any_side_may_be_cropped(tmp_path: Path, sides: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = sides
    rectangle = ",".join(map(str, sides))
    kind = Kind(suffix=".mp4", shown=0.5, video={"x264-params": f"crop-rect={rectangle}:crf=1"})
    path = write_kind(tmp_path, kind)
    wanted = counter(5)[top : 48 - bottom, left : 64 - right]
    image = read_clip(str(path), seconds=0.5, place=0.0, frame=0.51).image.permute(1, 2, 0).numpy()
    assert image.shape == wanted.shape
    assert np.abs(image.astype(float) - wanted).mean() < 3
    found, size = check_file(path), video_size(path)
    assert (found.height, found.width) == size == wanted.shape[:2]
    write_overlay(path, tmp_path / "drawn.mp4", [(inf, make_overlay(lambda x: x, size))])
    with av.open(str(tmp_path / "drawn.mp4")) as container:
        drawn = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert np.abs(drawn[5].astype(float) - wanted).mean() < 5


@pytest.mark.parametrize("more", [1, 5000, 300_000])
def test_bytes_behind_the_end_of_a_jpg_do_not_matter(tmp_path: Path, more: int) -> None:
    write_image(tmp_path / "a.jpg", counter(77))
    data, wanted = (tmp_path / "a.jpg").read_bytes(), decode_image(str(tmp_path / "a.jpg"))
    rng = np.random.default_rng(0)
    for behind in (bytes(more), rng.bytes(more), data * (more // len(data) + 1)):
        (tmp_path / "b.jpg").write_bytes(data + behind)
        assert torch.equal(decode_image(str(tmp_path / "b.jpg")), wanted)
    for behind in (bytes(more), data):  # another image is not the rest of this one
        (tmp_path / "b.jpg").write_bytes(data[:-2] + behind)
        with pytest.raises(ClipError, match="cut short"):
            decode_image(str(tmp_path / "b.jpg"))

import os
import struct
import zlib

import numpy as np
import pytest
import torch
from clip_files import count, counter
from PIL import Image
from still_files import write_mask, write_number

from avblocks.data import ClipError
from avblocks.data.decode.image import decode_image, decode_mask


def png(width, height, *, depth=8, colour=2, palette=(), body=b""):
    """The bytes of a png file that says it is of a size."""
    data = b"\x89PNG\r\n\x1a\n"
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(body)), (b"IEND", b"")]
    if palette:
        chunks.insert(1, (b"PLTE", bytes(palette)))
    for kind, content in chunks:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        data += struct.pack(">I", len(content)) + kind + content + checksum
    return data


def resized(path, *, width, height):
    """Make a jpg say that it is of another size."""
    data = bytearray(path.read_bytes())
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", height, width)
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "ü 音.JPG"])
def test_pictures_are_decoded(tmp_path, name):
    picture = decode_image(str(write_number(tmp_path / name, 77)))
    assert picture.dtype == torch.uint8 and picture.shape == (3, 48, 64)
    assert count(picture.numpy()) == 77
    if name == "a.png":
        np.testing.assert_array_equal(picture.numpy().transpose(1, 2, 0), counter(77))


def test_sixteen_bits_become_eight(tmp_path):
    path = tmp_path / "deep.png"
    path.write_bytes(png(1, 1, depth=16, body=b"\0" + bytes([1, 99, 2, 0, 255, 255])))
    assert decode_image(str(path)).flatten().tolist() == [1, 2, 255]


def test_a_grey_picture_gets_three_channels(tmp_path):
    path = write_mask(tmp_path / "grey.png", np.arange(12, dtype=np.uint8).reshape(3, 4))
    assert torch.equal(decode_image(str(path))[2], torch.arange(12).view(3, 4).byte())


def test_a_jpg_is_turned_as_it_says(tmp_path):
    path = write_number(tmp_path / "a.jpg", 5)
    straight = decode_image(str(path))
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    assert torch.equal(decode_image(str(path)), straight.rot90(-1, (1, 2)))


@pytest.mark.parametrize(("width", "height"), [(100_000, 100_000), (20_000, 10), (8192, 4321)])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_huge_pictures_are_refused_before_decoding(tmp_path, monkeypatch, suffix, width, height):
    path = tmp_path / f"bomb{suffix}"
    if suffix == ".png":
        path.write_bytes(png(width, height))
    else:
        width, height = min(width, 65_000), min(height, 65_000)
        resized(write_number(path), width=width, height=height)
    monkeypatch.setattr("avblocks.data.decode.image.VideoCodecContext", None)
    with pytest.raises(ClipError, match=f"an image of {width}x{height} is empty, or over the"):
        decode_image(str(path))


def test_huge_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("avblocks.data.decode.image._MAX_BYTES", 100)
    with pytest.raises(ClipError, match="bytes are over the 100 allowed"):
        decode_image(str(write_number(tmp_path / "a.png")))


DAMAGE = {
    "missing": (lambda path: None, "no such file"),
    "folder": (lambda path: path.mkdir(), "no such file"),
    "empty": (lambda path: path.touch(), "the file is empty"),
    "text": (lambda path: path.write_text("I was renamed."), "neither a jpg nor a png image"),
    "cut": (
        lambda path: os.truncate(write_number(path), write_number(path).stat().st_size - 1),
        r"the jpg is cut short",
    ),
    "no size": (lambda path: path.write_bytes(b"\xff\xd8\xff\xd9"), r"\(the jpg has no size"),
    "cut png": (lambda path: path.write_bytes(png(1, 1, body=b"\0" * 4)[:-9]), "cannot be decoded"),
    "no pixel": (lambda path: path.write_bytes(png(0, 5)), "0x5 is empty"),
    "short head": (lambda path: path.write_bytes(png(9, 5)[:18]), "is empty"),
    "bytes lost": (lambda path: path.write_bytes(png(9, 5)), "cannot be decoded"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_bad_files_are_refused_by_name_and_reason(tmp_path, kind):
    damage, reason = DAMAGE[kind]
    path = tmp_path / "bad.jpg"
    damage(path)
    with pytest.raises(ClipError, match=reason) as caught:
        decode_image(str(path))
    assert caught.value.path == str(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_file(tmp_path):
    path = write_number(tmp_path / "a.png")
    path.chmod(0)
    with pytest.raises(ClipError, match="cannot be opened"):
        decode_image(str(path))


def test_flipped_bytes_are_read_or_refused(tmp_path):
    generator = np.random.default_rng(0)
    for trial in range(60):
        path = write_number(tmp_path / ("bad.jpg", "bad.png")[trial % 2], trial)
        data = bytearray(path.read_bytes())
        for place in generator.integers(0, len(data), 3):
            data[place] ^= 0xFF
        path.write_bytes(data)
        try:
            picture = decode_image(str(path))
        except ClipError as error:
            assert error.reason
        else:
            assert picture.numel() < 3 * 8192 * 4320


def test_masks_of_one_class_may_have_any_colour(tmp_path):
    mask = np.array([[0, 1], [128, 255]])
    wanted = torch.tensor([[0, 1], [1, 1]], dtype=torch.uint8)
    grey = write_mask(tmp_path / "grey.png", mask)
    blue = write_mask(tmp_path / "blue.png", np.stack([0 * mask, 0 * mask, mask], axis=-1))
    for path in (grey, blue):
        assert torch.equal(decode_mask(str(path), binary=True), wanted)
    assert torch.equal(decode_mask(str(grey), binary=False), torch.from_numpy(mask).byte())
    with pytest.raises(ClipError, match="pixels are rgb24; class numbers need 8-bit gray"):
        decode_mask(str(blue), binary=False)


def test_places_in_a_palette_are_class_numbers_and_its_colours_are_not(tmp_path):
    path = tmp_path / "palette.png"
    palette = (0, 0, 0, 255, 0, 0, 0, 0, 128)
    path.write_bytes(png(3, 1, colour=3, palette=palette, body=bytes([0, 2, 0, 1])))
    assert decode_mask(str(path), binary=False).tolist() == [[2, 0, 1]]
    assert decode_mask(str(path), binary=True).tolist() == [[1, 0, 1]]
    assert decode_image(str(path))[:, 0, 0].tolist() == [0, 0, 128]


def rows(values, code, *, width):
    """The body of a png file of one row, repeated, of packed values."""
    row = b"\0" + struct.pack(f">{len(values)}{code}", *values)
    return {"width": width, "height": 2, "body": 2 * row}


@pytest.mark.parametrize(
    ("colour", "pixels"),
    [
        (0, [0, 1, 255, 256]),
        (4, [0, 65535, 1, 65535, 255, 65535, 256, 0]),
        (2, [0, 0, 0, 1, 0, 0, 0, 255, 0, 0, 0, 256]),
        (6, [0, 0, 0, 65535, 1, 0, 0, 1, 0, 255, 0, 65535, 0, 0, 256, 0]),
    ],
    ids=["gray", "gray and alpha", "rgb", "rgba"],
)
def test_small_values_of_sixteen_bits_are_not_black(tmp_path, colour, pixels):
    path, clear = tmp_path / "deep.png", colour in (4, 6)
    path.write_bytes(png(depth=16, colour=colour, **rows(pixels, "H", width=4)))
    wanted = [0, 1, 1, 0 if clear else 1]
    assert decode_mask(str(path), binary=True).tolist() == [wanted, wanted]
    with pytest.raises(ClipError, match=r"class numbers need 8-bit gray or a palette: save it as"):
        decode_mask(str(path), binary=False)


def test_transparent_pixels_are_background(tmp_path):
    path = tmp_path / "cut.png"
    pixels = [200, 100, 50, 0, 200, 100, 50, 255, 200, 100, 50, 1, 0, 0, 0, 255]
    path.write_bytes(png(colour=6, **rows(pixels, "B", width=4)))
    assert decode_mask(str(path), binary=True).tolist() == [[0, 1, 1, 0]] * 2


@pytest.mark.parametrize(("depth", "fault"), [(1, "monob"), (2, "gray of 2 bits"), (4, "4 bits")])
def test_gray_values_of_few_bits_are_no_class_numbers(tmp_path, depth, fault):
    path, count = tmp_path / "few.png", 8 // depth
    packed = sum((n % 2) << (8 - depth * (n + 1)) for n in range(count))
    path.write_bytes(png(depth=depth, colour=0, **rows([packed], "B", width=count)))
    assert decode_mask(str(path), binary=True).tolist() == [[n % 2 for n in range(count)]] * 2
    with pytest.raises(ClipError, match=rf"pixels are .*{fault}; class numbers need 8-bit gray"):
        decode_mask(str(path), binary=False)


def test_a_jpg_has_no_class_numbers(tmp_path):
    path = tmp_path / "mask.png"  # the suffix says nothing
    Image.fromarray(np.full((16, 16), 3, np.uint8)).save(path, format="jpeg")
    assert decode_mask(str(path), binary=True).sum() == 0
    with pytest.raises(ClipError, match="pixels are gray of a jpg; class numbers need 8-bit gray"):
        decode_mask(str(path), binary=False)

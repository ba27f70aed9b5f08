"""Encode images, image files and masks as members of a shard."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from avblocks.data.datasets.clipset import StillImage
from avblocks.data.decode.frames import RgbImage, to_tensor
from avblocks.data.decode.stills import decode_still
from avblocks.data.resize import resize_mask, resize_short
from avblocks.data.shards.jpeg import decode_jpeg, encode_jpeg
from avblocks.data.shards.png import MAGIC, decode_png, encode_mask

_MOST_BYTES = 1 << 22  # of an image file that is stored unchanged


def decode_stored(data: bytes | bytearray) -> RgbImage:
    """Decode an image of a shard, JPEG or PNG.

    Raises:
        ValueError: If it is neither, is damaged, or has too many pixels.
    """
    return decode_png(data) if data.startswith(MAGIC) else decode_jpeg(data)


def encode_image(image: RgbImage, *, side: int, quality: int) -> bytes:
    """Downscale an image to a short side, if it is larger, and encode it as JPEG."""
    if min(image.shape[:2]) > side:
        image = resize_short(to_tensor(image), side=side).permute(1, 2, 0).numpy()
    return encode_jpeg(np.ascontiguousarray(image), quality=quality)


def encode_stills(files: tuple[StillImage, ...], *, side: int, quality: int) -> dict[str, bytes]:
    """Encode image files and their masks.

    Files with a short side of at most ``side`` are stored unchanged, except for rare kinds, so that
    shards give the same images.

    Returns:
        Images, then masks, by the suffixes of their names.

    Raises:
        ClipError: If a file cannot be used.
    """
    images, masks = {}, {}
    for number, file in enumerate(files):
        image, mask = decode_still(file)
        small = resize_short(image, side=side) if min(image.shape[1:]) > side else image
        data = Path(file.path).read_bytes()
        if small is not image or not _shows(data, image):
            data = encode_image(image.permute(1, 2, 0).numpy(), side=side, quality=quality)
        kind = "png" if data.startswith(MAGIC) else "jpg"
        images[f"{number:04d}.{kind}"] = data
        if mask is not None:
            classes = resize_mask(mask, size=(small.shape[1], small.shape[2]))
            masks[f"{number:04d}.mask.png"] = encode_mask(classes.numpy())
    return images | masks


def _shows(data: bytes, image: UInt8[Tensor, "3 height width"]) -> bool:
    """Return whether the reader of shards decodes a file to an image, with its orientation."""
    try:
        stored = len(data) <= _MOST_BYTES and decode_stored(data)
    except ValueError:
        return False
    return stored is not False and np.array_equal(stored, image.permute(1, 2, 0).numpy())

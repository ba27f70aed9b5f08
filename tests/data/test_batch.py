"""Parts of a batch that are wrong are named when it is made."""

from typing import Any

import numpy as np
import pytest
import torch
from batches import random_batch

from avblocks.data import ClipFormat, FrontEnd

FORMAT = ClipFormat(seconds=0.5, rate=16000, size=32, mels=16, hop=500)
WRONG: dict[str, tuple[str, Any, str]] = {
    "indices of classes": ("target", torch.tensor([0, 1, 1, 0]), r"\(b, classes\) of floats"),
    "integers": ("target", torch.eye(2).repeat(2, 1).long(), r"\(b, classes\) of floats"),
    "samples of 16 bits": ("audio", torch.zeros(4, 8000).short(), r"of floats in \[-1, 1\]"),
    "stereo": ("audio", torch.zeros(4, 2, 8000), r"\(b, s\) of floats"),
    "normalized images": ("image", torch.zeros(4, 3, 32, 32), r"bytes from 0 to 255"),
    "channels last": ("image", torch.zeros(4, 32, 32, 3).byte(), r"\(b, 3, height, width\)"),
    "gray": ("image", torch.zeros(4, 1, 32, 32).byte(), r"\(b, 3, height, width\)"),
    "numbers": ("flip", torch.zeros(4), r"\(b,\) of booleans"),
    "one gain": ("gain", torch.tensor(0.0), r"\(b,\) of floats, dB"),
    "boxes": ("crop", torch.zeros(4, 4).long(), r"\(b, 4\) of floats, pixels"),
    "probabilities": ("mask", torch.zeros(4, 32, 32), r"of bytes, class numbers"),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_named(kind: str) -> None:
    name, value, takes = WRONG[kind]
    with pytest.raises(ValueError, match=rf"{name} must be .*{takes}.*, got '\("):
        random_batch(FORMAT, 4, **{name: value})


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_tensor_is_named() -> None:
    with pytest.raises(TypeError, match=r"image must be a torch\.Tensor of .*, got ndarray"):
        random_batch(FORMAT, 4, image=np.zeros((4, 3, 32, 32), np.uint8))
    with pytest.raises(TypeError, match="seeds must be a tuple, got list"):
        random_batch(FORMAT, 4, seeds=[1, 2, 3, 4])


def test_gains_and_crops_in_double_precision() -> None:
    box = torch.tensor([[4.0, 4.0, 20.0, 20.0]]).repeat(4, 1)
    given = {"gain": torch.full((4,), 3.0), "crop": box, "size": 32}
    fine = {"gain": given["gain"].double(), "crop": box.double(), "size": 32}
    front_end = FrontEnd(FORMAT)
    wanted, found = (front_end(random_batch(FORMAT, 4, **parts)) for parts in (given, fine))
    assert all(map(torch.equal, wanted, found))


def test_crops_are_black_outside_of_the_image() -> None:
    white = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    half = torch.tensor([[-32.0, 0.0, 32.0, 32.0]])
    parts = {"image": white, "crop": half, "size": 32, "seeds": (0,), "paths": ("a",)}
    image = FrontEnd(FORMAT, normalize=torch.nn.Identity()).eval()(random_batch(FORMAT, 1, **parts))
    assert image[0][..., 17:].gt(254.9).all() and image[0][..., :15].eq(0).all()

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as F

from avblocks.data.resize import resize, resize_mask, resize_short

sides = st.integers(2, 60)


@pytest.mark.parametrize("layout", ["planes", "pixels", "cut"])
@given(height=sides, width=sides, side=st.integers(2, 90))
def test_values_are_torchvisions(layout: str, height: int, width: int, side: int) -> None:
    image = torch.randint(256, (3, height, width), dtype=torch.uint8)
    if layout == "pixels":  # channels side by side, as a decoder gives them
        image = torch.randint(256, (height, width, 3), dtype=torch.uint8).movedim(-1, 0)
    if layout == "cut":
        image = torch.randint(256, (3, height + 3, width + 4), dtype=torch.uint8)[:, 1:-2, 3:-1]
    assert torch.equal(resize_short(image, side=side), F.resize(image, [side], antialias=True))
    assert torch.equal(
        resize(image, size=(side, side + 3)), F.resize(image, [side, side + 3], antialias=True)
    )


@given(height=sides, width=sides, side=st.integers(1, 90))
def test_masks_are_torchvisions(height: int, width: int, side: int) -> None:
    mask, size = torch.randint(5, (height, width), dtype=torch.uint8), (side + 2, side)
    nearest = F.InterpolationMode.NEAREST_EXACT
    assert torch.equal(
        resize_mask(mask, size=size), F.resize(mask[None], list(size), interpolation=nearest)[0]
    )
    assert resize_mask(mask, size=(height, width)) is mask

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import CenterCrop, Compose, RandomResizedCrop, Resize

from avblocks.data import (
    Normalize,
    apply_gain,
    center_crop,
    flip_images,
    random_resized_crop,
    sample_generator,
)


def picture(height, width, seed=0):
    """A picture whose red is the row and whose green is the column, in shares of 255."""
    rows = torch.linspace(0, 255, height)[:, None].expand(height, width)
    columns = torch.linspace(0, 255, width)[None].expand(height, width)
    return torch.stack([rows, columns, torch.full((height, width), 99.0)]).to(torch.uint8)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(2, 60),
    width=st.integers(2, 60),
    size=st.integers(2, 32),
    seed=st.integers(0, 99),
)
def test_crops_are_squares_of_bytes(height, width, size, seed):
    image = picture(height, width)
    crop = random_resized_crop(image, size=size, generator=sample_generator(seed, 0, 0))
    assert crop.shape == (3, size, size) and crop.dtype == torch.uint8
    assert (crop[2] == 99).all()
    again = random_resized_crop(image, size=size, generator=sample_generator(seed, 0, 0))
    assert torch.equal(crop, again)
    assert center_crop(image, size=size).shape == (3, size, size)


def test_random_crop_draws_as_torchvision_does():
    """Share of the area, aspect ratio and place have the same spread."""

    def statistics(crops):
        heights = torch.stack([crop[0].max() - crop[0].min() for crop in crops]).float()
        widths = torch.stack([crop[1].max() - crop[1].min() for crop in crops]).float()
        tops = torch.stack([crop[0].min() for crop in crops]).float()
        return torch.stack([f for v in (heights, widths, tops) for f in (v.mean(), v.std())])

    image, count = picture(90, 120), 600
    ours = statistics(
        [
            random_resized_crop(image, size=24, generator=sample_generator(0, 0, i))
            for i in range(count)
        ]
    )
    theirs = RandomResizedCrop(24, scale=(0.5, 1.0), antialias=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        wanted = statistics([theirs(image) for _ in range(count)])
    torch.testing.assert_close(ours, wanted, rtol=0.15, atol=4.0)


def test_scale_of_one_on_a_square_is_a_resize():
    image = picture(40, 40)
    crops = [
        random_resized_crop(image, size=40, scale=(1.0, 1.0), generator=sample_generator(0, 0, i))
        for i in range(8)
    ]
    assert any(torch.equal(crop, image) for crop in crops)  # nothing else of this area fits


@pytest.mark.parametrize("size", [(80, 100), (224, 224), (300, 60)])
def test_center_crop_is_the_usual_evaluation(size):
    image = picture(*size)
    wanted = Compose([Resize(64, antialias=True), CenterCrop(56)])(image)
    assert torch.equal(center_crop(image, size=56), wanted)


def test_normalize_uses_imagenets_figures_and_is_undone():
    image = picture(20, 30)[None]
    normal = Normalize()
    assert not normal.state_dict()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    torch.testing.assert_close(normal(image), (image / 255 - mean) / std)
    torch.testing.assert_close(normal.undo(normal(image)), image / 255)
    assert normal.undo(torch.full((1, 3, 2, 2), 99.0)).max() == 1


def test_flip_mirrors_the_marked_ones():
    image = torch.stack([picture(4, 6), picture(4, 6)])
    flipped = flip_images(image, torch.tensor([True, False]))
    assert torch.equal(flipped[0], image[0].flip(-1)) and torch.equal(flipped[1], image[1])


def test_gain_is_in_decibels_and_clamped():
    audio = torch.tensor([[0.1, -0.2], [0.9, -0.9]])
    louder = apply_gain(audio, torch.tensor([20 * torch.log10(torch.tensor(2.0)), 6.0]))
    torch.testing.assert_close(louder, torch.tensor([[0.2, -0.4], [1.0, -1.0]]))

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import CenterCrop, Compose, RandomResizedCrop, Resize
from torchvision.transforms.v2 import functional as F

from avblocks.data import crop_images, middle_part, random_part
from avblocks.seed import sample_generator


def picture(height, width):
    """A picture whose red is the row and whose green is the column, in shares of 255."""
    rows = torch.linspace(0, 255, height)[:, None].expand(height, width)
    columns = torch.linspace(0, 255, width)[None].expand(height, width)
    return torch.stack([rows, columns, torch.full((height, width), 99.0)]).to(torch.uint8)


def noise(height, width):
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8)


def cut(image, box, *, size):
    return crop_images(image[None], box[None], size=size)[0]


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    size=st.integers(2, 32),
    seed=st.integers(0, 99),
)
def test_parts_lie_in_pictures_that_are_large_enough(height, width, size, seed):
    image = picture(height, width)
    small, box = random_part(image, size=size, generator=sample_generator(seed, 0, 0))
    again = random_part(image, size=size, generator=sample_generator(seed, 0, 0))
    assert torch.equal(small, again[0]) and torch.equal(box, again[1])
    assert min(small.shape[1:]) >= min(height, width, size)
    for part in ((small, box), middle_part(image, size=size)):
        left, top, right, bottom = part[1].tolist()
        assert -1e-4 <= left < right <= part[0].shape[2] + 1e-4
        assert -1e-4 <= top < bottom <= part[0].shape[1] + 1e-4
        assert max(part[0].shape[1:]) <= 3 * min(part[0].shape[1:]) + 3
        square = cut(*part, size=size)
        assert square.shape == (3, size, size)
        torch.testing.assert_close(square[2], torch.full((size, size), 99.0))


@pytest.mark.parametrize("shape", [(40, 60), (90, 70), (33, 33)])
@pytest.mark.parametrize("size", [16, 48])
def test_a_cut_is_torchvisions_antialiased_one(shape, size):
    image = noise(*shape)
    for seed in range(6):
        # With no smaller picture between, the part lies on whole pixels of the original.
        same, box = random_part(image, size=100, generator=sample_generator(seed, 0, 0))
        assert torch.equal(same, image)
        left, top, right, bottom = (int(edge) for edge in box)
        assert box.tolist() == [left, top, right, bottom]
        wanted = F.resized_crop(
            image.float(), top, left, bottom - top, right - left, [size, size], antialias=True
        )
        torch.testing.assert_close(cut(image, box, size=size), wanted, atol=1e-3, rtol=0)


def test_a_smaller_picture_between_changes_little():
    image = F.gaussian_blur(noise(240, 320), [9, 9]).float()
    image = (255 * (image - image.min()) / (image.max() - image.min())).to(torch.uint8)
    for seed in range(6):
        small, box = random_part(image, size=56, generator=sample_generator(seed, 0, 0))
        assert min(small.shape[1:]) == 112
        whole, exact = random_part(image, size=1000, generator=sample_generator(seed, 0, 0))
        assert torch.equal(whole, image)
        torch.testing.assert_close(box / box.max(), exact / exact.max(), atol=0.01, rtol=0)
        change = cut(small, box, size=56) - cut(whole, exact, size=56)
        assert change.abs().mean() < 2 and change.mean().abs() < 0.3


def test_each_picture_of_a_batch_has_its_own_part():
    images = torch.stack([noise(30, 50) for _ in range(3)])
    boxes = torch.tensor([[0.0, 0, 50, 30], [3.5, 2.25, 33.5, 29.0], [10, 5, 20, 15]])
    together = crop_images(images, boxes, size=10)
    for image, box, one in zip(images, boxes, together, strict=True):
        torch.testing.assert_close(cut(image, box, size=10), one)
    assert torch.equal(together[2], images[2, :, 5:15, 10:20].float())


def test_random_parts_are_drawn_as_torchvision_does():
    """Share of the area, aspect ratio and place have the same spread."""

    def statistics(crops):
        heights = torch.stack([crop[0].max() - crop[0].min() for crop in crops]).float()
        widths = torch.stack([crop[1].max() - crop[1].min() for crop in crops]).float()
        tops = torch.stack([crop[0].min() for crop in crops]).float()
        return torch.stack([f for v in (heights, widths, tops) for f in (v.mean(), v.std())])

    image, count = picture(90, 120), 600
    parts = [random_part(image, size=24, generator=sample_generator(0, 0, i)) for i in range(count)]
    ours = statistics([cut(*part, size=24) for part in parts])
    theirs = RandomResizedCrop(24, scale=(0.5, 1.0), antialias=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        wanted = statistics([theirs(image) for _ in range(count)])
    torch.testing.assert_close(ours, wanted, rtol=0.15, atol=4.0)


def test_scale_of_one_on_a_square_is_the_picture():
    image = picture(40, 40)
    parts = [
        random_part(image, size=40, scale=(1.0, 1.0), generator=sample_generator(0, 0, i))
        for i in range(8)
    ]
    # Nothing else of this area fits.
    assert any(torch.equal(cut(*part, size=40), image.float()) for part in parts)


@pytest.mark.parametrize("size", [(80, 100), (224, 224), (300, 101), (45, 33)])
def test_the_middle_is_the_usual_evaluation_to_the_last_bit(size):
    image = noise(*size)
    wanted = Compose([Resize(64, antialias=True), CenterCrop(56)])(image)
    assert torch.equal(cut(*middle_part(image, size=56), size=56), wanted.float())


def test_only_the_middle_of_a_very_long_picture_is_kept():
    image = noise(10, 400)
    small, box = random_part(image, size=64, generator=sample_generator(0, 0, 0))
    assert torch.equal(small, image[:, :, 185:215]) and box.tolist() == [8, 0, 21, 10]
    assert middle_part(image, size=56)[0].shape == (3, 64, 192)

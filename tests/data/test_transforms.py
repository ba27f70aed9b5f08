import torch

from avblocks.data import Normalize, apply_gain, flip_images, jitter_color


def picture(height, width):
    """A picture whose red is the row and whose green is the column, in shares of 255."""
    rows = torch.linspace(0, 255, height)[:, None].expand(height, width)
    columns = torch.linspace(0, 255, width)[None].expand(height, width)
    return torch.stack([rows, columns, torch.full((height, width), 99.0)]).to(torch.uint8)


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


def test_colors_change_within_their_strength_and_belong_to_the_sample():
    def random(count):
        return [torch.Generator().manual_seed(seed) for seed in range(count)]

    image = torch.randn(1, 3, 4, 5).expand(500, -1, -1, -1)
    changed = jitter_color(image, strength=0.3, generators=random(500))
    assert torch.equal(changed[:9], jitter_color(image[:9], strength=0.3, generators=random(9)))
    gray = (changed == changed[:, :1]).all(dim=(1, 2, 3))
    assert 0.1 < gray.float().mean() < 0.3
    colored, before = changed[~gray], image[~gray]
    # Each channel is scaled by one factor for the image, and shifted by a number of its own.
    centered = colored - colored.mean(dim=(2, 3), keepdim=True)
    factor = (centered / (before - before.mean(dim=(2, 3), keepdim=True))).flatten(1)
    torch.testing.assert_close(factor, factor[:, :1].expand_as(factor), rtol=1e-3, atol=1e-3)
    assert 0.7 <= factor.min() < 0.75 and 1.25 < factor.max() <= 1.301
    shift = (colored - factor[:, :1, None, None] * before).mean(dim=(2, 3))
    assert shift.abs().max() <= 0.301 and (shift[:, 0] - shift[:, 1]).abs().max() > 0.3
    video = image[:2, :, None].expand(-1, -1, 3, -1, -1)
    frames = jitter_color(video, strength=0.3, generators=random(2))
    assert torch.equal(frames[:, :, 0], frames[:, :, 2])

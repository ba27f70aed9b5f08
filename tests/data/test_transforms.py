import torch

from avblocks.data import Normalize, apply_gain, flip_images


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

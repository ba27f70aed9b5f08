"""Overlays that repeat what `avblocks.viz` draws."""

import numpy as np
import pytest
import torch

from avblocks.video import blend_overlay, make_overlay, palette_overlay
from avblocks.viz import mask_overlay, overlay


def planes(rgb: torch.Tensor) -> np.ndarray:
    """Convert RGB values in [0, 1] by the definition of BT.601, with the means of 2 x 2 chroma."""
    red, green, blue = rgb.double()
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = torch.stack([(blue - luma) / 1.772, (red - luma) / 1.402])
    small = 128 + 224 * torch.nn.functional.avg_pool2d(chroma[None], 2)[0]
    return torch.cat([16 + 219 * luma, small.reshape(-1, rgb.shape[2])]).numpy()


def test_an_overlay_draws_what_viz_draws() -> None:
    image, mask = torch.rand(1, 3, 8, 12), torch.randint(3, (1, 8, 12))
    mask[:, :4] = 2  # chroma is exact where the four pixels of a sample have one opacity
    maps = torch.randn(1, 4, 6).repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    for draw, values, rows in ((overlay, maps, 12), (mask_overlay, mask, 8)):
        made = make_overlay(lambda x, d=draw, v=values: d(x, v.expand(2, -1, -1)), (8, 12))
        found = made.draw(planes(image[0]).round().astype(np.uint8))
        expected = planes(draw(image, values)[0])
        assert made.size == (8, 12) and np.abs(found - expected)[:rows].max() <= 1.01
        assert np.abs(found - expected)[[8, 10]].max() <= 1.01


def test_an_overlay_of_opacity_0_changes_nothing_and_of_1_all() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    color = torch.rand(3, 2, 4)
    assert np.array_equal(blend_overlay(color, torch.zeros(2, 4)).draw(image), image)
    full = blend_overlay(color, torch.ones(2, 4))
    assert np.array_equal(full.draw(image), full.draw(255 - image))


@pytest.mark.parametrize("height", [2, 6, 8])  # of 6, two rows of color are half a row each
def test_a_palette_draws_what_a_blend_of_its_colors_draws(height: int) -> None:
    index, colors = torch.randint(5, (height, 12)), torch.rand(5, 3)
    opacity = torch.tensor([0.0, 1.0, 0.3, 0.5, 0.77])
    found = palette_overlay(index, colors=colors, opacity=opacity)
    wanted = blend_overlay(colors[index].movedim(2, 0), opacity[index])
    assert found.size == wanted.size
    assert np.array_equal(found.added, wanted.added) and np.array_equal(found.share, wanted.share)
    with pytest.raises(ValueError, match="even sides"):
        palette_overlay(index[:1], colors=colors, opacity=opacity)


def test_no_blend_is_refused() -> None:
    for paint in (lambda x: 2 * x, lambda x: 1 - x, lambda x: x * torch.eye(3)[0, :, None, None]):
        with pytest.raises(ValueError, match="a blend of each pixel with a color"):
            make_overlay(paint, (2, 2))
    with pytest.raises(ValueError, match="even sides"):
        blend_overlay(torch.zeros(3, 2, 3), torch.zeros(2, 3))


def test_values_out_of_range_are_refused() -> None:
    half, white = torch.full((2, 2), 0.5), torch.ones(3, 2, 2)
    with pytest.raises(ValueError, match=r"color must be in \[0, 1\], got \(255\.0, 255\.0\)"):
        blend_overlay(255 * white, half)
    with pytest.raises(ValueError, match=r"opacity must be in \[0, 1\]"):
        blend_overlay(white, 3 * half)
    index, palette = torch.tensor([[0, 1], [0, -1]]), {"colors": torch.ones(2, 3)}
    with pytest.raises(ValueError, match=r"index must be from 0 to 1, got \(-1, 1\)"):
        palette_overlay(index, opacity=torch.zeros(2), **palette)
    with pytest.raises(ValueError, match=r"opacity must be in \[0, 1\]"):
        palette_overlay(index, opacity=torch.tensor([0.0, 1.5]), **palette)

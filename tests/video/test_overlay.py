"""Overlays that repeat what `avblocks.viz` draws."""

import numpy as np
import torch

from avblocks.video import make_overlay
from avblocks.viz import mask_overlay, overlay


def test_an_overlay_draws_what_viz_draws() -> None:
    image = torch.randint(256, (1, 3, 6, 8), dtype=torch.uint8)
    maps, mask = torch.randn(1, 6, 8), torch.randint(3, (1, 6, 8))
    for draw, values in ((overlay, maps), (mask_overlay, mask)):
        made = make_overlay(lambda x, d=draw, v=values: d(x, v.expand(2, -1, -1)), (6, 8))
        drawn = made.draw(image[0].permute(1, 2, 0).numpy())
        expected = 255 * draw(image / 255, values)[0].permute(1, 2, 0).numpy()
        assert made.size == (6, 8) and np.abs(drawn - expected).max() <= 0.51

"""Local tokens: a patch contains nothing of the others."""

import pytest
import torch
from torch.testing import assert_close

from avblocks import Mask, av_vit
from avblocks.heads import local_tokens


def test_each_patch_is_encoded_as_if_all_others_were_masked() -> None:
    torch.manual_seed(0)
    encoder = av_vit(32, depth=3, num_heads=2, image_size=32, audio_size=(16, 16)).eval()
    image = torch.randn(2, 3, 32, 32)
    found = local_tokens(encoder, image, depth=2)
    for patch in range(4):
        others = [n for n in range(4) if n != patch]
        mask = Mask(torch.tensor([[patch]] * 2), torch.tensor([others] * 2))
        tokens = encoder.embed(image=image, audio=None, image_mask=mask)
        for layer in range(2):
            tokens = encoder.layer(tokens, layer)
        assert_close(found[:, patch], tokens.image[:, 0])
    changed = image.clone()
    changed[..., :16, :16] = 0
    assert_close(local_tokens(encoder, changed, depth=2)[:, 1:], found[:, 1:])
    with pytest.raises(ValueError, match="depth must be from 1 to 3, got 4"):
        local_tokens(encoder, image, depth=4)

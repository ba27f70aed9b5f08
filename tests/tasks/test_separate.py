"""A separator's mask, as it is used."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from avblocks.audio import MelMasking
from avblocks.tasks.separate import Separation


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("masks", "share"), [("ratio", 1.0), ("binary", 0.5)])
def test_a_source_alone_is_heard_in_full(masks: str, share: float) -> None:
    """A logit of 0 is a ratio of a half, which is what a source alone has."""

    def logits(batch: Any) -> Tensor:
        return torch.zeros(1, 1, 16, 16000 // 250)

    model: Any = SimpleNamespace(logits=logits, masks=masks, masking=MelMasking(n_mels=16))
    tone = torch.sin(2 * torch.pi * 1000 / 16000 * torch.arange(16000.0))[None]
    batch: Any = SimpleNamespace(audio=tone)
    found = Separation.separate(model, batch)
    assert torch.allclose(found[:, 2000:14000], share * tone[:, 2000:14000], atol=0.02)

"""Tasks with an encoder of the user's own: what they need of it, and that the values are right."""

from typing import Any

import pytest
import torch
from batches import random_batch
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils.data import DataLoader

from avblocks import AVEncoder, AVTokens, av_vit
from avblocks.data import AVBatch, ClipFormat, FrontEnd
from avblocks.heads import Localizer, classifier, segmenter, separator
from avblocks.tasks import (
    Classification,
    Localization,
    LocalizationScorer,
    Segmentation,
    Separation,
    evaluate,
)

FORMAT = ClipFormat(seconds=0.4, rate=16000, size=32, mels=16, hop=400)


class Own(nn.Module):
    """An encoder of no class of avblocks, that computes what one of avblocks does."""

    def __init__(self, inner: AVEncoder) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, image: Tensor | None, audio: Tensor | None) -> AVTokens:
        tokens: AVTokens = self.inner(image=image, audio=audio)
        return tokens


class WithGrid(Own):
    """Has also the grid of its image tokens."""

    @property
    def image(self) -> nn.Module:
        return self.inner.image


class WithLayers(WithGrid):
    """Has also the tokens of its layers."""

    @property
    def audio(self) -> nn.Module:
        return self.inner.audio

    def intermediates(self, **given: Tensor) -> Any:
        return self.inner.intermediates(**given)


def inner() -> AVEncoder:
    torch.manual_seed(0)
    return av_vit(32, depth=2, num_heads=2, image_size=32, audio_size=(16, 16), patch=8)


def heads() -> dict[type[nn.Module], nn.Module]:
    torch.manual_seed(1)
    return {
        Classification: classifier(32, num_classes=2, batch_norm=False),
        Localization: Localizer(32, dim_out=8),
        Segmentation: segmenter(32, num_classes=1, patch=8, num_layers=2),
        Separation: separator(32, patch=8, num_layers=2),
    }


def batch() -> AVBatch:
    return random_batch(
        FORMAT,
        target=torch.eye(2).repeat(2, 1),
        mask=torch.arange(2, dtype=torch.uint8).repeat(4, 32, 16),
        boxes=(torch.tensor([[0.25, 0.25, 0.75, 0.75]]),) * 4,
        group=2,
    )


def built(kind: type[nn.Module], encoder: nn.Module, **options: Any) -> Any:
    return kind(encoder, heads()[kind], front_end=FrontEnd(FORMAT), **options).eval()


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        (Classification, Own),
        (Localization, WithGrid),
        (Segmentation, WithLayers),
        (Separation, WithLayers),
    ],
)
def test_the_loss_is_that_of_the_encoder_inside(kind: type[nn.Module], own: type[Own]) -> None:
    assert_close(built(kind, own(inner()))(batch()), built(kind, inner())(batch()), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("kind", "own", "needed"),
    [
        (Localization, Own, "image.grid"),
        (Segmentation, WithGrid, "intermediates"),
        (Separation, WithGrid, "intermediates"),
    ],
)
def test_what_is_missing_is_named(kind: type[nn.Module], own: type[Own], needed: str) -> None:
    with pytest.raises(ValueError, match=rf"encoder {own.__name__} has no `{needed}`"):
        built(kind, own(inner()))


def test_local_patches_are_for_our_encoders() -> None:
    with pytest.raises(ValueError, match="encoder WithGrid has no `depth`"):
        built(Localization, WithGrid(inner()), local=1)


def test_a_frozen_one_is_scored_and_has_negatives() -> None:
    clips = DataLoader([batch()], batch_size=None)
    found, wanted = (
        evaluate(LocalizationScorer(built(Localization, one, frozen=True), rule="vggss"), clips)
        for one in (WithGrid(inner()), inner())
    )
    assert found == {name: row for name, row in wanted.items() if name != "fusion_attention"}
    frozen = built(Localization, WithGrid(inner()), frozen=True)
    assert not any(parameter.requires_grad for parameter in frozen.encoder.parameters())
    plain, more = (
        built(Localization, WithGrid(inner()), negatives=n).train()(batch()) for n in (0, 8)
    )
    assert more["loss"] > plain["loss"]

"""Images without a source among those of a test set, counted by hand."""

import pytest
import torch
from torch import Tensor, nn

from avblocks.data import AVBatch
from avblocks.tasks import Localization, LocalizationScorer

LEFT, RIGHT = torch.tensor([[0.0, 0.0, 0.5, 1.0]]), torch.tensor([[0.5, 0.0, 1.0, 1.0]])
NONE = torch.zeros(0, 4)


class Loudness(Localization):
    """The left half of an image is as bright as its audio is on average."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.frozen, self.encoder = False, nn.Module()
        self.encoder.fusion_blocks = nn.ModuleDict()

    def maps(self, batch: AVBatch) -> Tensor:
        left = torch.arange(224).expand(len(batch), 224, 224) < 112
        return left * batch.audio.mean(dim=1)[:, None, None]


def test_images_without_a_source() -> None:
    """Confidences 0.9 right, 0.8 no source, 0.7 wrong place, 0.6 right, 0 no source."""
    boxes = (LEFT, NONE, RIGHT, LEFT, NONE)
    audio = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.0])
    scorer = LocalizationScorer(Loudness(), rule="vggss")
    scorer.update(
        AVBatch(
            image=torch.zeros(10, 3, 8, 8, dtype=torch.uint8),
            audio=torch.stack([audio, torch.zeros(5)], dim=1).flatten()[:, None].expand(10, 2000),
            flip=torch.zeros(10, dtype=torch.bool),
            gain=torch.zeros(10),
            target=torch.zeros(10, 2),
            seeds=tuple(range(10)),
            paths=("a.mp4",) * 10,
            boxes=tuple(box for pair in zip(boxes, boxes, strict=True) for box in pair),
            group=2,
        )
    )
    row = scorer.compute()["matched"]
    # precision 1, 1/2, 1/3, 2/4, 2/5 at recall 1/3, 1/3, 1/2, 1, 1; the best from there on
    wanted = 1 * (1 / 3) + 1 / 2 * (1 / 2 - 1 / 3) + 1 / 2 * (1 - 1 / 2)
    assert row["extended_ap"] == pytest.approx(100 * wanted)
    assert row["extended_max_f1"] == pytest.approx(100 * 2 / 3)
    assert row["sounding_found"] == 100.0
    assert row["ciou_adaptive"] == pytest.approx(100 * 2 / 3)

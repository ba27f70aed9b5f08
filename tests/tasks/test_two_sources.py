"""IIoU: both objects of an image, each by its audio."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from avblocks.data import AVBatch
from avblocks.tasks import Localization, TwoSourceScorer

LEFT, RIGHT = torch.tensor([[0.0, 0.0, 0.5, 1.0]]), torch.tensor([[0.5, 0.0, 1.0, 1.0]])


def batch(*audio: float) -> AVBatch:
    """Groups of three: an image, the same with the other box, and the audio of the other."""
    count = len(audio)
    return AVBatch(
        image=torch.zeros(count, 3, 8, 8, dtype=torch.uint8),
        audio=torch.tensor(audio, dtype=torch.float32)[:, None].expand(count, 4),
        flip=torch.zeros(count, dtype=torch.bool),
        gain=torch.zeros(count),
        target=torch.zeros(count, 2),
        seeds=tuple(range(count)),
        paths=("a.mp4",) * count,
        boxes=(LEFT, RIGHT, LEFT) * (count // 3),
        group=3,
    )


class Sides(Localization):
    """Left for audio below zero and right for audio above."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def maps(self, batch: AVBatch) -> Tensor:
        columns = torch.arange(224).expand(len(batch), 224, 224) >= 112
        right = batch.audio[:, 0] > 0
        return (columns == right[:, None, None]).float()


def test_both_must_be_found() -> None:
    scorer = TwoSourceScorer(Sides(), rule="vggss")
    # The audio of the second clip of a group, that of the first object, is not read for the other.
    scorer.update(batch(-1, -1, 1, 1, 1, 1))  # both right; the first one wrong
    scorer.update(batch(-1, 1, -1))  # the second one wrong
    scores = scorer.compute()["two_sources"]
    assert scores["iiou"] == pytest.approx(100 / 3)
    scorer.reset()
    assert scorer.compute() == {}
    with pytest.raises(ValueError, match="scene_second_sources"):
        scorer.update(replace(batch(-1, 1, -1), group=1))

"""The center box of the segmentation scores, by its definition."""

from dataclasses import replace

import pytest
import torch
from small_clips import BATCHES, FORMAT, encoder

from avblocks.data import AVBatch, FrontEnd, collate, with_negatives
from avblocks.heads import dice_loss, segmentation_loss, segmenter
from avblocks.tasks import Segmentation, SegmentationScorer, evaluate


def pair(number: int, mask: torch.Tensor) -> AVBatch:
    return replace(BATCHES[0][number : number + 1], mask=mask[None])


def test_center_box_is_scored_beside_the_model() -> None:
    first, second = torch.zeros(2, 16, 16, dtype=torch.uint8)
    first[2:14, 4:12] = 1  # the center box is two thirds of it
    second[4:12, 4:8] = 1  # and twice as large as this
    clips = [pair(0, first), pair(1, first), pair(1, second), pair(0, second)]
    batch = replace(collate(clips), group=2)
    head = segmenter(16, num_classes=1, patch=8, num_layers=1, min_width=8, hidden=8)
    model = Segmentation(encoder(), head, front_end=FrontEnd(FORMAT))
    scores = evaluate(SegmentationScorer(model), [batch])
    assert list(scores) == ["matched", "mismatched", "silenced", "center_box"]
    assert scores["center_box"]["miou_avsbench"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert list(evaluate(SegmentationScorer(model, brief=True), [batch[:1]])) == ["matched"]


def test_dice_is_added_by_its_weight() -> None:
    batch = collate(BATCHES)
    mask = torch.zeros(len(batch), 16, 16, dtype=torch.uint8)
    mask[:, 4:12, 4:12] = 1
    batch = replace(batch, mask=mask)
    head = segmenter(16, num_classes=1, patch=8, num_layers=1, min_width=8, hidden=8)
    given = {"front_end": FrontEnd(FORMAT)}
    model = Segmentation(encoder(), head, dice=0.5, **given).eval()
    losses, logits = model(batch), model.logits(batch)
    parts = segmentation_loss(logits, mask), dice_loss(logits, mask)
    torch.testing.assert_close(losses["loss"], parts[0] + 0.5 * parts[1])
    torch.testing.assert_close((losses["loss_entropy"], losses["loss_dice"]), parts)
    plain = Segmentation(model.encoder, head, **given).eval()(batch)
    assert list(plain) == ["loss"]
    torch.testing.assert_close(plain["loss"], parts[0])


def test_the_mask_of_negative_audio_is_empty() -> None:
    batch = collate(BATCHES)
    batch = replace(batch, mask=torch.ones(len(batch), 16, 16, dtype=torch.uint8))
    torch.manual_seed(0)
    head = segmenter(16, num_classes=1, patch=8, num_layers=1, min_width=8, hidden=8)
    model = Segmentation(encoder(), head, front_end=FrontEnd(FORMAT), negatives=0.8)
    changed, own = with_negatives(batch, share=0.8)
    assert own.any() and not own.all()
    truth = own[:, None, None].expand(-1, 16, 16)
    wanted = segmentation_loss(model.logits(changed), truth)
    torch.testing.assert_close(model(batch)["loss"], wanted)
    whole = segmentation_loss(model.eval().logits(batch), torch.ones(len(batch), 16, 16) > 0)
    torch.testing.assert_close(model(batch)["loss"], whole)

"""Masks and boxes move with their pictures, in training, evaluation and batches."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from avblocks.data import AVBatch, ClipDataset, ClipFormat, FrontEnd, collate, crop_masks
from avblocks.data.clip import AVClip
from avblocks.data.datasets import ClipSet, Item

FORMAT = ClipFormat(seconds=0.5, rate=6400, size=32, mels=16)


def marked(height: int, width: int, seed: int) -> tuple[Tensor, Tensor]:
    """A picture whose red channel is its own mask: two rectangles."""
    random = torch.Generator().manual_seed(seed)
    mask = torch.zeros(height, width, dtype=torch.uint8)
    for _ in range(2):
        top, left = (torch.rand(2, generator=random) * torch.tensor([height, width]) * 0.6).long()
        mask[top : top + height // 3, left : left + width // 3] = 1
    other = torch.randint(0, 256, (2, height, width), generator=random, dtype=torch.uint8)
    return torch.cat([255 * mask[None], other]), mask


def samples(sizes: list[tuple[int, int]], *, train: bool, whole: bool = False) -> ClipDataset:
    def read(item: Item, **_: object) -> AVClip:
        height, width = sizes[int(item.id)]
        image, mask = marked(height, width, int(item.id))
        boxes = torch.tensor([[0.0, 0.25, 0.5, 1.0]]) if int(item.id) else torch.zeros(0, 4)
        return AVClip(
            image=image, audio=torch.zeros(800), rate=800, path=item.path, mask=mask, boxes=boxes
        )

    items = tuple(Item(id=str(n), path=f"{n}.mp4") for n in range(len(sizes)))
    clips = ClipSet(name="marked", items=items, classes=("a",))
    return ClipDataset(
        clips, ClipFormat(seconds=1, rate=800, size=24), train=train, whole=whole, read=read
    )


def assert_same_but_for_borders(image: Tensor, mask: Tensor) -> None:
    """Compare the red channel with the mask, which borders of rectangles alone may miss."""
    found = image[:, 0] > 0.5
    both, either = (found & mask.bool()).sum((1, 2)), (found | mask.bool()).sum((1, 2))
    assert (both >= 0.7 * either).all()


@given(st.integers(0, 50))
def test_training_moves_masks_with_pictures(epoch: int) -> None:
    data = samples([(40, 60), (90, 30), (24, 24), (20, 200)], train=True)
    batch = collate([data[epoch, n] for n in range(4)])
    front_end = FrontEnd(FORMAT)
    image, _ = front_end(AVBatch(**(vars(batch) | {"audio": torch.zeros(4, 6400)})))
    assert_same_but_for_borders(front_end.normalize.undo(image), front_end.masks(batch))


@pytest.mark.parametrize("whole", [False, True])
def test_evaluation_moves_masks_with_pictures(whole: bool) -> None:
    data = samples([(40, 60), (90, 30), (24, 24), (20, 200)], train=False, whole=whole)
    batch = collate([data[0, n] for n in range(4)])
    front_end = FrontEnd(FORMAT)
    image, _ = front_end(AVBatch(**(vars(batch) | {"audio": torch.zeros(4, 6400)})))
    masks = front_end.masks(batch)
    assert_same_but_for_borders(front_end.normalize.undo(image), masks)
    if whole:  # A third of each side is marked, wherever it lies.
        assert all(0.05 < mask.float().mean() < 0.3 for mask in masks)


def test_boxes_stay_with_their_clips() -> None:
    data = samples([(24, 24), (40, 60)], train=False, whole=True)
    batch = collate([data[0, 1], data[0, 0]]).to("cpu")
    first, second = batch.boxes
    assert first is not None and first.tolist() == [[0.0, 0.25, 0.5, 1.0]]
    assert second is not None and second.shape == (0, 4)


def test_a_batch_without_masks_says_so() -> None:
    data = samples([(24, 24)], train=False)
    batch = AVBatch(**(vars(data[0, 0]) | {"mask": None}))
    with pytest.raises(ValueError, match="no masks"):
        FrontEnd().masks(batch)


def test_crop_masks_is_an_index() -> None:
    mask = torch.arange(200, dtype=torch.uint8).view(2, 10, 10)
    box = torch.tensor([[2.0, 3.0, 6.0, 7.0], [0.0, 0.0, 10.0, 10.0]])
    found = crop_masks(mask, box, size=4)
    assert torch.equal(found[0], mask[0, 3:7, 2:6])
    places = [1, 3, 6, 8]
    assert torch.equal(found[1], mask[1][places][:, places])


def test_masks_of_files_come_through(tmp_path: Path) -> None:
    from avblocks.data.datasets import avsbench_s4
    from avblocks.data.scenes import scenes, scenes_as_avsbench
    from avblocks.data.scenes.dataset import SceneSpec

    scenes(tmp_path, split="test", num_clips=2, spec=SceneSpec(size=32, seconds=1.0))
    base = scenes_as_avsbench(tmp_path, part="s4")
    clips = avsbench_s4(base, split="test").per_frame()
    data = ClipDataset(clips, FORMAT, train=False, whole=True)
    batch = collate([data[0, n] for n in range(len(clips))])
    assert FrontEnd(FORMAT).masks(batch).float().mean() > 0

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close
from torch.utils.data import DataLoader, Subset

from avblocks import av_vit
from avblocks.data import ClipDataset, ClipFormat, FrontEnd
from avblocks.data.datasets import ClipSet
from avblocks.data.scenes import SceneSpec, scenes
from avblocks.heads import classifier
from avblocks.tasks import Classification, encode_once

FORMAT = ClipFormat(seconds=0.25, size=16, mels=16)
SIZES = {"depth": 1, "num_heads": 2, "patch": 16, "image_size": 16, "audio_size": (16, 16)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    root, spec = tmp_path_factory.mktemp("scenes"), SceneSpec(seconds=0.5, size=32)
    return scenes(root, split="train", num_clips=8, spec=spec)


@pytest.fixture
def clips(made: ClipSet) -> ClipDataset:
    return ClipDataset(made, FORMAT, train=True, augment=False)


@pytest.fixture
def task(clips: ClipDataset) -> Classification:
    torch.manual_seed(0)
    head = classifier(16, num_classes=len(clips.clips.classes))
    return Classification(av_vit(16, **SIZES), head, front_end=FrontEnd(FORMAT), frozen=True).eval()


@pytest.mark.parametrize("epoch", [0, 3])
def test_the_features_are_those_of_the_clips(
    task: Classification, clips: ClipDataset, tmp_path: Path, epoch: int
) -> None:
    clips.set_epoch(
        epoch
    )  # which changes the seeds of the samples and, without augmentation, no more
    found = encode_once(task, DataLoader(clips, batch_size=3), folder=str(tmp_path / "features"))
    assert len(found) == len(clips)
    (batch,) = DataLoader(Subset(found, [5, 2]), batch_size=2)
    (wanted,) = DataLoader(Subset(clips, [5, 2]), batch_size=2)
    assert batch.paths == wanted.paths
    assert_close(task.logits(batch).mean, task.logits(wanted).mean)


@pytest.mark.usefixtures("unchecked")
def test_clips_that_cannot_be_kept(
    task: Classification, clips: ClipDataset, tmp_path: Path
) -> None:
    part: Any = DataLoader(Subset(clips, [0, 1]))
    with pytest.raises(ValueError, match="dataset is a Subset: give the whole ClipDataset, and ta"):
        encode_once(task, part, folder=tmp_path)
    drawn = DataLoader(ClipDataset(clips.clips, FORMAT, train=True))
    with pytest.raises(ValueError, match="drawn at random: give a ClipDataset with augment=False"):
        encode_once(task, drawn, folder=tmp_path)
    trained = Classification(task.encoder, task.head, front_end=task.front_end)
    with pytest.raises(ValueError, match="Classification trains its encoder"):
        encode_once(trained, DataLoader(clips), folder=tmp_path)


def test_clips_that_were_not_read_are_no_clips_that_cannot_be_used(
    task: Classification, clips: ClipDataset, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="2 of 8 clips were not read: give a loader without"):
        encode_once(task, DataLoader(clips, batch_size=3, drop_last=True), folder=tmp_path)

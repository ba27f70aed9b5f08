"""Tasks in loops of other people: wrapped models, trackers of steps, loaded weights, own heads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from batches import random_batch
from lightning.pytorch.utilities.data import extract_batch_size
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from avblocks import AVTokens, av_vit
from avblocks.data import ClipFormat, FrontEnd
from avblocks.heads import Localizer, Logits, classifier
from avblocks.tasks import (
    Classification,
    ClassificationScorer,
    Localization,
    Pretraining,
    Segmentation,
)

FORMAT = ClipFormat(seconds=0.5, rate=16000, size=32, mels=16, hop=500)
PATHS = ("a.mp4", "b.mp4", "c.mp4", "d.mp4")
BATCH = random_batch(FORMAT, 4, target=torch.eye(2).repeat(2, 1), paths=PATHS)


def encoder() -> nn.Module:
    return av_vit(32, depth=1, num_heads=2, image_size=32, audio_size=(16, 16), patch=8)


def classification() -> Classification:
    torch.manual_seed(0)
    return Classification(encoder(), classifier(32, num_classes=2), front_end=FrontEnd(FORMAT))


def test_an_average_of_weights_is_scored() -> None:
    task = classification().eval()
    found = []
    for model in (task, AveragedModel(task)):
        scorer = ClassificationScorer(model)
        scorer.update(BATCH)
        found.append(scorer.compute())
    assert found[0] == found[1]


@pytest.mark.filterwarnings("ignore:Trying to infer the `batch_size`")
def test_lightning_knows_the_size_of_a_batch() -> None:
    assert extract_batch_size(BATCH) == 4
    assert [one.paths for one in BATCH] == [(path,) for path in PATHS]


def test_safetensors_save_a_task(tmp_path: Path) -> None:
    task, other = classification(), classification()
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    save_model(task, str(tmp_path / "task.safetensors"))
    load_model(other, str(tmp_path / "task.safetensors"))
    assert torch.equal(task.eval().logits(BATCH).mean, other.eval().logits(BATCH).mean)


def test_clips_of_one_path_and_other_targets_are_named() -> None:
    scorer = ClassificationScorer(classification())
    with pytest.raises(ValueError, match=r"path 'a' have different targets: give each its own"):
        scorer.update(random_batch(FORMAT, 4, target=BATCH.target, paths=("a",) * 4))


class Tensors(nn.Module):
    def forward(self, tokens: AVTokens) -> Tensor:
        return tokens.fusion.mean(1)


@pytest.mark.usefixtures("unchecked")
def test_a_head_of_tensors_is_named() -> None:
    task = Classification(encoder(), Tensors(), front_end=FrontEnd(FORMAT))
    with pytest.raises(TypeError, match=r"Tensors returned a Tensor: .* avblocks\.heads\.Logits"):
        task(BATCH)


def test_negatives_of_loaded_weights() -> None:
    def task() -> Localization:
        torch.manual_seed(0)
        parts = {"front_end": FrontEnd(FORMAT), "frozen": True, "negatives": 8}
        return Localization(encoder(), Localizer(32, dim_out=8), **parts)

    first, second = task(), task()
    first(BATCH)
    for model in (first, second):
        model.encoder.load_state_dict(av_weights())
        model.head.load_state_dict(task().head.state_dict())
    assert torch.equal(first(BATCH)["loss"], second(BATCH)["loss"])


def av_weights() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return encoder().state_dict()


def test_samples_without_any_stream_have_logits_of_zero() -> None:
    logits = torch.ones(2, 3)
    has = torch.tensor([True, False])
    mean = Logits(image=logits, audio=None, fusion=None, has_image=has, has_audio=has).mean
    assert mean.tolist() == [[1.0] * 3, [0.0] * 3]


class Empty(nn.Module):
    pass


@pytest.mark.usefixtures("unchecked")
def test_parts_that_lack_something_are_named() -> None:
    front_end: Any = FrontEnd(FORMAT)
    wrong = {
        "mae AVEncoder has no `encoder.image.grid`": lambda: Pretraining(
            encoder(), front_end=front_end
        ),
        "head Empty has no `embed_image`": lambda: Localization(
            encoder(), Empty(), front_end=front_end
        ),
        "head Empty has no `pred.out_channels`": lambda: Segmentation(
            encoder(), Empty(), front_end=front_end
        ),
    }
    for message, build in wrong.items():
        with pytest.raises(ValueError, match=f"{message}, which this task calls: see"):
            build()


@pytest.mark.usefixtures("unchecked")
def test_formats_of_numpys_integers() -> None:
    assert ClipFormat(rate=np.int64(16000)) == ClipFormat()
    with pytest.raises(ValueError, match=r"size must be an integer of at least 2, got 224\.0"):
        ClipFormat(size=224.0)

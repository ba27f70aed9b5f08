"""A separator's mask, as it is used, and the bound that the true masks give."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from small_clips import BATCHES, FORMAT, encoder
from torch import Tensor, nn

from avblocks.audio import LogMel, MelMasking
from avblocks.data import FrontEnd, collate, mix
from avblocks.heads import separator
from avblocks.log_frequency import LogFrequency
from avblocks.tasks import Separation, SeparationScorer, evaluate

RATE = FORMAT.rate
TIME = torch.arange(round(FORMAT.seconds * RATE)) / RATE


def separation(masks: Any, **given: Any) -> Separation:
    head = separator(16, patch=8, num_layers=1)
    front_end = FrontEnd(FORMAT, log_mel=given.pop("log_mel", None))
    return Separation(encoder(), head, front_end=front_end, masks=masks, **given).eval()


def tone(hertz: float) -> Tensor:
    return 0.5 * torch.sin(2 * torch.pi * hertz * TIME)


@pytest.mark.parametrize(("masks", "share"), [("ratio", 1.0), ("binary", 0.5)])
def test_a_source_alone_is_heard_in_full(masks: str, share: float, monkeypatch) -> None:
    """A logit of 0 is a ratio of a half, which is what a source alone has."""
    model = separation(masks, masking=MelMasking(n_mels=16))
    seconds = torch.sin(2 * torch.pi * 1000 / 16000 * torch.arange(16000.0))[None]
    batch = replace(collate(BATCHES)[:1], audio=seconds)
    monkeypatch.setattr(model, "logits", lambda batch: torch.zeros(1, 1, 16, 16000 // 250))
    found = model.separate(batch)
    assert torch.allclose(found[:, 2000:14000], share * seconds[:, 2000:14000], atol=0.02)


@pytest.mark.parametrize("log_mel", [None, LogFrequency(n_fft=998, hop=250, bins=32)])
@pytest.mark.parametrize("masks", ["ratio", "dominant"])
def test_true_masks_bound_the_scores(masks: str, log_mel: nn.Module | None, monkeypatch) -> None:
    """Two tones far apart in frequency: their true masks separate them almost completely."""
    model = separation(masks, log_mel=log_mel)
    clips = collate(BATCHES)[:2]
    batch = replace(clips, audio=torch.stack([tone(440), tone(3500)]), gain=torch.zeros(2))
    scores = evaluate(SeparationScorer(model), [batch])
    assert list(scores) == ["matched", "mismatched", "blank", "ideal"]
    assert scores["ideal"]["sdr_improvement_db"] > 15
    assert scores["ideal"]["sdr"] > scores["matched"]["sdr"] + 10

    mixture, source = (model.front_end.spectrogram(x) for x in (sources(batch)))
    truth = {"ratio": 10**source / (10**source + 10**mixture + 1e-5)}
    truth["dominant"] = (10**source > 0.5 * 10**mixture).float()
    sharpness = 0.1 if masks == "dominant" else 1.0  # their threshold makes timid masks binary
    logits = sharpness * truth[masks].logit(eps=1e-7)
    monkeypatch.setattr(model, "logits", lambda batch: logits)
    torch.testing.assert_close(
        model.guided(batch, "matched"), model.ideal(batch), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("log_mel", [None, LogFrequency(n_fft=998, hop=250, bins=32)])
@pytest.mark.parametrize(("masks", "cut"), [("ratio", None), ("binary", None), ("dominant", 0.5)])
def test_only_dominant_masks_are_cut(masks: str, cut: float | None, log_mel: Any) -> None:
    assert separation(masks, log_mel=log_mel).masking.threshold == cut


def test_the_masking_has_the_numbers_of_the_spectrogram() -> None:
    found = separation("ratio", log_mel=LogMel(n_fft=1000, n_mels=32)).masking
    assert isinstance(found, MelMasking) and found.n_fft == 1000


def test_other_groups_than_mixtures_are_refused() -> None:
    """Each mixture would be of clips of two groups."""
    batch = replace(collate(BATCHES), group=2)
    with pytest.raises(ValueError, match=r"batch.group must be 3, .*or 1 .*, got 2"):
        separation("ratio", sources=3)(batch)
    assert separation("ratio", sources=2)(batch)["loss"] > 0


def sources(batch: Any) -> tuple[Tensor, Tensor]:
    mixed = mix(batch)
    return mixed.audio, mixed.sources

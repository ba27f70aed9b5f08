"""The one evaluation loop: what scorers forget, what is refused, and modes that come back."""

from dataclasses import replace

import pytest
import torch
from small_clips import BATCHES, FORMAT, encoder

from avblocks.data import FrontEnd, collate, with_audio
from avblocks.heads import Localizer, classifier
from avblocks.tasks import (
    Classification,
    ClassificationScorer,
    Localization,
    LocalizationScorer,
    ProbeScorer,
    evaluate,
)


def task(**settings: object) -> Classification:
    head = classifier(16, num_classes=3)
    return Classification(encoder(), head, front_end=FrontEnd(FORMAT), **settings)


def test_a_scorer_used_again_forgets_the_first_time() -> None:
    model = task()
    for scorer in (ProbeScorer(model), ClassificationScorer(model)):
        first = evaluate(scorer, BATCHES)
        assert first and evaluate(scorer, BATCHES) == first
        assert evaluate(scorer, []) == {}


def test_audio_alone_has_not_read_the_image() -> None:
    """Rows are named for what the encoder was given: only one of them depends on both."""
    head, two = classifier(16, num_classes=3), encoder(depth=2)
    model = Classification(two, head, front_end=FrontEnd(FORMAT)).eval()
    blank = [replace(batch, image=torch.zeros_like(batch.image)) for batch in BATCHES]
    rows = []
    for batches in (BATCHES, blank):
        scorer = ProbeScorer(model)
        evaluate(scorer, batches)
        rows.append({name: torch.cat(parts) for name, parts in scorer.rows.items()})
    before, after = rows
    assert torch.equal(before["audio_alone"], after["audio_alone"])
    assert not torch.allclose(before["audio_given_both"], after["audio_given_both"])
    image, audio = model.front_end(collate(BATCHES))
    with torch.no_grad():
        alone = model.encoder(image=image, audio=None).image.mean(dim=1)
        both = model.encoder(image=image, audio=audio).image.mean(dim=1)
    torch.testing.assert_close(before["image_alone"], alone)
    torch.testing.assert_close(before["image_given_both"], both)


def test_old_names_of_the_probe_work_for_one_release() -> None:
    scores = evaluate(ProbeScorer(task()), BATCHES)["nn"]
    assert "nn_audio" not in scores
    with pytest.warns(DeprecationWarning, match="nn_audio is now nn_audio_given_both"):
        assert scores["nn_audio"] == scores["nn_audio_given_both"]
    with pytest.raises(KeyError):
        scores["nn_ears"]


def test_modes_and_gradients_come_back() -> None:
    model = task()
    model.head.eval()
    seen: list[bool] = []
    scorer = ProbeScorer(model)
    evaluate(scorer, BATCHES, on_batch=lambda _: seen.append(model.training))
    assert seen == [False, False] and model.training and not model.head.training
    assert not scorer.rows["image_alone"][0].requires_grad


def test_what_is_frozen_stays_frozen() -> None:
    frozen = encoder().requires_grad_(False)
    model = Classification(frozen, classifier(16, num_classes=3), front_end=FrontEnd(FORMAT))
    assert not any(p.requires_grad for p in model.encoder.parameters())
    assert not any(p.requires_grad for p in task(frozen=True).encoder.parameters())


def test_a_clip_without_class_has_no_part_in_the_loss() -> None:
    batch = replace(BATCHES[0], target=torch.eye(3) * torch.tensor([1, 1, 0])[:, None])
    for settings in ({}, {"smoothing": 0.1}, {"smoothing": 0.1, "joint": False}):
        model = task(**settings).eval()
        alone = model(batch[:2])["loss"]
        assert torch.isclose(model(batch)["loss"], alone * 2 / 3)


def test_the_probe_excludes_clips_without_a_class() -> None:
    """Their classes would seem to be equal, all being the first one."""
    model = task()
    none = [replace(batch, target=torch.zeros(3, 3)) for batch in BATCHES]
    assert evaluate(ProbeScorer(model), none) == {}
    assert evaluate(ProbeScorer(model), [replace(BATCHES[0], target=torch.zeros(3, 0))]) == {}
    other = [replace(batch, paths=("x.mp4",) * 3) for batch in none]
    assert evaluate(ProbeScorer(model), [*BATCHES, *other]) == evaluate(ProbeScorer(model), BATCHES)


@pytest.mark.usefixtures("unchecked")
def test_misfits_are_named() -> None:
    model = task()
    with pytest.raises(ValueError, match="scorer must be a Scorer"):
        evaluate(model, BATCHES)
    with pytest.raises(ValueError, match=r"given must be one of \('both', 'image', 'audio'\)"):
        task(given="ears")
    with pytest.raises(ValueError, match="given must be one of"):
        ClassificationScorer(model, given=("ears",))
    localizer = Localization(encoder(), Localizer(16), front_end=FrontEnd(FORMAT))
    with pytest.raises(ValueError, match="rule must be one of"):
        LocalizationScorer(localizer, rule="mine")
    with pytest.raises(ValueError, match=r"mismatched audio needs .* got 3 clips in groups of 1"):
        with_audio(BATCHES[0], "mismatched")

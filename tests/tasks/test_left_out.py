"""Clips without one modality in training: what is left out changes nothing."""

from dataclasses import replace

import pytest
import torch
from small_clips import BATCHES, FORMAT, encoder
from torch import Tensor

from avblocks import av_mae
from avblocks.data import AVBatch, CutMix, FrontEnd, collate
from avblocks.heads import AudioStatisticsContrast, classifier
from avblocks.seed import key
from avblocks.tasks import Classification, Pretraining
from avblocks.tasks.left_out import draw_present

BATCH = collate(BATCHES)


def pretraining(**settings: object) -> Pretraining:
    torch.manual_seed(0)
    mae = av_mae(encoder(), dim=16, depth=1, num_heads=2)
    return Pretraining(mae, front_end=FrontEnd(FORMAT), **settings)


def classification(**settings: object) -> Classification:
    torch.manual_seed(0)
    head = classifier(16, num_classes=3, batch_norm=False)
    return Classification(encoder(), head, front_end=FrontEnd(FORMAT), **settings)


def without(batch: AVBatch, *, share: float) -> AVBatch:
    """Other values where something is left out."""
    flags = draw_present(batch.seeds, left_out=share, device=torch.device("cpu"))
    image, audio = flags["image_valid"], flags["audio_valid"]
    assert not image.all() and not audio.all()
    return replace(
        batch,
        image=torch.where(image[:, None, None, None], batch.image, 255 - batch.image),
        audio=torch.where(audio[:, None], batch.audio, batch.audio.flip(1)),
    )


@pytest.mark.parametrize("multilabel", [True, False])
def test_a_stream_that_is_left_out_has_no_loss(multilabel: bool) -> None:
    """Its logits are those of its bias, which must not learn from clips that lack the stream."""
    flags = draw_present(BATCH.seeds, left_out=0.9, device=torch.device("cpu"))
    clips = BATCH[~flags["image_valid"]]
    assert len(clips)
    model = classification(left_out=0.9, joint=False, multilabel=multilabel)
    model(clips)["loss"].backward()
    assert not model.head.image.linear.bias.grad.any()
    assert model.head.audio.linear.bias.grad.all()


@pytest.mark.parametrize("make", [pretraining, classification])
@pytest.mark.parametrize("joint", [True, False])
def test_losses_do_not_depend_on_what_is_left_out(make, joint: bool) -> None:
    if make is pretraining and not joint:
        return
    options = {} if make is pretraining else {"joint": joint}
    model = make(left_out=0.9, **options)
    changed = without(BATCH, share=0.9)
    torch.testing.assert_close(model(changed)["loss"], model(BATCH)["loss"])
    model.eval()  # evaluation leaves nothing out
    assert not torch.allclose(model(changed)["loss"], model(BATCH)["loss"])


def test_shares_are_kept_and_belong_to_the_sample() -> None:
    seeds = tuple(range(4000))
    flags = draw_present(seeds, left_out=0.4, device=torch.device("cpu"))
    image, audio = flags["image_valid"], flags["audio_valid"]
    assert (image | audio).all()
    for missing in (~image, ~audio):
        assert abs(missing.double().mean() - 0.2) < 0.03
    few = draw_present(seeds[10:12], left_out=0.4, device=torch.device("cpu"))
    assert torch.equal(few["image_valid"], image[10:12])
    assert draw_present(seeds, left_out=0.0, device=torch.device("cpu")) == {}


def test_losses_of_the_streams_are_over_the_clips_that_have_them() -> None:
    model = classification(left_out=0.9, joint=False)
    flags = draw_present(BATCH.seeds, left_out=0.9, device=torch.device("cpu"))
    image, audio = model.front_end(BATCH)
    logits = model.head(model.encoder(image=image, audio=audio, **flags))
    target = BATCH.target.argmax(dim=1)
    rows = [
        (torch.nn.functional.cross_entropy(scores, target, reduction="none") * has).mean()
        for scores, has in (
            (logits.image, flags["image_valid"]),
            (logits.audio, flags["audio_valid"]),
            (logits.fusion, torch.ones(6)),
        )
    ]
    torch.testing.assert_close(model(BATCH)["loss"], sum(rows) / 3)


def test_contrast_is_added_with_its_weight() -> None:
    plain = pretraining()(BATCH)
    model = pretraining(
        contrast=AudioStatisticsContrast(16, mels=32, components=4), contrast_weight=0.5
    )
    found = model(BATCH)
    torch.testing.assert_close(
        found["loss"], plain["loss"] + 0.5 * found["loss_contrast"], rtol=1e-5, atol=1e-5
    )
    found["loss"].backward()
    assert model.contrast.image.weight.grad.any()


def test_contrast_is_given_fusion_tokens_of_masked_clips_and_cut_images() -> None:
    contrast = AudioStatisticsContrast(16, mels=32, components=4)
    model = pretraining(contrast=contrast, cutmix=1.0)
    given: list[dict[str, Tensor | None]] = []
    contrast.register_forward_hook(lambda *x: given.append(x[2]), with_kwargs=True)
    image, audio = model.front_end(BATCH)
    masked = model.mae(image=image, audio=audio, **model.masks(BATCH, image=image, audio=audio))
    for training in (True, True, False):
        model.train(training)(BATCH)
    first, again, test = given
    torch.testing.assert_close(first["masked"], masked.fusion)
    assert first["own"] is not None and first["own"].min() < 1
    assert torch.equal(first["own"], again["own"])  # drawn by the seeds of the samples
    assert test["own"] is None


@pytest.mark.usefixtures("unchecked")
def test_misfits_are_named() -> None:
    with pytest.raises(ValueError, match="left_out must be in"):
        pretraining(left_out=1.0)
    with pytest.raises(ValueError, match="given must be 'both' with left_out"):
        classification(left_out=0.5, given="image")
    with pytest.raises(ValueError, match="contrast_weight must be a finite number of 0"):
        pretraining(contrast_weight=-1.0)
    with pytest.raises(ValueError, match="left_out must be 0: features are of whole clips"):
        classification(left_out=0.5, frozen=True).features(BATCH)


def test_cutmix_of_a_classifier() -> None:
    model = classification(cutmix=1.0)
    seeds = [torch.Generator().manual_seed(key(seed, "mixup")) for seed in BATCH.seeds]
    image, audio = model.front_end(BATCH)
    image, audio, target = CutMix(1.0)(BATCH.target, image=image, audio=audio, generators=seeds)
    logits = model.head(model.encoder(image=image, audio=audio)).mean
    wanted = torch.nn.functional.cross_entropy(logits, target)
    torch.testing.assert_close(model(BATCH)["loss"], wanted)
    assert not torch.allclose(classification()(BATCH)["loss"], wanted)
    assert (model.settings()["cutmix"], model.settings()["mixup"]) == (1.0, 0.0)
    with pytest.raises(ValueError, match="mixup or cutmix, not both"):
        classification(cutmix=1.0, mixup=1.0)

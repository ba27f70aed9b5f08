"""Localization task: local patches, silence and noise as negatives, and semantic positives."""

from dataclasses import replace

import pytest
import torch
from batches import random_batch
from torch import Tensor
from torch.testing import assert_close

from avblocks import av_vit
from avblocks.data import AVBatch, ClipFormat, FrontEnd, white_noise, with_audio
from avblocks.heads import Localizer, Starts, local_tokens
from avblocks.tasks import Localization
from avblocks.tasks.localize import _some_patches

FORMAT = ClipFormat(seconds=0.5, rate=16000, size=32, mels=16, hop=500)


def batch(count: int = 4) -> AVBatch:
    return random_batch(FORMAT, count)


def task(**options: object) -> Localization:
    torch.manual_seed(0)
    encoder = av_vit(32, depth=2, num_heads=2, image_size=32, audio_size=(16, 16), patch=8)
    head = Localizer(32, dim_out=8)
    settings = {"frozen": True, **options}
    return Localization(encoder, head, front_end=FrontEnd(FORMAT), **settings)  # type: ignore[arg-type]


def test_settings_build_it_again() -> None:
    settings = {"local": 1, "patches": 0.5, "negatives": 8, "positives": 0.1, "mirror": True}
    assert settings.items() <= task(**settings).settings().items()
    assert task(**task(**settings).settings()).settings() == task(**settings).settings()
    for name, value in (("local", 3), ("patches", 0.0), ("negatives", -1), ("positives", 0.9)):
        with pytest.raises(ValueError, match=name):
            task(**{name: value})
    for one in ({"local": 1}, {"mirror": True}):
        with pytest.raises(ValueError, match="joint"):
            task(**one, joint=True)


def test_local_maps_do_not_see_the_other_patches() -> None:
    model, clips = task(local=1).eval(), batch()
    image, _ = model.front_end(clips)
    assert_close(model.features(clips)["image"], local_tokens(model.encoder, image, depth=1))


def test_mirrored_maps_are_averaged() -> None:
    model, clips = task().eval(), batch()
    turned = replace(clips, flip=~clips.flip)
    plain, other = model.maps(clips), model.maps(turned).flip(-1)
    model.mirror = True
    assert_close(model.maps(clips), (plain + other) / 2)
    assert_close(model.maps(turned), model.maps(clips).flip(-1))
    assert not torch.allclose(plain, other)
    features = model.features(clips)
    assert torch.equal(model.maps(replace(clips, features=features)), model.maps(clips))
    assert torch.equal(model.train().maps(clips), model.eval().maps(clips))
    with pytest.raises(ValueError, match="lack `mirrored`"):
        model.maps(replace(clips, features=task().features(clips)))


def test_mirrored_images_are_drawn_in_training() -> None:
    model, clips = task(mirror=True).eval(), batch(64)
    features = dict(model.features(clips))
    both = replace(clips, features=features)
    plain = model(both)["loss"]
    assert not torch.equal(model.train()(both)["loss"], plain)
    assert torch.equal(model(both)["loss"], model(both)["loss"]), "by the seeds of the clips alone"
    seen = []
    model._loss = lambda head, image, *others: seen.append(image) or image.sum()  # type: ignore[assignment]
    model(both)
    turned = (seen[0] == features["mirrored"]).all(dim=2).all(dim=1)
    assert torch.equal(seen[0][~turned], features["image"][~turned])
    assert 16 < turned.sum() < 48
    model.mirror = False
    model(both)
    assert torch.equal(seen[1], features["image"])


@pytest.mark.parametrize("frozen", [True, False])
def test_silence_and_noise_are_negatives_and_the_average_audio_is_tracked(frozen: bool) -> None:
    model, clips = task(negatives=8, frozen=frozen), batch()
    plain = task(frozen=frozen)(clips)["loss"]
    loss = model.train()(clips)["loss"]
    assert loss > plain, "more audio to tell apart"
    assert_close(model(clips)["loss"], loss)  # by the seeds of the clips alone
    assert model.head.center.norm() > 0
    before = model.head.center.clone()
    model.eval()(clips)
    assert torch.equal(model.head.center, before)
    silent = model._silence.tokens(
        model.encoder, model.front_end, generator=torch.Generator().manual_seed(0)
    )
    assert len(silent) == 8 and torch.equal(silent[0], silent[1]), "a quarter is silence"
    assert not torch.equal(silent[2], silent[3])


def test_patches_are_drawn_in_training_alone() -> None:
    image = torch.arange(24.0).view(2, 12, 1)
    drawn = _some_patches(image, share=0.25, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (2, 3, 1)
    pairs = zip(drawn, image, strict=True)
    assert all(set(d.flatten().tolist()) <= set(i.flatten().tolist()) for d, i in pairs)
    model, clips = task(patches=0.25), batch()
    assert not torch.equal(model.train()(clips)["loss"], model.eval()(clips)["loss"])


def test_alike_audio_is_no_negative() -> None:
    model = task(positives=0.3)
    random = torch.Generator().manual_seed(0)
    kinds: Tensor = torch.arange(40) % 2
    audio = torch.randn(40, 3, 32, generator=random) * 0.1
    audio[:, :, 0] += 10 * kinds[:, None]
    audio[:, :, 1:] += kinds[:, None, None] * torch.randn(31, generator=random)
    features = model.relate({"image": torch.randn(40, 16, 32, generator=random), "audio": audio})
    codes = features["codes"]
    same = kinds[:, None] == kinds
    assert (codes @ codes.T)[same].mean() > (codes @ codes.T)[~same].max()
    assert "codes" not in task().relate({"audio": audio})
    assert model.relate({**features, "audio": audio[:, :1]})["codes"].isfinite().all()
    with pytest.raises(ValueError, match="encode all clips once"):
        model(batch())


def test_each_start_has_the_loss_that_it_has_alone() -> None:
    torch.manual_seed(1)
    heads, clips = [Localizer(32, dim_out=8) for _ in range(3)], batch()
    options = {"negatives": 8, "patches": 0.5}
    alone = []
    for head in heads:
        single = task(**options).train()
        single.head.load_state_dict(head.state_dict())
        alone.append(single(clips)["loss"])
    model = task(**options).train()
    model.head = Starts(heads)
    found = model(clips)
    assert_close(found["loss"], torch.stack(alone).mean())
    assert_close(found["least_loss"], min(alone).detach())
    assert_close(model.head.losses, torch.stack(alone).detach())
    best = min(range(3), key=lambda index: alone[index].item())
    model.eval()
    single = task(**options).eval()
    single.head.load_state_dict(heads[best].state_dict())
    assert torch.equal(model.maps(clips), single.maps(clips))


def test_noise_depends_on_the_seed_alone() -> None:
    one = white_noise([3, 4], samples=1000)
    assert torch.equal(one[1], white_noise([4], samples=1000)[0])
    assert 0.01 < one[0].std() <= 0.31 and one.abs().max() <= 1
    clips = with_audio(batch(), "noise")
    assert torch.equal(clips.audio, white_noise(range(4), samples=FORMAT.samples))

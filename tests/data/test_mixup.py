"""Mixup and label smoothing, against loops over the samples."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor
from torch.testing import assert_close

from avblocks.data import CutMix, Mixup, smooth


def batch(b: int) -> tuple[Tensor, Tensor, Tensor]:
    random = Generator().manual_seed(b)
    shapes = ((b, 3, 2, 2), (b, 1, 4, 3))
    image, audio = (torch.randn(shape, generator=random) for shape in shapes)
    return image, audio, torch.eye(b + 1)[:b]


def seeds(b: int, *, first: int = 0) -> list[Generator]:
    return [Generator().manual_seed(first + i) for i in range(b)]


@given(st.integers(1, 6), st.booleans())
def test_each_sample_is_mixed_with_its_partner(b: int, mirrored: bool) -> None:
    image, audio, target = batch(b)
    lam = torch.rand(b)
    partner = torch.arange(b).flip(0) if mirrored else torch.randperm(b)
    given = {} if mirrored else {"partner": partner}
    mixed = Mixup()(target, image=image, audio=audio, lam=lam, **given)
    for before, after in zip((image, audio, target), mixed, strict=True):
        assert after is not None
        for i in range(b):
            share, other = lam[i].item(), before[int(partner[i])]
            assert_close(after[i], share * before[i] + (1 - share) * other)


def test_nothing_is_changed_in_place_and_extremes_are_themselves() -> None:
    image, audio, target = batch(4)
    copies = image.clone(), audio.clone(), target.clone()
    mixed = Mixup()(target, image=image, audio=audio, lam=torch.tensor([1.0, 1.0, 0.0, 0.0]))
    assert all(torch.equal(a, b) for a, b in zip((image, audio, target), copies, strict=True))
    for before, after in zip(copies, mixed, strict=True):
        assert after is not None and torch.equal(after, before[[0, 1, 1, 0]])


@given(st.integers(1, 6))
def test_targets_keep_their_sum(b: int) -> None:
    image, audio, target = batch(b)
    soft = Mixup(0.4)(target, image=image, audio=audio, generators=seeds(b))[2]
    assert_close(soft.sum(dim=1), torch.ones(b))
    assert (soft >= 0).all()


@pytest.mark.parametrize("gone", ["image", "audio"])
def test_a_missing_modality_stays_missing_and_changes_nothing_else(gone: str) -> None:
    image, audio, target = batch(4)
    lam = torch.rand(4)
    whole = Mixup()(target, image=image, audio=audio, lam=lam)
    given = {"image": image, "audio": audio} | {gone: None}
    part = Mixup()(target, **given, lam=lam)
    for name, a, b in zip(("image", "audio", "target"), whole, part, strict=True):
        assert (b is None) if name == gone else torch.equal(a, b)


@given(st.integers(0, 99), st.floats(0.05, 20))
def test_a_lambda_belongs_to_its_generator(first: int, alpha: float) -> None:
    mixup = Mixup(alpha)
    lam = mixup.draw(seeds(5, first=first))
    assert torch.equal(lam, mixup.draw(seeds(5, first=first)))
    assert torch.equal(lam[2:], mixup.draw(seeds(3, first=first + 2)))
    assert len(lam.unique()) > 1 and ((lam >= 0) & (lam <= 1)).all()
    image, audio, target = batch(5)
    drawn = mixup(target, image=image, audio=audio, generators=seeds(5, first=first))
    assert_close(drawn, mixup(target, image=image, audio=audio, lam=lam))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_lambdas_are_of_the_beta_distribution(alpha: float) -> None:
    lam = Mixup(alpha).draw(seeds(4000))
    # Mean 1/2, variance 1 / (4 (2 alpha + 1)); four deviations of the estimates, roughly.
    assert lam.mean().item() == pytest.approx(0.5, abs=0.04)
    assert lam.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.12)


def test_bfloat16_images_and_no_samples() -> None:
    image, _, target = batch(2)
    mixed = Mixup()(target, image=image.bfloat16(), audio=None, lam=torch.tensor([0.3, 0.7]))
    assert mixed[0] is not None and mixed[0].dtype == torch.bfloat16
    assert mixed[2].dtype == torch.float32
    empty = Mixup()(target[:0], image=image[:0], audio=None, generators=[])
    assert empty[2].shape == (0, 3)


@pytest.mark.usefixtures("unchecked")
def test_what_is_refused() -> None:
    image, audio, target = batch(4)
    for alpha in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="alpha must be"):
            Mixup(alpha)
    with pytest.raises(ValueError, match="either generators or lam"):
        Mixup()(target, image=image, audio=audio)
    with pytest.raises(ValueError, match="either generators or lam"):
        Mixup()(target, image=image, audio=audio, generators=seeds(4), lam=torch.rand(4))
    with pytest.raises(ValueError, match="lam must be of 4 samples"):
        Mixup()(target, image=image, audio=audio, generators=seeds(3))
    with pytest.raises(ValueError, match="audio must be of 4 samples"):
        Mixup()(target, image=image, audio=audio[:1], lam=torch.rand(4))


@given(st.integers(1, 5), st.integers(1, 6), st.floats(0, 0.99))
def test_smoothing(b: int, classes: int, smoothing: float) -> None:
    target = torch.eye(classes)[torch.randint(classes, (b,))]
    soft = smooth(target, smoothing=smoothing)
    for i in range(b):
        for c in range(classes):
            expected = (1 - smoothing) * target[i, c].item() + smoothing / classes
            assert soft[i, c].item() == pytest.approx(expected, abs=1e-6)
    assert_close(soft.sum(dim=1), torch.ones(b))


def test_smoothing_and_mixing_come_in_either_order() -> None:
    image, audio, target = batch(4)
    lam = torch.rand(4)
    after = smooth(Mixup()(target, image=image, audio=audio, lam=lam)[2], smoothing=0.1)
    assert_close(
        after, Mixup()(smooth(target, smoothing=0.1), image=image, audio=audio, lam=lam)[2]
    )


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_smoothing_out_of_range(smoothing: float) -> None:
    with pytest.raises(ValueError, match="smoothing must be"):
        smooth(torch.eye(2), smoothing=smoothing)


def stills(b: int, height: int = 8, width: int = 12) -> Tensor:
    """Images of one color each, their index."""
    return torch.arange(b)[:, None, None, None].expand(b, 3, height, width).float()


@given(st.integers(1, 6), st.integers(0, 99), st.booleans())
def test_a_rectangle_of_the_partner_and_the_same_share_of_the_rest(
    b: int, first: int, mirrored: bool
) -> None:
    _, audio, target = batch(b)
    partner = torch.arange(b).flip(0) if mirrored else torch.randperm(b)
    given = {} if mirrored else {"partner": partner}
    image, heard, soft = CutMix()(
        target, image=stills(b), audio=audio, generators=seeds(b, first=first), **given
    )
    assert heard is not None
    for i in range(b):
        other = int(partner[i])
        pasted = (image[i] == other) & (other != i)
        assert ((image[i] == i) | pasted).all()
        rows, columns = (pasted[0].any(dim).nonzero()[:, 0] for dim in (1, 0))
        area = len(rows) * len(columns)
        if area:  # one whole rectangle
            top, left = int(rows[0]), int(columns[0])
            assert pasted[:, top : top + len(rows), left : left + len(columns)].all()
        assert int(pasted.sum()) == 3 * area
        if other != i:
            own = 1 - area / 96
            assert_close(heard[i], own * audio[i] + (1 - own) * audio[other])
            assert_close(soft[i], own * target[i] + (1 - own) * target[other])


@given(st.integers(0, 99), st.floats(0.05, 20))
def test_a_rectangle_belongs_to_its_generator(first: int, alpha: float) -> None:
    cutmix = CutMix(alpha)
    boxes = cutmix.draw(seeds(5, first=first))
    assert torch.equal(boxes[2:], cutmix.draw(seeds(3, first=first + 2)))
    assert ((boxes >= 0) & (boxes <= 1)).all() and (boxes[:, :2] <= boxes[:, 2:]).all()
    assert cutmix.draw([]).shape == (0, 4)


def test_rectangles_that_are_not_clipped_have_the_drawn_area() -> None:
    boxes = CutMix(1.0).draw(seeds(4000))
    whole = ((boxes > 0) & (boxes < 1)).all(dim=1)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert_close(area[whole], 1 - Mixup(1.0).draw(seeds(4000))[whole], atol=1e-5, rtol=0)
    # Of a center anywhere and a side of sqrt(u), u uniform: the mean of (1 - sqrt(u))^2.
    assert abs(float(whole.float().mean()) - 1 / 6) < 0.02


def test_frames_of_a_video_have_the_same_rectangle() -> None:
    video = torch.stack([stills(4)] * 3, dim=2)
    boxes = CutMix().draw(seeds(4))
    cut, own = CutMix().cut(video, boxes)
    for frame in cut.unbind(2):
        still, share = CutMix().cut(stills(4), boxes)
        assert torch.equal(frame, still) and torch.equal(share, own)


@pytest.mark.usefixtures("unchecked")
def test_cutmix_that_cannot_be() -> None:
    image, audio, target = batch(4)
    with pytest.raises(ValueError, match=r"generators .*of 4 samples"):
        CutMix()(target, image=image, audio=audio, generators=seeds(3))
    with pytest.raises(ValueError, match=r"audio .*of 4 samples"):
        CutMix()(target, image=image, audio=audio[:3], generators=seeds(4))
    with pytest.raises(ValueError, match="alpha"):
        CutMix(0.0)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_integers_cannot_be_mixed(dtype: torch.dtype) -> None:
    lam = torch.tensor([0.9, 0.9])
    with pytest.raises(ValueError, match="target must be of floats"):
        Mixup()(torch.eye(2).to(dtype), image=None, audio=None, lam=lam)
    with pytest.raises(ValueError, match="image must be of floats"):
        Mixup()(torch.eye(2), image=torch.zeros(2, 3, 4, 4).to(dtype), audio=None, lam=lam)

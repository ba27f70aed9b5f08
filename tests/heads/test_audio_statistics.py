"""Contrast with the statistics of spectrograms: whitening, and what is learned."""

import copy

import pytest
import torch
from torch import Tensor, nn

from avblocks import AVTokens
from avblocks.heads import AudioStatisticsContrast, RunningWhitening, audio_statistics


def test_whitened_components_have_equal_variance() -> None:
    mixed = torch.randn(400, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64) + 5
    whiten = RunningWhitening(6, components=3)
    rows = whiten(mixed)
    values, axes = torch.linalg.eigh(mixed.T.cov(correction=0))
    wanted = (mixed - mixed.mean(0)) @ axes[:, 3:] / values[3:].sqrt()
    wanted = wanted / wanted.norm(dim=1, keepdim=True)
    torch.testing.assert_close(rows @ rows.T, (wanted @ wanted.T).float())


def test_averages_are_over_batches_and_fixed_in_evaluation() -> None:
    batches = torch.randn(5, 50, 4, dtype=torch.float64)
    whiten = RunningWhitening(4, components=2)
    for batch in batches:
        whiten(batch)
    torch.testing.assert_close(whiten.mean, batches.mean(dim=(0, 1)))
    before = whiten.state_dict()
    whiten.eval()(batches[0] + 100)
    assert all(torch.equal(x, whiten.state_dict()[name]) for name, x in before.items())


CASTS = [torch.bfloat16, torch.float16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", CASTS)
@pytest.mark.parametrize("autocast", [True, False])
def test_averages_are_exact_in_a_model_of_any_data_type(dtype: torch.dtype, autocast: bool) -> None:
    """400 batches that change the averages by less than half precision resolves."""
    batches = 5 + torch.randn(400, 8, 4)
    whiten, rows = RunningWhitening(4, components=2, momentum=0.0).to(dtype), torch.zeros(8, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        for batch in batches:
            rows = whiten(batch)
    every = batches.double()
    torch.testing.assert_close(whiten.mean, every.mean(dim=(0, 1)))
    assert whiten.batches == 400 and rows.dtype == torch.float32
    values, axes = torch.linalg.eigh(whiten.covariance)
    wanted = (every[-1] - every.mean(dim=(0, 1))) @ axes[:, 2:] / values[2:].sqrt()
    wanted = wanted / wanted.norm(dim=1, keepdim=True)
    torch.testing.assert_close(rows @ rows.T, (wanted @ wanted.T).float())


@pytest.mark.parametrize("dtype", CASTS)
def test_a_trained_model_may_be_cast(dtype: torch.dtype) -> None:
    """Variances that the data type cannot resolve are not amplified."""
    features = torch.randn(400, 6) * torch.tensor([4.0, 2.0, 1.0, 0.5, 1e-3, 1e-4])
    whiten = RunningWhitening(6, components=6)
    wanted = whiten(features)
    wanted = whiten.eval()(features)[:, 2:]
    found = whiten.to(dtype)(features)
    if dtype in (torch.float32, torch.float64):
        found = found[:, 2:]
    else:  # the last two directions are left out in effect
        assert found[:, :2].abs().mean() < 0.1
        found = found[:, 2:] / found[:, 2:].norm(dim=1, keepdim=True)
        wanted = wanted / wanted.norm(dim=1, keepdim=True)
    cosines = torch.cosine_similarity(wanted @ wanted.T, found @ found.T, dim=1)
    assert cosines.min() > 0.98


@pytest.mark.parametrize("dtype", CASTS)
@pytest.mark.parametrize("autocast", [torch.bfloat16, torch.float16, None])
def test_the_loss_of_a_cast_model_is_that_in_double_precision(
    dtype: torch.dtype, autocast: torch.dtype | None
) -> None:
    torch.manual_seed(0)
    image, spectrogram = (
        torch.randn(12, 6, 32),
        torch.randn(12, 1, 8, 20) + torch.randn(12, 1, 8, 1),
    )
    exact = AudioStatisticsContrast(32, mels=8, components=8).double()
    cast = copy.deepcopy(exact).to(dtype)

    def loss(contrast: AudioStatisticsContrast, dtype: torch.dtype) -> Tensor:
        x = image.to(dtype)
        tokens = AVTokens(image=x, audio=None, fusion=x[:, :2])
        return contrast(tokens, spectrogram.to(dtype))

    wanted = loss(exact, torch.float64)
    wanted.backward()
    with torch.autocast("cpu", dtype=autocast, enabled=autocast is not None):
        found = loss(cast, dtype)
    found.backward()
    close = {"rtol": 1e-5, "atol": 1e-5} if autocast is None else {"rtol": 1e-2, "atol": 1e-2}
    if dtype in (torch.bfloat16, torch.float16):
        close = {"rtol": 1e-2, "atol": 1e-2}
    torch.testing.assert_close(found, wanted, **close)
    grads = [contrast.image.weight.grad.double() for contrast in (cast, exact)]
    assert torch.cosine_similarity(*(grad.flatten() for grad in grads), dim=0) > 0.99


def test_a_constant_feature_stays_finite() -> None:
    constant = torch.ones(8, 4)
    assert RunningWhitening(4, components=4)(constant).isfinite().all()


def test_statistics_are_those_of_each_mel_bin() -> None:
    spectrogram = torch.randn(3, 1, 5, 7)
    found = audio_statistics(spectrogram)
    for clip in range(3):
        for mel in range(5):
            row = spectrogram[clip, 0, mel].tolist()
            mean = sum(row) / 7
            spread = (sum((x - mean) ** 2 for x in row) / 7) ** 0.5
            got = found[clip, mel].item(), found[clip, 5 + mel].item()
            assert got == pytest.approx((mean, spread), abs=1e-5)


def test_it_teaches_tokens_to_tell_sounds_apart() -> None:
    """Loss near zero where the image says which spectrum, near the log of the batch where not."""
    torch.manual_seed(0)
    spectrogram = 3 * torch.randn(16, 1, 8, 1).expand(-1, -1, -1, 20) + torch.randn(16, 1, 8, 20)
    contrast = AudioStatisticsContrast(32, mels=8, components=8, temperature=0.05)
    telling = nn.Parameter(torch.randn(16, 4, 32))
    optimizer = torch.optim.Adam([telling, *contrast.parameters()], lr=0.05)
    losses = []
    for _ in range(100):
        tokens = AVTokens(image=telling, audio=None, fusion=telling[:, :2])
        losses.append(contrast(tokens, spectrogram))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[0] > 2 and losses[-1] < 0.1
    silent = AVTokens(image=torch.zeros(16, 4, 32), audio=None, fusion=torch.zeros(16, 0, 32))
    assert contrast(silent, spectrogram) > 2.5


def test_fusion_tokens_of_masked_clips_have_a_loss_of_their_own() -> None:
    torch.manual_seed(0)
    spectrogram = torch.randn(6, 1, 8, 20)
    contrast = AudioStatisticsContrast(16, mels=8, components=4)
    contrast(
        AVTokens(image=torch.randn(6, 3, 16), audio=None, fusion=torch.randn(6, 2, 16)), spectrogram
    )
    contrast.eval()  # the same whitening in all calls

    def loss(image: Tensor, fusion: Tensor, **given: Tensor) -> Tensor:
        return contrast(AVTokens(image=image, audio=None, fusion=fusion), spectrogram, **given)

    image, alone, masked = torch.randn(6, 3, 16), torch.randn(6, 2, 16), torch.randn(6, 2, 16)
    nothing, own = image[:, :0], torch.rand(6)
    of_image, of_pairs = loss(image, nothing, own=own), loss(image, alone, own=own)
    of_masked = 2 * loss(image, masked) - loss(image, nothing)  # shares are those of the images
    found = loss(image, alone, own=own, masked=masked)
    torch.testing.assert_close(found, (2 * of_pairs + of_masked) / 3)
    assert not torch.isclose(of_image, of_pairs)


@pytest.mark.usefixtures("unchecked")
def test_misfits_are_named() -> None:
    with pytest.raises(ValueError, match="components must be at most the 16 features"):
        AudioStatisticsContrast(32, mels=8)
    with pytest.raises(ValueError, match="temperature must be a finite number above zero"):
        AudioStatisticsContrast(32, mels=64, temperature=0.0)
    with pytest.raises(ValueError, match="needs tokens of the image"):
        tokens = AVTokens(image=None, audio=torch.zeros(2, 3, 32), fusion=torch.zeros(2, 0, 32))
        AudioStatisticsContrast(32, mels=64)(tokens, torch.zeros(2, 1, 64, 5))


def test_loss_is_the_formula() -> None:
    torch.manual_seed(0)
    image, spectrogram = torch.randn(5, 3, 16), torch.randn(5, 1, 8, 20)
    contrast = AudioStatisticsContrast(16, mels=8, components=4, temperature=0.2)
    loss = contrast(AVTokens(image=image, audio=None, fusion=image[:, :0]), spectrogram)
    target = contrast.eval().whiten(audio_statistics(spectrogram))
    flat = image.flatten(0, 1)
    tokens = contrast.image((image - flat.mean(0)) / flat.std(0, correction=0))
    similar = torch.zeros(5, 5)
    for i in range(5):
        for j in range(5):
            cosines = torch.cosine_similarity(tokens[i], target[j][None])
            similar[i, j] = (cosines / 0.2).exp().mean().log()
    match = torch.arange(5)
    both = [torch.nn.functional.cross_entropy(s, match) for s in (similar, similar.T)]
    torch.testing.assert_close(loss, sum(both) / 2, rtol=1e-4, atol=1e-4)


def test_a_batch_of_nan_leaves_the_averages() -> None:
    torch.manual_seed(0)
    first, second, broken = RunningWhitening(4, components=2), None, torch.full((8, 4), torch.nan)
    batches = [torch.randn(8, 4) for _ in range(3)]
    second = RunningWhitening(4, components=2)
    second(broken)
    for batch in batches:
        first(batch)
        second(batch)
        assert second(broken).isnan().all()
    assert all(map(torch.equal, first.buffers(), second.buffers()))
    with pytest.raises(ValueError, match="at least one sample"):
        first(torch.zeros(0, 4))

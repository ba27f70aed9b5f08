"""Log-frequency spectrograms against the published grids and a plain Fourier transform."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from avblocks.audio import LogMel, MelMasking
from avblocks.data import ClipFormat, FrontEnd
from avblocks.heads import dominant_mask
from avblocks.log_frequency import LogFrequency, LogFrequencyMasking, warp_matrix


def published_grid(rows: int, columns: int, *, warp: bool) -> Tensor:
    """The sampling places, from the formula of the paper's code."""
    y = torch.linspace(-1, 1, rows, dtype=torch.float64)
    if warp:
        places = (torch.pow(21.0, (y + 1) / 2) - 11) / 10
    else:
        places = (y * 10 + 11).log() / math.log(21) * 2 - 1
    x = torch.linspace(-1, 1, columns, dtype=torch.float64)
    return torch.stack((x.expand(rows, -1), places[:, None].expand(-1, columns)), dim=2)[None]


def sampled(rows: Tensor, count: int, *, warp: bool) -> Tensor:
    grid = published_grid(count, rows.shape[-1], warp=warp)
    return F.grid_sample(rows[None, None].double(), grid, align_corners=True)[0, 0].float()


def test_finer_waveforms_than_the_window_are_refused() -> None:
    audio, mask = torch.zeros(1, 2000, dtype=torch.float64), torch.ones(1, 1, 16, 8)
    sizes = {"n_fft": 500, "hop": 250}
    for module in (LogFrequency(bins=16, **sizes), LogMel(n_mels=16, **sizes)):
        with pytest.raises(ValueError, match=r"audio is torch\.float64 and the weights are"):
            module(audio)
    for module in (LogFrequencyMasking(bins=16, **sizes), MelMasking(n_mels=16, **sizes)):
        with pytest.raises(ValueError, match=r"audio is torch\.float64 and the weights are"):
            module(audio, mask=mask)


@pytest.mark.parametrize(("rows", "out"), [(512, 256), (500, 64), (9, 30), (2, 2)])
def test_the_warp_is_that_of_the_published_grid(rows: int, out: int) -> None:
    linear, warped = torch.rand(rows, 7), torch.rand(out, 7)
    assert_close(warp_matrix(rows, out=out) @ linear, sampled(linear, out, warp=True))
    back = warp_matrix(out, out=rows, inverse=True) @ warped
    assert_close(back, sampled(warped, rows, warp=False))


def fourier(audio: Tensor, n_fft: int, hop: int) -> Tensor:
    """Windows around every hop-th sample, the ends reflected."""
    padded = np.pad(audio.numpy(), n_fft // 2, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    starts = range(0, len(audio) + 1, hop)
    frames = [np.fft.rfft(window * padded[start : start + n_fft]) for start in starts]
    return torch.from_numpy(np.stack(frames, axis=1))


def test_spectrograms_are_of_magnitudes() -> None:
    audio = torch.randn(4096, dtype=torch.float64)
    found = LogFrequency(n_fft=254, hop=64, bins=40)(audio[None].float())
    magnitude = fourier(audio, 254, 64).abs().float()[:, :64]
    wanted = (sampled(magnitude, 40, warp=True) + 1e-10).log10()
    assert found.shape == (1, 1, 40, 64)
    assert_close(found[0, 0], wanted, rtol=0, atol=1e-4)


def overlapped(spectrum: Tensor, n_fft: int, hop: int, length: int) -> Tensor:
    """Windowed frames added up, over the sum of the squared windows."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    total, weight = np.zeros((2, length + n_fft + hop))
    for number, frame in enumerate(spectrum.numpy().T):
        place = slice(number * hop, number * hop + n_fft)
        total[place] += window * np.fft.irfft(frame, n_fft)
        weight[place] += window**2
    half = n_fft // 2
    return torch.from_numpy(total / np.maximum(weight, 1e-11))[half : half + length]


def test_masks_are_cut_at_a_half_of_linear_frequency() -> None:
    audio, mask = torch.randn(4096, dtype=torch.float64), torch.rand(1, 1, 40, 64)
    masking = LogFrequencyMasking(n_fft=254, hop=64, bins=40)
    found = masking(audio[None].float(), mask=mask)
    kept = sampled(mask[0, 0], 128, warp=False) > 0.5
    assert 0.3 < kept.float().mean() < 0.7
    spectrum = fourier(audio, 254, 64) * F.pad(kept, (0, 1))
    assert_close(found[0].double(), overlapped(spectrum, 254, 64, 4096), rtol=0, atol=1e-4)
    whole = masking(audio[None].float(), mask=torch.full_like(mask, 0.51))
    assert_close(whole[0, :3900].double(), audio[:3900], rtol=0, atol=1e-4)
    assert not masking(audio[None].float(), mask=torch.full_like(mask, 0.49)).any()
    half = LogFrequencyMasking(n_fft=254, hop=64, bins=40, threshold=None)
    halved = half(audio[None].float(), mask=torch.full_like(mask, 0.5))
    assert_close(halved[0, :3900].double(), audio[:3900] / 2, rtol=0, atol=1e-4)


def test_targets_are_of_sources_above_half_of_the_mixture() -> None:
    mixture, source = torch.rand(2, 1, 1, 6, 5) * 3
    wanted = source > 0.5 * mixture
    found = dominant_mask(mixture.log10(), source.log10())
    assert torch.equal(found == 1, wanted) and 0 < wanted.sum() < 30


def test_its_size_is_that_of_the_format() -> None:
    clips = ClipFormat(seconds=65536 / 11025, rate=11025, hop=256, mels=256)
    assert clips.samples == 65536 and clips.audio_size == (256, 256)
    front_end = FrontEnd(clips, log_mel=LogFrequency())
    assert front_end.spectrogram(torch.zeros(1, clips.samples)).shape == (1, 1, 256, 256)


@pytest.mark.usefixtures("unchecked")
def test_misfits_are_named() -> None:
    with pytest.raises(ValueError, match="rows must be 2 or more, got 1"):
        warp_matrix(1, out=4)
    with pytest.raises(ValueError, match="hop must be half a window of 100 at most, got 51"):
        LogFrequencyMasking(n_fft=100, hop=51)
    with pytest.raises(ValueError, match=r"mask must have shape \(b=1, c=1, m=256, t=8\)"):
        LogFrequencyMasking()(torch.zeros(1, 2048), mask=torch.zeros(1, 1, 128, 8))
    with pytest.raises(ValueError, match="audio must be longer than 511 samples, got 400"):
        LogFrequency()(torch.zeros(1, 400))


def test_it_compiles(unchecked: None) -> None:
    model, audio = LogFrequency(n_fft=62, hop=16, bins=8), torch.randn(2, 256)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    assert torch.equal(compiled(audio), model(audio))

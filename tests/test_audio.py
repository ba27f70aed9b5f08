import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from slow import assert_same
from torch import Tensor
from torch.testing import assert_close

from avblocks.audio import LogMel, MelMasking, pad_repeat
from avblocks.log_frequency import LogFrequency, LogFrequencyMasking


@given(st.integers(1, 7), st.integers(1, 40))
def test_pad_repeat_is_a_reflection_of_period_two_lengths(s: int, length: int) -> None:
    audio = torch.randn(2, s)
    out = pad_repeat(audio, length)
    assert out.shape == (2, length)
    for i in range(length):
        place = i % (2 * s)
        assert torch.equal(out[:, i], audio[:, min(place, 2 * s - 1 - place)])


@pytest.mark.usefixtures("unchecked")
def test_pad_repeat_refuses_nothing() -> None:
    with pytest.raises(ValueError, match="audio must be at least one sample"):
        pad_repeat(torch.zeros(2, 0), 4)
    with pytest.raises(ValueError, match="length must be a positive"):
        pad_repeat(torch.zeros(2, 3), 0)


def hertz(mel: Tensor) -> Tensor:
    return 700 * (10 ** (mel / 2595) - 1)


def slow_log_mel(audio: Tensor, *, rate: int, n_fft: int, hop: int, n_mels: int) -> Tensor:
    """Frames cut by hand, their spectrum, and triangles even on the HTK mel scale."""
    half = n_fft // 2
    padded = torch.cat((audio[1 : half + 1].flip(0), audio, audio[-half - 1 : -1].flip(0)))
    window = 0.5 - 0.5 * (2 * math.pi * torch.arange(n_fft).double() / n_fft).cos()
    frames = [padded[i * hop : i * hop + n_fft] * window for i in range(len(audio) // hop)]
    power = torch.fft.rfft(torch.stack(frames)).abs().square()
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = hertz(torch.linspace(0, top, n_mels + 2, dtype=torch.float64))
    at = torch.linspace(0, rate // 2, half + 1, dtype=torch.float64)[:, None]
    up = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    return (power @ torch.minimum(up, down).clamp(min=0) + 1e-7).log10().T


@pytest.mark.parametrize(
    ("sizes", "seconds"),
    [
        ({"rate": 16000, "n_fft": 800, "hop": 250, "n_mels": 128}, 1.0),
        ({"rate": 8000, "n_fft": 512, "hop": 100, "n_mels": 20}, 0.333),
    ],
)
def test_log_mel_is_the_formula(sizes: dict[str, int], seconds: float) -> None:
    audio = torch.randn(2, int(sizes["rate"] * seconds), dtype=torch.float64)
    out = LogMel(**sizes).double()(audio)
    slow = torch.stack([slow_log_mel(one, **sizes) for one in audio])
    assert_close(out.squeeze(1), slow, rtol=0, atol=1e-4)


@given(st.integers(257, 2000))
def test_frames(s: int) -> None:
    log_mel = LogMel(rate=8000, n_fft=512, hop=100, n_mels=20)
    assert log_mel(torch.randn(1, s)).shape == (1, 1, 20, s // 100)


def test_paper_sizes_and_silence() -> None:
    out = LogMel()(torch.zeros(2, 48000))
    assert out.shape == (2, 1, 128, 192)
    assert_close(out, torch.full_like(out, -7.0))


def test_tenfold_amplitude_adds_two() -> None:
    audio, log_mel = torch.randn(1, 8000), LogMel()
    assert_close(log_mel(10 * audio), log_mel(audio) + 2, rtol=0, atol=1e-3)


def test_autocast_leaves_the_front_end_in_float32() -> None:
    audio, log_mel = torch.randn(1, 8000), LogMel()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = log_mel(audio)
    assert_close(out, log_mel(audio), rtol=0, atol=1e-6)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(1, 400), (1, 0), (8000,), (1, 1, 8000)])
def test_log_mel_refuses(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="audio must"):
        LogMel()(torch.zeros(shape))


def slow_masking(masking: MelMasking, audio: Tensor, mask: Tensor, *, rate: int) -> Tensor:
    """One waveform: frames cut by hand, filtered, and added up over the sum of squared windows."""
    n_fft, hop, n_mels = masking.n_fft, masking.hop, mask.shape[0]
    half, s = n_fft // 2, len(audio)
    padded = torch.cat((audio[1 : half + 1].flip(0), audio, audio[-half - 1 : -1].flip(0)))
    window = 0.5 - 0.5 * (2 * math.pi * torch.arange(n_fft).double() / n_fft).cos()
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = hertz(torch.linspace(0, top, n_mels + 2, dtype=torch.float64))
    at = torch.linspace(0, rate // 2, half + 1, dtype=torch.float64)[:, None]
    up = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    share = torch.minimum(up, down).clamp(min=0) @ mask
    out, weight = (torch.zeros(s + 2 * n_fft, dtype=torch.float64) for _ in range(2))
    for frame in range(s // hop + 1):
        place = slice(frame * hop, frame * hop + n_fft)
        weight[place] += window.square()
        if frame < s // hop:
            spectrum = torch.fft.rfft(padded[place] * window) * share[:, frame]
            out[place] += torch.fft.irfft(spectrum, n=n_fft) * window
    return out[half : half + s] / weight[half : half + s]


@given(st.integers(1, 2), st.integers(160, 400))
def test_masking_is_the_formula(b: int, s: int) -> None:
    masking = MelMasking(rate=8000, n_fft=128, hop=40, n_mels=12).double()
    audio = torch.randn(b, s, dtype=torch.float64, requires_grad=True)
    mask = torch.rand(b, 1, 12, s // 40, dtype=torch.float64, requires_grad=True)
    rows = zip(audio, mask.squeeze(1), strict=True)
    slow = torch.stack([slow_masking(masking, *row, rate=8000) for row in rows])
    assert_same(masking(audio, mask=mask), slow, [audio, mask], atol=1e-4)


def test_masking_is_linear_and_an_open_mask_lets_all_but_the_edges_pass() -> None:
    masking = MelMasking()
    time = torch.arange(16000) / 16000
    audio = torch.stack([(2 * math.pi * pitch * time).sin() for pitch in (440, 3000)])
    masks = torch.rand(2, 2, 1, 128, 64)
    both = masking(audio, mask=masks[0]) + masking(audio, mask=masks[1])
    assert_close(masking(audio, mask=masks.sum(dim=0)), both, rtol=0, atol=1e-5)
    passed = masking(audio, mask=torch.ones(2, 1, 128, 64))
    assert_close(passed[:, 800:-800], audio[:, 800:-800], rtol=0, atol=2e-3)
    assert masking(audio, mask=torch.zeros(2, 1, 128, 64)).abs().max() == 0


def test_masks_keep_what_log_mel_shows() -> None:
    """Of two tones far apart, each under the mask of its own half of the mel bins."""
    time = torch.arange(16000) / 16000
    tones = torch.stack([(2 * math.pi * pitch * time).sin() for pitch in (300, 5000)])
    low = (torch.arange(128) < 64).float().view(1, 1, 128, 1).expand(1, 1, 128, 64)
    mixture = tones.sum(dim=0, keepdim=True).expand(2, -1)
    parts = MelMasking()(mixture, mask=torch.cat((low, 1 - low)))
    assert_close(parts[:, 800:-800], tones[:, 800:-800], rtol=0, atol=0.01)


def test_a_threshold_keeps_bins_whole_or_removes_them() -> None:
    audio, mask = torch.randn(2, 2000), torch.rand(2, 1, 16, 8)
    found = MelMasking(n_mels=16, threshold=0.3)(audio, mask=mask)
    assert_close(found, MelMasking(n_mels=16)(audio, mask=(mask > 0.3).float()))


def test_masking_under_autocast_takes_a_mask_of_half_precision() -> None:
    masking, audio = MelMasking(n_mels=16), torch.randn(1, 2000)
    mask = torch.rand(1, 1, 16, 8).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = masking(audio, mask=mask)
    assert_close(out, masking(audio, mask=mask.float()), rtol=0, atol=1e-6)
    assert not masking.state_dict()


@pytest.mark.usefixtures("unchecked")
def test_masking_refuses() -> None:
    masking = MelMasking(n_mels=16)
    good, mask = torch.zeros(2, 2000), torch.zeros(2, 1, 16, 8)
    for audio, wrong in ((good, mask[..., 1:]), (good, mask[:1]), (good, mask[:, :, 1:])):
        with pytest.raises(ValueError, match="mask must have shape"):
            masking(audio, mask=wrong)
    for audio in (good[0], good[:, :400]):
        with pytest.raises(ValueError, match="audio must"):
            masking(audio, mask=mask)
    with pytest.raises(ValueError, match="hop must be half a window of 800 at most"):
        MelMasking(hop=401)


@pytest.mark.usefixtures("unchecked")
def test_waveforms_and_filters_that_are_too_coarse_or_too_fine() -> None:
    """As soundfile returns them (float64), as wave does (int16), and of a model that was cast."""
    audio, mask = torch.rand(1, 2000) - 0.5, torch.ones(1, 1, 16, 8)
    with pytest.raises(ValueError, match=r"audio is torch.float64 and the weights are torch.float"):
        LogMel(n_mels=16)(audio.double())
    with pytest.raises(ValueError, match=r"audio is .*float64"), torch.autocast("cpu"):
        LogMel(n_mels=16)(audio.double())
    integers = (32767 * audio).to(torch.int16)
    for call in (
        lambda: LogMel(n_mels=16)(integers),
        lambda: MelMasking(n_mels=16)(integers, mask=mask),
    ):
        with pytest.raises(ValueError, match=r"audio must be of floats in \[-1, 1\], .*int16"):
            call()
    for dtype in (torch.float16, torch.bfloat16):
        for call in (
            lambda d=dtype: LogMel(n_mels=16).to(d)(audio),
            lambda d=dtype: LogMel(n_mels=16).to(d)(audio.to(d)),
            lambda d=dtype: MelMasking(n_mels=16).to(d)(audio, mask=mask),
            lambda d=dtype: LogFrequency(bins=16).to(d)(audio),
            lambda d=dtype: LogFrequencyMasking(bins=16).to(d)(audio, mask=mask),
        ):
            with pytest.raises(ValueError, match=rf"was cast to {dtype}: .*torch.autocast"):
                call()
    half = audio.bfloat16()
    assert torch.equal(LogMel(n_mels=16)(half), LogMel(n_mels=16)(half.float()))

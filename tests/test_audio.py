import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from avblocks.audio import LogMel, pad_repeat


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

"""Waveforms and spectrograms: padding and the log-mel front end."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchaudio.transforms import MelSpectrogram

from avblocks.shapes import expect, require, require_positive


def pad_repeat(audio: Float[Tensor, "*b s"], length: int) -> Float[Tensor, "*b length"]:
    """Lengthen a waveform by appending its mirror image until it is long enough, then cut it.

    Args:
        audio: waveform of at least one sample.
        length: samples wanted.

    Raises:
        ValueError: if the waveform is empty or ``length`` not positive.

    Example:
        >>> pad_repeat(torch.tensor([1.0, 2.0]), 7)
        tensor([1., 2., 2., 1., 1., 2., 2.])
    """
    require_positive(length=length)
    require(audio.shape[-1] > 0, "audio", audio.shape[-1], "at least one sample long")
    while audio.shape[-1] < length:
        audio = torch.cat((audio, audio.flip(-1)), dim=-1)
    return audio[..., :length]


class LogMel(nn.Module):
    """Log-mel spectrogram: power, Slaney-free HTK mels, ``log10(x + 1e-7)``, last frame dropped.

    The paper's: 16 kHz, windows of 50 ms every 1/64 s, 128 mels; 3 s become (1, 128, 192).

    Args:
        rate: samples a second.
        n_fft: samples a window.
        hop: samples between windows.
        n_mels: mel bins.

    Raises:
        ValueError: if a number is not positive.

    Example:
        >>> LogMel()(torch.zeros(2, 48000)).shape
        torch.Size([2, 1, 128, 192])
    """

    def __init__(
        self, *, rate: int = 16000, n_fft: int = 800, hop: int = 250, n_mels: int = 128
    ) -> None:
        super().__init__()
        require_positive(rate=rate, n_fft=n_fft, hop=hop, n_mels=n_mels)
        self.hop = hop
        self.mel = MelSpectrogram(rate, n_fft=n_fft, hop_length=hop, n_mels=n_mels, power=2.0)

    def forward(self, audio: Float[Tensor, "b s"]) -> Float[Tensor, "b 1 m t"]:
        """Spectrogram of a batch, ``t = s // hop`` frames.

        Raises:
            ValueError: if the waveforms are shorter than half a window or not (b, s).
        """
        expect("audio", audio, "b s")
        half = self.mel.n_fft // 2
        require(audio.shape[1] > half, "audio", audio.shape[1], f"longer than {half} samples")
        # Powers overflow float16 and lose the quiet bins in bfloat16.
        with torch.autocast(audio.device.type, enabled=False):
            mel = self.mel(audio)[..., : audio.shape[1] // self.hop]
            return (mel + 1e-7).log10().unsqueeze(1)

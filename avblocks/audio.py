"""Waveforms and spectrograms: padding, log-mel spectrograms, and masking of waveforms."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torchaudio.functional import melscale_fbanks
from torchaudio.transforms import MelSpectrogram

from avblocks.constants import HasConstants, in_memory
from avblocks.shapes import as_dtype, expect, require, require_floats, require_positive

"""The waveforms that functions take."""


def pad_repeat(audio: Float[Tensor, "*b s"], length: int) -> Float[Tensor, "*b length"]:
    """Pad a waveform with its mirror image, repeatedly, or cut it, to a length.

    Args:
        audio: waveform of at least one sample.
        length: number of samples of the result.

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


def check_waveform(
    audio: Float[Tensor, "b s"], *, n_fft: int, constants: Float[Tensor, "*_"] | None = None
) -> None:
    """Raise a ``ValueError`` unless there is a batch of waveforms longer than half a window.

    They must be of floats, and ``constants``, such as a window, too fine to be rounded ones: a
    model that was cast to half precision has other filters.
    """
    expect(audio=(audio, "b s"))
    require_floats(audio=audio)
    if constants is not None and torch.finfo(constants.dtype).bits < 32:
        raise ValueError(
            f"spectrograms are computed in float32, and the model was cast to {constants.dtype}: "
            "build its front end again, cast its outputs instead, or use torch.autocast"
        )
    half = n_fft // 2
    require(audio.shape[1] > half, "audio", audio.shape[1], "longer than {} samples", half)


def require_threshold(threshold: float | None) -> None:
    """Raise a ``ValueError`` unless the threshold of a mask is a finite number or None."""
    fits = threshold is None or (isinstance(threshold, int | float) and math.isfinite(threshold))
    require(fits, "threshold", threshold, "a finite number or None")


class LogMel(HasConstants):
    """Log-mel spectrogram: power, HTK mels without Slaney norm, ``log10(x + 1e-7)``.

    The last frame is dropped. The defaults are those of the paper: 16 kHz, windows of 50 ms every
    1/64 s, 128 mels; 3 s become (1, 128, 192).

    Args:
        rate: samples per second.
        n_fft: samples per window.
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
        self.rate, self.n_fft, self.n_mels = rate, n_fft, n_mels
        self.mel = self._mel()

    def _mel(self) -> MelSpectrogram:
        with in_memory():
            mel = MelSpectrogram(
                self.rate, n_fft=self.n_fft, hop_length=self.hop, n_mels=self.n_mels, power=2.0
            )
        window: Any = mel.spectrogram.window
        mel.spectrogram.window = window.clone()  # a view, which safetensors do not save
        return mel

    def reset_parameters(self) -> None:
        """Compute window and filters, for a module that was built on the meta device."""
        if next(self.mel.buffers()).is_meta:
            self.mel = self._mel()
        for own, value in zip(self.mel.buffers(), self._mel().buffers(), strict=True):
            own.copy_(value)

    def forward(self, audio: Float[Tensor, "b s"]) -> Float[Tensor, "b 1 m t"]:
        """Compute the spectrograms of a batch, of ``t = s // hop`` frames.

        Raises:
            ValueError: if the waveforms are shorter than half a window, not (b, s), or not of
                floats that the data type of the module can hold, or the module was cast to half
                precision.
        """
        window: Any = self.mel.spectrogram.window
        check_waveform(audio, n_fft=self.n_fft, constants=window)
        # Powers overflow float16 and lose the quiet bins in bfloat16.
        with torch.autocast(audio.device.type, enabled=False):
            mel = self.mel(as_dtype(window.dtype, audio=audio))[..., : audio.shape[1] // self.hop]
            return (mel + 1e-7).log10().unsqueeze(1)


def filtered(
    audio: Float[Tensor, "b s"],
    share: Float[Tensor, "b rows t"],
    *,
    window: Float[Tensor, " n_fft"],
    hop: int,
) -> Float[Tensor, "b s"]:
    """Multiply the spectra of waveforms by a real share, and return to waveforms.

    Args:
        audio: waveforms.
        share: factor of each frequency in each frame but the last one, which is set to zero.
        window: window of the Fourier transform.
        hop: samples between windows.

    Raises:
        ValueError: if the waveforms are of another data type than the window, and would be rounded.
    """
    audio = as_dtype(window.dtype, audio=audio)
    fourier = {"n_fft": len(window), "hop_length": hop, "window": window}
    spectrum = torch.stft(audio, return_complex=True, **fourier)
    return torch.istft(spectrum * F.pad(share, (0, 1)), length=audio.shape[1], **fourier)


class MelMasking(HasConstants):
    """Apply a mask over mel bins to a waveform.

    The amplitude of linear frequency f is multiplied by ``sum_m B(f, m) mask(m)``, with the
    triangular mel filters B; the phase is kept. The last frame, which `LogMel` drops, is set to
    zero. The arguments are those of `LogMel` (reference: `eval_avsrcsep.py`).

    Args:
        rate: samples per second.
        n_fft: samples per window.
        hop: samples between windows, at most half a window.
        n_mels: mel bins.
        threshold: value that the mask exceeds in bins of the source, which are then kept whole, and
            others removed; by default the mask itself is the factor.

    Raises:
        ValueError: if a number is not positive, ``hop`` too long, or the threshold not finite.

    Example:
        >>> MelMasking()(torch.zeros(2, 48000), mask=torch.ones(2, 1, 128, 192)).shape
        torch.Size([2, 48000])
    """

    filters: Tensor
    window: Tensor

    def __init__(
        self,
        *,
        rate: int = 16000,
        n_fft: int = 800,
        hop: int = 250,
        n_mels: int = 128,
        threshold: float | None = None,
    ) -> None:
        super().__init__()
        require_positive(rate=rate, n_fft=n_fft, hop=hop, n_mels=n_mels)
        require(2 * hop <= n_fft, "hop", hop, f"half a window of {n_fft} at most")
        require_threshold(threshold)
        self.rate, self.n_fft, self.hop, self.n_mels = rate, n_fft, hop, n_mels
        self.threshold = threshold
        self.reset_parameters()

    def constants(self) -> dict[str, Tensor]:
        """Mel filters and window."""
        rows, top = self.n_fft // 2 + 1, self.rate // 2
        filters = melscale_fbanks(rows, 0.0, top, self.n_mels, self.rate)
        return {"filters": filters, "window": torch.hann_window(self.n_fft)}

    def forward(
        self, audio: Float[Tensor, "b s"], *, mask: Float[Tensor, "b 1 m t"]
    ) -> Float[Tensor, "b s"]:
        """Mask waveforms; differentiable in both arguments, without a threshold.

        Args:
            audio: the mixture.
            mask: value of each bin, such as the sigmoid of logits.

        Raises:
            ValueError: if the shape of the mask differs from that of the spectrogram.
        """
        check_waveform(audio, n_fft=self.n_fft, constants=self.window)
        m, t = self.filters.shape[1], audio.shape[1] // self.hop
        expect(mask=(mask, "b c m t"), b=audio.shape[0], c=1, m=m, t=t)
        with torch.autocast(audio.device.type, enabled=False):
            kept = mask if self.threshold is None else mask > self.threshold
            share = self.filters @ kept.squeeze(1).to(self.filters.dtype)
            return filtered(audio, share, window=self.window, hop=self.hop)

"""Spectrograms over log frequency, and masks of them, as in the Sound of Pixels.

Source: Zhao et al., "The sound of pixels" (ECCV 2018); ``dataset/base.py``, ``main.py`` and
``utils.py`` of github.com/hangzhaomit/Sound-of-Pixels, with 11,025 Hz, windows of 1022 samples
every 256, and 256 bins. Its grid is that of ``grid_sample`` with aligned corners, as PyTorch
computed it when the code was written.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.audio import check_waveform, filtered, require_threshold
from avblocks.constants import HasConstants
from avblocks.shapes import as_dtype, expect, require, require_positive

_BASE = 21.0  # the first bins are 21 times as narrow as the last ones


def warp_matrix(rows: int, *, out: int, inverse: bool = False) -> Float[Tensor, "out rows"]:
    r"""Linear interpolation of rows over linear frequency at log-spaced places, or back.

    With frequencies from -1 to 1, bin v is taken from :math:`(21^{(v + 1) / 2} - 11) / 10`, and
    back from :math:`2 \log_{21}(10 v + 11) - 1`.

    Args:
        rows: number of rows, 2 or more.
        out: number of rows of the result, 2 or more.
        inverse: from log frequency to linear frequency.

    Raises:
        ValueError: if there are fewer than two rows.

    Example:
        >>> warp_matrix(3, out=3) @ torch.tensor([[0.0], [1.0], [2.0]])
        tensor([[0.0000],
                [0.3583],
                [2.0000]])
    """
    for name, value in (("rows", rows), ("out", out)):
        require(value > 1, name, value, "2 or more")
    v = torch.linspace(-1, 1, out, dtype=torch.float64)
    if inverse:
        places = 2 * torch.log(10 * v + 11) / math.log(_BASE) - 1
    else:
        places = (_BASE ** ((v + 1) / 2) - 11) / 10
    places = ((places + 1) / 2 * (rows - 1)).clamp(0, rows - 1)
    lower = places.floor().clamp(max=rows - 2)
    matrix = torch.zeros(out, rows, dtype=torch.float64)
    index, share = lower.long()[:, None], (places - lower)[:, None]
    return matrix.scatter(1, index, 1 - share).scatter_add(1, index + 1, share).float()


class LogFrequency(HasConstants):
    """Magnitude spectrogram over log frequency, ``log10(x + 1e-10)``; the last frame is dropped.

    Args:
        n_fft: samples per window.
        hop: samples between windows.
        bins: bins over log frequency.

    Raises:
        ValueError: if a number is not positive.

    Example:
        >>> LogFrequency()(torch.zeros(2, 65536)).shape
        torch.Size([2, 1, 256, 256])
    """

    window: Tensor
    warp: Tensor

    def __init__(self, *, n_fft: int = 1022, hop: int = 256, bins: int = 256) -> None:
        super().__init__()
        require_positive(n_fft=n_fft, hop=hop, bins=bins)
        self.n_fft, self.hop, self.bins = n_fft, hop, bins
        self.reset_parameters()

    def constants(self) -> dict[str, Tensor]:
        """Window, and matrix to log frequency."""
        warp = warp_matrix(self.n_fft // 2 + 1, out=self.bins)
        return {"window": torch.hann_window(self.n_fft), "warp": warp}

    def forward(self, audio: Float[Tensor, "b s"]) -> Float[Tensor, "b 1 m t"]:
        """Compute the spectrograms of a batch, of ``t = s // hop`` frames.

        Raises:
            ValueError: if the waveforms are shorter than half a window, not (b, s), or not of
                floats that the data type of the module can hold.
        """
        check_waveform(audio, n_fft=self.n_fft, constants=self.window)
        with torch.autocast(audio.device.type, enabled=False):
            audio = as_dtype(self.window.dtype, audio=audio)
            spectrum = torch.stft(
                audio, self.n_fft, self.hop, window=self.window, return_complex=True
            )
            magnitude = spectrum[..., : audio.shape[1] // self.hop].abs()
            return (self.warp @ magnitude + 1e-10).log10().unsqueeze(1)


class LogFrequencyMasking(HasConstants):
    """Apply a mask over log frequency to a waveform, after a threshold.

    The mask is interpolated back to linear frequency, and bins above the threshold are kept whole;
    the phase is that of the mixture. The last frame, which `LogFrequency` drops, is set to zero.

    Args:
        n_fft: samples per window.
        hop: samples between windows, at most half a window.
        bins: bins over log frequency.
        threshold: value that the mask exceeds in bins of the source; ``None`` to multiply by the
            mask itself.

    Raises:
        ValueError: if a number is not positive, ``hop`` too long, or the threshold not finite.

    Example:
        >>> mask = torch.ones(2, 1, 256, 256)
        >>> LogFrequencyMasking()(torch.zeros(2, 65536), mask=mask).shape
        torch.Size([2, 65536])
    """

    window: Tensor
    unwarp: Tensor

    def __init__(
        self,
        *,
        n_fft: int = 1022,
        hop: int = 256,
        bins: int = 256,
        threshold: float | None = 0.5,
    ) -> None:
        super().__init__()
        require_positive(n_fft=n_fft, hop=hop, bins=bins)
        require(2 * hop <= n_fft, "hop", hop, f"half a window of {n_fft} at most")
        require_threshold(threshold)
        self.n_fft, self.hop, self.bins, self.threshold = n_fft, hop, bins, threshold
        self.reset_parameters()

    def constants(self) -> dict[str, Tensor]:
        """Window, and matrix back to linear frequency."""
        unwarp = warp_matrix(self.bins, out=self.n_fft // 2 + 1, inverse=True)
        return {"window": torch.hann_window(self.n_fft), "unwarp": unwarp}

    def forward(
        self, audio: Float[Tensor, "b s"], *, mask: Float[Tensor, "b 1 m t"]
    ) -> Float[Tensor, "b s"]:
        """Mask waveforms.

        Args:
            audio: the mixture.
            mask: values from 0 to 1, such as the sigmoid of logits.

        Raises:
            ValueError: if the shape of the mask differs from that of the spectrogram.
        """
        check_waveform(audio, n_fft=self.n_fft, constants=self.window)
        m, t = self.unwarp.shape[1], audio.shape[1] // self.hop
        expect(mask=(mask, "b c m t"), b=audio.shape[0], c=1, m=m, t=t)
        with torch.autocast(audio.device.type, enabled=False):
            share = self.unwarp @ mask.squeeze(1).to(self.unwarp.dtype)
            if self.threshold is not None:
                share = (share > self.threshold).to(share.dtype)
            return filtered(audio, share, window=self.window, hop=self.hop)

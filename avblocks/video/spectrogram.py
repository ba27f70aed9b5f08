"""Spectrograms of long audio that arrives in pieces."""

from math import ceil

import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.audio import LogMel, pad_repeat
from avblocks.data import ClipFormat
from avblocks.shapes import require

_COLUMNS = 1000  # of a spectrogram, at most
_BLOCK = 64  # frames that are computed at once, if a column is no longer


class SpectrogramStrip:
    """Log-mel spectrograms of several signals, at most 1000 columns wide however long they are.

    For long signals, each column is the mean power of ``pool`` frames.

    >>> strip = SpectrogramStrip(ClipFormat(mels=64), num_samples=160_000)
    >>> for piece in torch.randn(2, 160_000).split(50_000, dim=1):
    ...     strip.update(piece)
    >>> strip.compute().shape
    torch.Size([2, 64, 640])
    """

    def __init__(self, format: ClipFormat, *, num_samples: int) -> None:
        self.log_mel = LogMel(**format.mel_settings)
        self.pool = max(ceil(num_samples / self.log_mel.hop / _COLUMNS), 1)
        self.block = max(_BLOCK // self.pool, 1) * self.pool * self.log_mel.hop
        self.buffer: Float[Tensor, "c s"] | None = None
        self.columns: list[Float[Tensor, "c m t"]] = []

    def update(self, audio: Float[Tensor, "c s"]) -> None:
        """Add the next samples of each signal."""
        buffer = audio if self.buffer is None else torch.cat((self.buffer, audio), dim=1)
        while buffer.shape[1] >= self.block:
            self.columns.append(self._pool(buffer[:, : self.block]))
            buffer = buffer[:, self.block :]
        self.buffer = buffer

    def compute(self) -> Float[Tensor, "c m t"]:
        """Return the log-mel powers of all samples so far.

        Raises:
            ValueError: If there are none.
        """
        buffer, columns = self.buffer, self.columns
        require(buffer is not None, "audio", 0, "at least one sample before compute")
        if buffer is not None and buffer.shape[1]:
            column = self.pool * self.log_mel.hop
            half = self.log_mel.mel.n_fft // 2 + 1
            length = max(ceil(buffer.shape[1] / column) * column, half)
            columns = [*columns, self._pool(pad_repeat(buffer, length))]
        return torch.cat(columns, dim=2)

    def _pool(self, audio: Float[Tensor, "c s"]) -> Float[Tensor, "c m t"]:
        power = 10 ** self.log_mel(audio)[:, 0]
        count = power.shape[2] // self.pool
        pooled = power[..., : count * self.pool].unflatten(2, (count, self.pool)).mean(dim=3)
        return pooled.log10()

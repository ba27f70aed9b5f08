"""`SilenceAndNoise`: audio without a source, as negatives of a contrastive loss."""

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.data import FrontEnd, white_noise

_KEPT = 64  # signals that a frozen encoder encodes once


class SilenceAndNoise:
    """Audio tokens of silence and of white noise, a quarter and three quarters.

    Args:
        count: Number of signals.
        kept: Whether the encoder is frozen, so that 64 signals are encoded once and drawn from.
    """

    def __init__(self, count: int, *, kept: bool) -> None:
        self.count, self.kept = count, kept
        self.silent = max(count // 4, 1)
        self.bank: Float[Tensor, "n n_a d"] | None = None
        self.encoded: list[tuple[int, int]] = []

    def tokens(
        self, encoder: nn.Module, front_end: FrontEnd, *, generator: torch.Generator
    ) -> Float[Tensor, "m n_a d"]:
        """Draw the signals, and encode them."""
        if not self.kept:
            first = int(torch.randint(2**62, (), generator=generator))
            seeds = range(first, first + self.count)
            return _encode(encoder, front_end, seeds, silent=self.silent)
        if self.bank is None or self.encoded != _versions(encoder):
            self.bank, self.encoded = _frozen(encoder, front_end), _versions(encoder)
        noise = torch.randint(1, _KEPT, (self.count - self.silent,), generator=generator)
        return self.bank[torch.cat((noise.new_zeros(self.silent), noise))]


def _versions(encoder: nn.Module) -> list[tuple[int, int]]:
    """Return what changes whenever weights do, as when a file is loaded."""
    return [(p.data_ptr(), 0 if p.is_inference() else p._version) for p in encoder.parameters()]


@torch.no_grad()
def _frozen(encoder: nn.Module, front_end: FrontEnd) -> Float[Tensor, "n n_a d"]:
    """Encode one signal of silence and the noise, without drop path."""
    training = encoder.training
    try:
        return _encode(encoder.eval(), front_end, range(_KEPT), silent=1)
    finally:
        encoder.train(training)


def _encode(
    encoder: nn.Module, front_end: FrontEnd, seeds: Sequence[int], *, silent: int
) -> Float[Tensor, "n n_a d"]:
    """Encode white noise; the first signals are silent."""
    waves = white_noise(seeds, samples=front_end.format.samples)
    waves[:silent] = 0
    spectrogram = front_end.spectrogram(waves.to(next(encoder.parameters()).device))
    return cast(Tensor, encoder(image=None, audio=spectrogram).audio)

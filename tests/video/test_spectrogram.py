"""Spectrograms of long audio."""

import pytest
import torch

from avblocks.data import ClipFormat, FrontEnd
from avblocks.video import SpectrogramStrip


@pytest.mark.parametrize("pieces", [[16000], [5000, 11000], [300], [9000] * 40])
def test_spectrograms_of_pieces(pieces: list[int], format: ClipFormat) -> None:
    audio, strip = torch.randn(2, sum(pieces)), SpectrogramStrip(format, num_samples=sum(pieces))
    for piece in audio.split(pieces, dim=1):
        strip.update(piece)
    drawn, hop = strip.compute(), format.hop
    assert drawn.shape == (2, format.mels, -(-sum(pieces) // (hop * strip.pool)))
    assert strip.pool == max(-(-sum(pieces) // (1000 * hop)), 1)
    if sum(pieces) == 16000:
        expected = FrontEnd(format).log_mel(audio)[:, 0]
        assert torch.allclose(drawn, expected, atol=1e-4)
    assert torch.equal(strip.compute(), drawn)


def test_no_audio_is_refused(format: ClipFormat) -> None:
    with pytest.raises(ValueError, match="audio"):
        SpectrogramStrip(format, num_samples=100).compute()

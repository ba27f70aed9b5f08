"""Ideal masks over spectrogram bins, the targets of sound separation."""

import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.shapes import expect


def ratio_mask(
    mixture: Float[Tensor, "b 1 m t"], source: Float[Tensor, "b 1 m t"]
) -> Float[Tensor, "b 1 m t"]:
    """Power of the source, divided by the sum of the powers of source and mixture.

    It is 0.5 where only the source is active; the scale of a mask does not affect SDR, SIR or SAR.

    Args:
        mixture: log10 mel power of the mixture.
        source: log10 mel power of the source.

    Returns:
        Targets in [0, 1).

    Raises:
        ValueError: if the shapes differ.

    Source: reference, `models/avsrcsep.py`.

    Example:
        >>> ratio_mask(torch.zeros(1, 1, 1, 2), torch.tensor([[[[0.0, -2.0]]]]))
        tensor([[[[0.5000, 0.0099]]]])
    """
    axes = "b c m t"
    expect(mixture=(mixture, axes), source=(source, axes))
    power = _exp10(source)
    return (power / (power + _exp10(mixture) + 1e-5)).to(source.dtype)


def binary_mask(
    mixture: Float[Tensor, "b 1 m t"], source: Float[Tensor, "b 1 m t"]
) -> Float[Tensor, "b 1 m t"]:
    """1 where the source is louder than the mixture, else 0.

    The sum of two waveforms is louder than one of them in about half of the bins, so the target is
    1 in about half of the bins that the source dominates, and a trained mask is near 0.5 there.

    Args:
        mixture: log10 mel power of the mixture.
        source: log10 mel power of the source.

    Returns:
        Targets, 0 or 1.

    Raises:
        ValueError: if the shapes differ.

    Source: reference, `models/avsrcsep.py`.

    Example:
        >>> binary_mask(torch.zeros(1, 1, 1, 2), torch.tensor([[[[0.1, -2.0]]]]))
        tensor([[[[1., 0.]]]])
    """
    axes = "b c m t"
    expect(mixture=(mixture, axes), source=(source, axes))
    return (_exp10(source) > _exp10(mixture)).to(source.dtype)


def dominant_mask(
    mixture: Float[Tensor, "b 1 m t"], source: Float[Tensor, "b 1 m t"]
) -> Float[Tensor, "b 1 m t"]:
    """1 where the source is louder than half of the mixture, else 0.

    Args:
        mixture: log10 magnitude of the mixture.
        source: log10 magnitude of the source.

    Returns:
        Targets, 0 or 1.

    Raises:
        ValueError: if the shapes differ.

    Source: Zhao et al., "The sound of pixels" (ECCV 2018), ``main.py``.

    Example:
        >>> dominant_mask(torch.zeros(1, 1, 1, 2), torch.tensor([[[[-0.1, -1.0]]]]))
        tensor([[[[1., 0.]]]])
    """
    axes = "b c m t"
    expect(mixture=(mixture, axes), source=(source, axes))
    return (_exp10(source) > 0.5 * _exp10(mixture)).to(source.dtype)


def _exp10(log: Float[Tensor, "b 1 m t"]) -> Float[Tensor, "b 1 m t"]:
    """Undo a logarithm, in float32 at least: loud bins exceed float16."""
    return 10 ** log.to(torch.promote_types(log.dtype, torch.float32))

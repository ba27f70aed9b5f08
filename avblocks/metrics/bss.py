"""BSS Eval v3: SDR, SIR and SAR of separated sources, batched, on any device, in float64.

Results equal ``mir_eval.separation.bss_eval_sources`` without its search for a permutation. The
normal equations are solved directly: truncated and iterative solvers have errors of decibels.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Complex128, Float, Float64
from torch import Tensor

from avblocks.shapes import expect, require, require_positive


@dataclass(frozen=True)
class BSSEval:
    """The three ratios of each estimate, dB.

    Attributes:
        sdr: Signal-to-distortion ratio: the source against everything else.
        sir: Signal-to-interference ratio: the source against the other sources.
        sar: Signal-to-artifacts ratio: all sources against the artifacts.
    """

    sdr: Float64[Tensor, "b k"]
    sir: Float64[Tensor, "b k"]
    sar: Float64[Tensor, "b k"]


def bss_eval(
    estimates: Float[Tensor, "b k s"], *, sources: Float[Tensor, "b k s"], taps: int = 512
) -> BSSEval:
    """Compute the power ratios of source, other sources and artifacts in each estimate.

    A source filtered by up to ``taps`` taps still counts as the source. Memory is
    ``(k * taps)^2`` numbers for each of the b mixtures.

    Args:
        estimates: estimated waveforms; the k-th is scored against the k-th source.
        sources: the true sources, none of them silent.
        taps: length of the allowed filters (BSS Eval v3: 512).

    Returns:
        The ratios; those of a perfect estimate are infinite or above 200 dB.

    Raises:
        ValueError: if the shapes differ or a source is all zeros.

    Source: Vincent, Gribonval, Fevotte, "Performance measurement in blind audio source separation"
    (IEEE TASLP 2006).

    Example:
        >>> sources = torch.randn(1, 2, 4000, generator=torch.Generator().manual_seed(0))
        >>> mixed = sources + 0.1 * sources.flip(1)
        >>> bss_eval(mixed, sources=sources).sir.round()
        tensor([[20., 21.]], dtype=torch.float64)
    """
    require_positive(taps=taps)
    b, k, s = sources.shape
    expect(sources=(sources, "b k s"), estimates=(estimates, "b k s"))
    require(bool(sources.any(dim=-1).all()), "sources", "a source of zeros", "not silent")
    size = 1 << (s + taps - 2).bit_length()
    ours, theirs = (torch.fft.rfft(x.double(), size) for x in (estimates, sources))
    alone = _explained(ours.reshape(b * k, 1, -1), theirs.reshape(b * k, 1, -1), taps=taps)
    source = alone.reshape(b, k, size)[..., : s + taps - 1]
    every = _explained(ours, theirs, taps=taps)[..., : s + taps - 1]
    whole = F.pad(estimates.double(), (0, taps - 1))
    return BSSEval(
        sdr=_decibels(source, whole - source),
        sir=_decibels(source, every - source),
        sar=_decibels(every, whole - every),
    )


def _explained(
    estimates: Complex128[Tensor, "b n f"], sources: Complex128[Tensor, "b k f"], *, taps: int
) -> Float64[Tensor, "b n s"]:
    """Least-squares approximation of each estimate by filtered sources; spectra in, waveforms out.

    With r_i the sources, e the estimate and R the correlations over lags, the filters c solve
    ``sum_{j,v} R_ij(u - v) c_j(v) = R_ie(u)`` for each source i and tap u.
    """
    between = torch.fft.irfft(sources.conj()[:, :, None] * sources[:, None])
    against = torch.fft.irfft(sources.conj()[:, :, None] * estimates[:, None])[..., :taps]
    tap = torch.arange(taps, device=between.device)
    gram = between[..., (tap[:, None] - tap) % between.shape[-1]]
    filters = _solve(
        rearrange(gram, "b i j u v -> b (i u) (j v)"), rearrange(against, "b i n u -> b (i u) n")
    )
    filters = rearrange(filters, "b (j v) n -> b n j v", v=taps)
    size = between.shape[-1]
    return torch.fft.irfft((torch.fft.rfft(filters, size) * sources[:, None]).sum(dim=2))


def _solve(
    gram: Float64[Tensor, "b u u"], against: Float64[Tensor, "b u n"]
) -> Float64[Tensor, "b u n"]:
    filters, failed = torch.linalg.solve_ex(gram, against)
    if not failed.any():
        return filters
    # One source is a filtered copy of another: all solutions are equally good.
    found = torch.linalg.lstsq(gram.cpu(), against.cpu(), driver="gelsd")
    return found.solution.to(gram.device)


def _decibels(
    part: Float64[Tensor, "b k s"], rest: Float64[Tensor, "b k s"]
) -> Float64[Tensor, "b k"]:
    return 10 * (part.square().sum(dim=-1) / rest.square().sum(dim=-1)).log10()

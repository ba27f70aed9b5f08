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


class BSSEvaluator:
    """`bss_eval` of any number of estimates of the same sources.

    The correlations of the sources are factorized once, which takes most of the time of `bss_eval`.

    Args:
        sources: the true sources, none of them silent.
        taps: length of the allowed filters (BSS Eval v3: 512).

    Raises:
        ValueError: if a source is all zeros, or ``taps`` is not positive.

    Example:
        >>> sources = torch.randn(1, 2, 4000, generator=torch.Generator().manual_seed(0))
        >>> evaluate = BSSEvaluator(sources)
        >>> [evaluate(sources + x * sources.flip(1)).sir.round() for x in (0.1, 1.0)]
        [tensor([[20., 21.]], dtype=torch.float64), tensor([[1., 1.]], dtype=torch.float64)]
    """

    def __init__(self, sources: Float[Tensor, "b k s"], *, taps: int = 512) -> None:
        require_positive(taps=taps)
        expect(sources=(sources, "b k s"))
        require(bool(sources.any(dim=-1).all()), "sources", "a source of zeros", "not silent")
        self.shape, self.taps = sources.shape, taps
        b, k, s = sources.shape
        self.size = 1 << (s + taps - 2).bit_length()
        spectra = torch.fft.rfft(sources.double(), self.size)
        self.alone = _Filters(spectra.reshape(b * k, 1, -1), taps=taps)
        self.every = _Filters(spectra, taps=taps)

    def __call__(self, estimates: Float[Tensor, "b k s"]) -> BSSEval:
        """Compute the ratios of estimates; the k-th is scored against the k-th source.

        Raises:
            ValueError: if they have another shape than the sources.
        """
        b, k, s = self.shape
        expect(estimates=(estimates, "b k s"), b=b, k=k, s=s)
        spectra = torch.fft.rfft(estimates.double(), self.size)
        alone = self.alone.explained(spectra.reshape(b * k, 1, -1))
        source = alone.reshape(b, k, -1)[..., : s + self.taps - 1]
        every = self.every.explained(spectra)[..., : s + self.taps - 1]
        whole = F.pad(estimates.double(), (0, self.taps - 1))
        return BSSEval(
            sdr=_decibels(source, whole - source),
            sir=_decibels(source, every - source),
            sar=_decibels(every, whole - every),
        )


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
    return BSSEvaluator(sources, taps=taps)(estimates)


class _Filters:
    """Least-squares filters of sources that explain an estimate.

    With r_i the sources, e the estimate and R the correlations over lags, the filters c solve
    ``sum_{j,v} R_ij(u - v) c_j(v) = R_ie(u)`` for each source i and tap u.
    """

    def __init__(self, sources: Complex128[Tensor, "b k f"], *, taps: int) -> None:
        self.sources, self.taps = sources, taps
        self.between = torch.fft.irfft(sources.conj()[:, :, None] * sources[:, None])
        self.factors, self.pivots, self.failed = torch.linalg.lu_factor_ex(self._gram())

    def explained(self, estimates: Complex128[Tensor, "b n f"]) -> Float64[Tensor, "b n s"]:
        """Approximate each estimate by filtered sources; spectra in, waveforms out."""
        against = torch.fft.irfft(self.sources.conj()[:, :, None] * estimates[:, None])
        filters = self._solve(rearrange(against[..., : self.taps], "b i n u -> b (i u) n"))
        filters = rearrange(filters, "b (j v) n -> b n j v", v=self.taps)
        spectra = torch.fft.rfft(filters, self.between.shape[-1])
        return torch.fft.irfft((spectra * self.sources[:, None]).sum(dim=2))

    def _gram(self) -> Float64[Tensor, "b u u"]:
        tap = torch.arange(self.taps, device=self.between.device)
        gram = self.between[..., (tap[:, None] - tap) % self.between.shape[-1]]
        return rearrange(gram, "b i j u v -> b (i u) (j v)")

    def _solve(self, against: Float64[Tensor, "b u n"]) -> Float64[Tensor, "b u n"]:
        if not self.failed.any():
            return torch.linalg.lu_solve(self.factors, self.pivots, against)
        # One source is a filtered copy of another: all solutions are equally good.
        found = torch.linalg.lstsq(self._gram().cpu(), against.cpu(), driver="gelsd")
        return found.solution.to(against.device)


def _decibels(
    part: Float64[Tensor, "b k s"], rest: Float64[Tensor, "b k s"]
) -> Float64[Tensor, "b k"]:
    return 10 * (part.square().sum(dim=-1) / rest.square().sum(dim=-1)).log10()

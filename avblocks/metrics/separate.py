"""Source separation metrics: SDR, SIR, SAR, SI-SDR and improvements over the mixture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from avblocks.metrics.bss import BSSEvaluator
from avblocks.shapes import expect, require, require_choice, require_floats

Dropped = Literal["estimates", "mixtures"]
SILENCE = 1e-5
"""Sum of squares below which a waveform counts as silent (reference: `eval_avsrcsep.py`)."""


@dataclass(frozen=True)
class SeparationScores:
    """Scores of each source in dB, NaN if undefined, and which waveforms are silent.

    Mixtures with a silent source, and silent estimates, have no scores; `summary` counts both.

    Attributes:
        sdr: Signal-to-distortion ratio: the source against everything else.
        sir: Signal-to-interference ratio: the source against the other sources.
        sar: Signal-to-artifacts ratio: all sources against the artifacts.
        si_sdr: Scale-invariant SDR, which allows only a scale factor.
        sdr_improvement_db: ``sdr`` minus the SDR of the mixture.
        si_sdr_improvement_db: ``si_sdr`` minus the SI-SDR of the mixture.
        silent_source: Which sources are silent.
        silent_estimate: Which estimates are silent.
    """

    sdr: Float64[Tensor, "b k"]
    sir: Float64[Tensor, "b k"]
    sar: Float64[Tensor, "b k"]
    si_sdr: Float64[Tensor, "b k"]
    sdr_improvement_db: Float64[Tensor, "b k"]
    si_sdr_improvement_db: Float64[Tensor, "b k"]
    silent_source: Bool[Tensor, "b k"]
    silent_estimate: Bool[Tensor, "b k"]

    def summary(self) -> Mapping[str, float | int]:
        """Average each score over the scored sources, and count the sources of each kind.

        Returns:
            The six means in dB, ``scored``, ``not_scored``, ``silent_sources`` and
            ``silent_estimates``. Estimates of silent sources are not scored.
        """
        scored = ~self.sdr.isnan()
        means = {
            field.name: getattr(self, field.name)[scored].mean().item()
            for field in fields(self)
            if not field.name.startswith("silent")
        }
        return means | {
            "scored": int(scored.sum()),
            "not_scored": int((~scored).sum()),
            "silent_sources": int(self.silent_source.sum()),
            "silent_estimates": int(self.silent_estimate.sum()),
        }


def si_sdr(
    estimates: Float[Tensor, "*shape s"], *, sources: Float[Tensor, "*shape s"]
) -> Float64[Tensor, "*shape"]:
    r"""Scale-invariant signal-to-distortion ratio, dB.

    .. math::

       10 \log_{10} \frac{\lVert \alpha s \rVert^2}{\lVert \alpha s - \hat{s} \rVert^2}, \qquad
       \alpha = \frac{\hat{s} \cdot s}{\lVert s \rVert^2}

    Source: Le Roux et al., "SDR -- half-baked or well done?" (ICASSP 2019).

    Args:
        estimates: Separated waveforms.
        sources: The sources.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> source = torch.tensor([3.0, -0.5, 2.0, 7.0])
        >>> si_sdr(torch.tensor([2.5, 0.0, 2.0, 8.0]), sources=source)
        tensor(18.4030, dtype=torch.float64)
    """
    fits = estimates.shape == sources.shape
    require(fits, "estimates", tuple(estimates.shape), "of shape {}", tuple(sources.shape))
    estimates, sources = estimates.double(), sources.double()
    tiny = torch.finfo(torch.float64).eps
    dot, power = ((x * sources).sum(dim=-1, keepdim=True) + tiny for x in (estimates, sources))
    target = dot / power * sources
    signal, noise = (x.square().sum(dim=-1) + tiny for x in (target, target - estimates))
    return 10 * torch.log10(signal / noise)


class SeparationEvaluator:
    """`separation_scores` of any number of estimates of the same sources.

    What depends on sources and mixture alone, most of the work, is computed once.

    Args:
        sources: the true sources.
        mixture: the waveform that is separated.
        silence: sum of squares below which a waveform counts as silent.
        dropped: what has no scores besides mixtures with a silent source: ``"estimates"``, only the
            silent estimates; or ``"mixtures"``, all sources of a mixture with a silent estimate, as
            in DeepAVFusion and in the Sound of Pixels. ``silence`` then bounds the sum of
            magnitudes, as in the latter.

    Raises:
        ValueError: if the shapes differ, or ``dropped`` is unknown.

    Example:
        >>> sources = torch.randn(1, 2, 4000, generator=torch.Generator().manual_seed(0))
        >>> evaluate = SeparationEvaluator(sources=sources, mixture=sources.sum(dim=1))
        >>> evaluate(sources + 0.1 * sources.flip(1)).sdr_improvement_db.round()
        tensor([[20., 20.]], dtype=torch.float64)
    """

    def __init__(
        self,
        *,
        sources: Float[Tensor, "b k s"],
        mixture: Float[Tensor, "b s"],
        silence: float = SILENCE,
        dropped: Dropped = "estimates",
    ) -> None:
        expect(sources=(sources, "b k s"), mixture=(mixture, "b s"))
        require_floats(sources=sources, mixture=mixture)
        require_choice(*get_args(Dropped), dropped=dropped)
        self.shape, self.silence, self.dropped = sources.shape, silence, dropped
        self.silent = self._silent(sources)
        self.heard = ~self.silent.any(dim=1)
        if self.heard.any():
            self.sources = sources[self.heard]
            self.bss = BSSEvaluator(self.sources)
            self.before = self._ratios(mixture[self.heard, None].expand_as(self.sources))

    def __call__(self, estimates: Float[Tensor, "b k s"]) -> SeparationScores:
        """Score the separated waveform of each source.

        Raises:
            ValueError: if the shape is not that of the sources.
        """
        b, k, s = self.shape
        expect(estimates=(estimates, "b k s"), b=b, k=k, s=s)
        require_floats(estimates=estimates)
        silent = self._silent(estimates)
        scores = estimates.new_full((6, b, k), torch.nan, dtype=torch.float64)
        if self.heard.any():
            after = self._ratios(estimates[self.heard])
            scores[:, self.heard] = torch.cat((after, after[[0, 3]] - self.before[[0, 3]]))
        lost = silent.any(dim=1, keepdim=True) if self.dropped == "mixtures" else silent
        scores = scores.masked_fill(lost, torch.nan)
        return SeparationScores(*scores, silent_source=self.silent, silent_estimate=silent)

    def _silent(self, waves: Float[Tensor, "b k s"]) -> Bool[Tensor, "b k"]:
        if self.dropped == "estimates":
            return waves.square().sum(dim=-1) < self.silence
        return waves.abs().sum(dim=-1) <= self.silence

    def _ratios(self, estimates: Float[Tensor, "b k s"]) -> Float64[Tensor, "4 b k"]:
        bss = self.bss(estimates)
        return torch.stack((bss.sdr, bss.sir, bss.sar, si_sdr(estimates, sources=self.sources)))


def separation_scores(
    estimates: Float[Tensor, "b k s"],
    *,
    sources: Float[Tensor, "b k s"],
    mixture: Float[Tensor, "b s"],
    silence: float = SILENCE,
    dropped: Dropped = "estimates",
) -> SeparationScores:
    """Score separated waveforms, and the mixture as the baseline.

    Args:
        estimates: separated waveform of each source.
        sources: the true sources.
        mixture: the waveform that was separated.
        silence: sum of squares below which a waveform counts as silent.
        dropped: what has no scores if it is silent, see `SeparationEvaluator`.

    Raises:
        ValueError: if the shapes differ, or ``dropped`` is unknown.

    Example:
        >>> sources = torch.randn(1, 2, 4000, generator=torch.Generator().manual_seed(0))
        >>> estimates = sources + 0.1 * sources.flip(1)
        >>> scores = separation_scores(estimates, sources=sources, mixture=sources.sum(dim=1))
        >>> scores.sdr_improvement_db.round()
        tensor([[20., 20.]], dtype=torch.float64)
        >>> scores.summary()["silent_sources"]
        0
    """
    evaluate = SeparationEvaluator(
        sources=sources, mixture=mixture, silence=silence, dropped=dropped
    )
    return evaluate(estimates)


def join_scores(parts: Sequence[SeparationScores]) -> SeparationScores:
    """Concatenate the scores of several batches with the same number of sources.

    Raises:
        ValueError: if there are no batches.
    """
    require(len(parts) > 0, "parts", parts, "at least one batch's scores")
    names = [field.name for field in fields(SeparationScores)]
    return SeparationScores(*(torch.cat([getattr(x, name) for x in parts]) for name in names))

"""Source separation metrics: SDR, SIR, SAR, SI-SDR and improvements over the mixture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from avblocks.metrics.bss import bss_eval
from avblocks.shapes import expect, require, require_choice

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
        dropped: what has no scores besides mixtures with a silent source: ``"estimates"``, only the
            silent estimates; or ``"mixtures"``, all sources of a mixture with a silent estimate, as
            in DeepAVFusion and in the Sound of Pixels. ``silence`` then bounds the sum of
            magnitudes, as in the latter.

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
    axes = "b k s"
    expect(sources=(sources, axes), estimates=(estimates, axes), mixture=(mixture, "b s"))
    require_choice(*get_args(Dropped), dropped=dropped)
    b, k, _ = sources.shape
    silent_source, silent_estimate = (
        x.square().sum(dim=-1) < silence
        if dropped == "estimates"
        else x.abs().sum(dim=-1) <= silence
        for x in (sources, estimates)
    )
    scored = ~silent_source.any(dim=1)
    if dropped == "mixtures":
        scored &= ~silent_estimate.any(dim=1)
    scores = sources.new_full((6, b, k), torch.nan, dtype=torch.float64)
    if scored.any():
        wanted, unprocessed = sources[scored], mixture[scored, None].expand(-1, k, -1)
        after, before = (_ratios(x, sources=wanted) for x in (estimates[scored], unprocessed))
        scores[:, scored] = torch.cat((after, after[[0, 3]] - before[[0, 3]]))
    scores[:, silent_estimate] = torch.nan
    return SeparationScores(*scores, silent_source=silent_source, silent_estimate=silent_estimate)


def _ratios(
    estimates: Float[Tensor, "b k s"], *, sources: Float[Tensor, "b k s"]
) -> Float64[Tensor, "4 b k"]:
    bss = bss_eval(estimates, sources=sources)
    return torch.stack((bss.sdr, bss.sir, bss.sar, si_sdr(estimates, sources=sources)))


def join_scores(parts: Sequence[SeparationScores]) -> SeparationScores:
    """Concatenate the scores of several batches with the same number of sources.

    Raises:
        ValueError: if there are no batches.
    """
    require(len(parts) > 0, "parts", parts, "at least one batch's scores")
    names = [field.name for field in fields(SeparationScores)]
    return SeparationScores(*(torch.cat([getattr(x, name) for x in parts]) for name in names))

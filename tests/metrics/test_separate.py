"""SDR, SIR and SAR against mir_eval and against plain least squares; what is silent is counted."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

from avblocks.data.scenes import SceneSpec, render
from avblocks.metrics import (
    BSSEval,
    BSSEvaluator,
    SeparationEvaluator,
    bss_eval,
    join_scores,
    separation_scores,
    si_sdr,
)

# Its only version with the module that is the field's oracle says that the next has it no more.
oracle = pytest.mark.filterwarnings("ignore:mir_eval.separation:FutureWarning")


def stacked(found: BSSEval) -> Tensor:
    return torch.stack((found.sdr, found.sir, found.sar))


def by_mir_eval(estimates: Tensor, sources: Tensor) -> Tensor:
    from mir_eval.separation import bss_eval_sources

    rows = [
        bss_eval_sources(theirs.numpy(), ours.numpy(), compute_permutation=False)[:3]
        for ours, theirs in zip(estimates, sources, strict=True)
    ]
    return torch.stack([torch.stack([torch.from_numpy(x) for x in row]) for row in rows], dim=1)


def by_least_squares(estimates: Tensor, sources: Tensor, *, taps: int) -> Tensor:
    """Delayed copies of the sources as columns, and the distance of an estimate to their span."""
    k, s = sources.shape
    delayed = torch.zeros(k, s + taps - 1, taps, dtype=torch.float64)
    for tap in range(taps):
        delayed[:, tap : tap + s, tap] = sources
    scores = []
    for number, estimate in enumerate(estimates):
        whole = torch.cat((estimate, torch.zeros(taps - 1, dtype=torch.float64)))
        spans = delayed[number], delayed.transpose(0, 1).flatten(1)
        own, every = (span @ torch.linalg.lstsq(span, whole[:, None]).solution for span in spans)
        whole, own, every = whole, own[:, 0], every[:, 0]
        parts = ((own, whole - own), (own, every - own), (every, whole - every))
        scores.append([10 * math.log10(a.square().sum() / b.square().sum()) for a, b in parts])
    return torch.tensor(scores, dtype=torch.float64).T


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 6), st.integers(40, 60))
def test_bss_eval_is_least_squares(b: int, k: int, taps: int, s: int) -> None:
    sources, noise = torch.randn(2, b, k, s, dtype=torch.float64)
    estimates = sources + 0.3 * sources.roll(1, dims=1) + 0.3 * noise
    found = stacked(bss_eval(estimates, sources=sources, taps=taps))
    slow = [by_least_squares(*pair, taps=taps) for pair in zip(estimates, sources, strict=True)]
    if k == 1:  # Nothing interferes: that ratio is of rounding errors.
        assert (found[1] > 200).all()
        found[1] = torch.stack(slow, dim=1)[1]
    assert_close(found, torch.stack(slow, dim=1), rtol=0, atol=1e-7)


@oracle
@pytest.mark.parametrize(("k", "s"), [(2, 3000), (3, 4001)])
def test_bss_eval_is_mir_eval(k: int, s: int) -> None:
    sources, noise = torch.randn(2, 2, k, s, dtype=torch.float64)
    estimates = 0.2 * sources + 0.1 * sources.roll(1, dims=1) + 0.05 * noise
    found = stacked(bss_eval(estimates, sources=sources))
    assert_close(found, by_mir_eval(estimates, sources), rtol=0, atol=1e-6)


@oracle
def test_bss_eval_is_mir_eval_on_tones() -> None:
    """Their normal equations are nearly singular; good estimates and bad."""
    spec = SceneSpec(size=32, seconds=1.0)
    sounds = torch.stack(
        [torch.from_numpy(render(n, split="test", spec=spec).sources[0]) for n in range(0, 12, 2)]
    )
    sources = torch.stack((sounds, sounds.roll(1, dims=0)), dim=1)
    mixture = sources.sum(dim=1, keepdim=True).expand_as(sources)
    blurred = torch.nn.functional.avg_pool1d(sources, 5, stride=1, padding=2)
    for estimates in (mixture, blurred + 0.1 * mixture, sources + 1e-3 * torch.randn_like(sources)):
        found = stacked(bss_eval(estimates, sources=sources))
        expected = by_mir_eval(estimates.double(), sources.double())
        # Beyond 100 dB, of a mixture's artefacts, both are rounding errors.
        heard = expected < 100
        assert heard.double().mean() > 0.6 and (found[~heard] > 100).all()
        assert_close(found[heard], expected[heard], rtol=0, atol=1e-3)


def test_a_source_that_is_another_one_is_no_accident() -> None:
    sources = torch.randn(1, 1, 400).expand(-1, 2, -1)
    noise = torch.randn(1, 2, 400)
    found = stacked(bss_eval(sources + 0.1 * noise, sources=sources, taps=4))
    alone = stacked(bss_eval(sources + 0.1 * noise, sources=torch.randn(1, 2, 400), taps=4))
    assert found.isfinite().all() and found[0].min() > 15 > alone[0].max()


@given(st.floats(0.01, 100.0))
def test_loudness_does_not_matter(factor: float) -> None:
    sources, noise = torch.randn(2, 1, 2, 300, dtype=torch.float64)
    estimates = sources + 0.3 * sources.flip(1) + 0.1 * noise
    ours = bss_eval(estimates, sources=sources, taps=8)
    theirs = bss_eval(factor * estimates, sources=factor**2 * sources, taps=8)
    assert_close(stacked(ours), stacked(theirs), rtol=0, atol=1e-6)


@given(st.integers(1, 3), st.integers(1, 50))
def test_si_sdr_is_that_of_torchmetrics_to_the_bit(b: int, s: int) -> None:
    sources, noise = torch.randn(2, b, 2, s, dtype=torch.float64)
    for estimates in (sources + 0.1 * noise, noise, sources, 0 * noise):
        found = si_sdr(estimates, sources=sources)
        assert torch.equal(found, scale_invariant_signal_distortion_ratio(estimates, sources))


def example(b: int = 3, s: int = 2000) -> tuple[Tensor, Tensor, Tensor]:
    sources = torch.randn(b, 2, s)
    estimates = sources + 0.1 * sources.flip(1) + 0.05 * torch.randn(b, 2, s)
    return estimates, sources, sources.sum(dim=1)


def test_scores_stand_beside_the_mixtures() -> None:
    estimates, sources, mixture = example()
    scores = separation_scores(estimates, sources=sources, mixture=mixture)
    whole = mixture[:, None].expand(-1, 2, -1).contiguous()
    after, before = (bss_eval(x, sources=sources) for x in (estimates, whole))
    assert torch.equal(torch.stack((scores.sdr, scores.sir, scores.sar)), stacked(after))
    assert_close(scores.sdr_improvement_db, after.sdr - before.sdr)
    si_sdr = [scale_invariant_signal_distortion_ratio(x, sources) for x in (estimates, whole)]
    assert_close(scores.si_sdr, si_sdr[0].double(), rtol=0, atol=1e-3)
    gain = (si_sdr[0] - si_sdr[1]).double()
    assert_close(scores.si_sdr_improvement_db, gain, rtol=0, atol=1e-3)
    nothing = separation_scores(whole, sources=sources, mixture=mixture)
    assert nothing.sdr_improvement_db.abs().max() == 0


def test_silence_is_counted_and_never_scored() -> None:
    estimates, sources, mixture = example(b=4)
    whole = separation_scores(estimates, sources=sources, mixture=mixture)
    sources[1, 0] = 0
    sources[2] = 1e-5
    estimates[3, 1] = 0
    scores = separation_scores(estimates, sources=sources, mixture=mixture)
    unscored = torch.tensor([[0, 0], [1, 1], [1, 1], [0, 1]]).bool()
    summary = scores.summary()
    assert {k: v for k, v in summary.items() if isinstance(v, int)} == {
        "scored": 3,
        "not_scored": 5,
        "silent_sources": 3,
        "silent_estimates": 1,
    }
    for name in ("sdr", "sir", "sar", "si_sdr", "sdr_improvement_db", "si_sdr_improvement_db"):
        assert torch.equal(getattr(scores, name).isnan(), unscored)
        assert_close(getattr(scores, name)[~unscored], getattr(whole, name)[~unscored])
        assert math.isclose(summary[name], getattr(whole, name)[~unscored].mean().item())


@pytest.mark.parametrize("dropped", ["estimates", "mixtures"])
def test_the_sources_are_factorized_once_for_all_estimates(dropped: str, monkeypatch) -> None:
    estimates, sources, mixture = example(b=3, s=900)
    sources[0, 1], estimates[1, 0] = 0, 0
    given: dict = {"sources": sources, "mixture": mixture, "dropped": dropped}
    rows = [estimates, estimates.flip(1), mixture[:, None].expand_as(sources)]
    wanted = [separation_scores(row, **given) for row in rows]
    factorized = []
    kept = torch.linalg.lu_factor_ex
    monkeypatch.setattr(torch.linalg, "lu_factor_ex", lambda x: factorized.append(x) or kept(x))
    evaluate = SeparationEvaluator(**given)
    for row, scores in zip(rows, wanted, strict=True):
        found = evaluate(row)
        for name, value in vars(scores).items():
            assert torch.equal(getattr(found, name).nan_to_num(99), value.nan_to_num(99)), name
    assert [len(gram) for gram in factorized] == [4, 2]  # each source, and each pair
    with pytest.raises(ValueError, match="estimates must have shape"):
        evaluate(estimates[:2])
    with pytest.raises(ValueError, match="estimates must have shape"):
        BSSEvaluator(sources[1:])(estimates[1:, :1])


def test_nothing_but_silence() -> None:
    zeros = torch.zeros(2, 2, 600)
    summary = separation_scores(zeros, sources=zeros, mixture=zeros[:, 0]).summary()
    assert math.isnan(summary["sdr"]) and summary["scored"] == 0
    assert summary["silent_sources"] == summary["silent_estimates"] == summary["not_scored"] == 4


def test_batches_join_to_one() -> None:
    estimates, sources, mixture = example()
    sources[0, 0] = 0
    whole = separation_scores(estimates, sources=sources, mixture=mixture)
    parts = [
        separation_scores(estimates[rows], sources=sources[rows], mixture=mixture[rows])
        for rows in (slice(0, 1), slice(1, 3))
    ]
    joined = join_scores(parts)
    assert torch.equal(joined.silent_source, whole.silent_source)
    assert_close(joined.sdr, whole.sdr, equal_nan=True)
    assert_close(joined.si_sdr_improvement_db, whole.si_sdr_improvement_db, equal_nan=True)
    with pytest.raises(ValueError, match="at least one"):
        join_scores([])


@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_refused() -> None:
    estimates, sources, mixture = example(b=2, s=600)
    with pytest.raises(ValueError, match="estimates must have shape"):
        bss_eval(estimates[:, :1], sources=sources)
    with pytest.raises(ValueError, match="taps must be a positive"):
        bss_eval(estimates, sources=sources, taps=0)
    with pytest.raises(ValueError, match="sources must be not silent"):
        bss_eval(estimates, sources=sources * torch.tensor([[[1.0], [0.0]]]))
    with pytest.raises(ValueError, match="mixture must have shape"):
        separation_scores(estimates, sources=sources, mixture=mixture[:1])
    with pytest.raises(ValueError, match="estimates must have shape"):
        separation_scores(estimates[..., 1:], sources=sources, mixture=mixture)


@oracle
def test_the_sound_of_pixels_drops_whole_mixtures() -> None:
    """By its loop: a mixture counts if the magnitudes of all sources and estimates sum to more."""
    random = torch.Generator().manual_seed(0)
    sources = torch.randn(4, 2, 1500, generator=random, dtype=torch.float64)
    estimates = sources + 0.3 * sources.flip(1)
    mixture = sources.sum(dim=1)
    sources[1, 0], estimates[2, 1] = 0, 0
    estimates[3, 0] = 1e-6 * torch.ones(1500)  # energy below 1e-5, magnitudes above
    found = separation_scores(estimates, sources=sources, mixture=mixture, dropped="mixtures")
    wanted = []
    for ours, theirs in zip(estimates, sources, strict=True):
        waves = (*ours, *theirs)
        if all(wave.abs().sum() > 1e-5 for wave in waves):
            wanted.append(by_mir_eval(ours[None], theirs[None])[0, 0])
    assert len(wanted) == 2
    assert_close(found.sdr[[0, 3]], torch.stack(wanted), rtol=0, atol=1e-6)
    assert found.sdr[[1, 2]].isnan().all()
    assert found.summary()["scored"] == 4 and found.summary()["not_scored"] == 4
    alone = separation_scores(estimates, sources=sources, mixture=mixture)
    assert alone.sdr.isnan().tolist() == [[False] * 2, [True] * 2, [False, True], [True, False]]


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_rule_is_refused() -> None:
    waves = torch.ones(1, 2, 600)
    with pytest.raises(ValueError, match=r"dropped must be one of .* got 'none'"):
        separation_scores(waves, sources=waves, mixture=waves[:, 0], dropped="none")  # type: ignore[arg-type]


@pytest.mark.usefixtures("unchecked")
def test_samples_of_16_bits_are_refused() -> None:
    sources = torch.full((1, 2, 2000), 256, dtype=torch.int16)
    with pytest.raises(ValueError, match="sources must be of floats"):
        SeparationEvaluator(sources=sources, mixture=sources.sum(1))
    evaluate = SeparationEvaluator(sources=sources / 32768, mixture=sources.sum(1) / 32768)
    with pytest.raises(ValueError, match="estimates must be of floats"):
        evaluate(sources)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avblocks.optim import (
    cosine_lr,
    decayed_rates,
    group_rates,
    pretrained_multiplier,
    scaled_lr,
)


@given(
    st.floats(1, 500),
    st.floats(0, 0.99),
    st.floats(1e-6, 1),
    st.lists(st.floats(0, 600), min_size=2),
)
def test_cosine(epochs: float, share: float, lr: float, points: list[float]) -> None:
    warmup = share * epochs
    rates = [cosine_lr(e, lr=lr, epochs=epochs, warmup=warmup) for e in sorted(points)]
    assert all(0 <= rate <= lr for rate in rates)
    assert cosine_lr(warmup, lr=lr, epochs=epochs, warmup=warmup) == pytest.approx(lr)
    assert cosine_lr(epochs, lr=lr, epochs=epochs, warmup=warmup) == pytest.approx(0, abs=1e-12)
    assert cosine_lr(epochs + 1, lr=lr, epochs=epochs, warmup=warmup) == pytest.approx(0, abs=1e-12)
    after = [rate for rate, e in zip(rates, sorted(points), strict=True) if e >= warmup]
    assert after == sorted(after, reverse=True)
    if warmup:
        assert cosine_lr(warmup / 2, lr=lr, epochs=epochs, warmup=warmup) == pytest.approx(lr / 2)


@given(st.floats(1, 500), st.lists(st.floats(0, 600), min_size=2))
def test_pretrained_multiplier_rises_from_nothing_to_one(
    epochs: float, points: list[float]
) -> None:
    factors = [pretrained_multiplier(e, epochs=epochs) for e in sorted(points)]
    assert factors == sorted(factors)
    assert pretrained_multiplier(0, epochs=epochs) == 0
    assert pretrained_multiplier(epochs, epochs=epochs) == 1
    assert pretrained_multiplier(epochs / 2, epochs=epochs) == pytest.approx(0.5)


@given(st.floats(0, 20))
def test_group_rates_hold_the_pretrained_back_for_half_of_training(epoch: float) -> None:
    groups = [{"pretrained": True}, {"pretrained": False}]
    start, usual = group_rates(groups, epoch, lr=0.1, epochs=20, warmup=4)
    assert usual == cosine_lr(epoch, lr=0.1, epochs=20, warmup=4)
    assert start == usual if epoch >= 10 else start <= usual
    assert group_rates(groups, 5, lr=0.1, epochs=20, warmup=4)[0] == pytest.approx(
        0.5 * cosine_lr(5, lr=0.1, epochs=20, warmup=4)
    )


def test_scaled_lr() -> None:
    assert scaled_lr(1.5e-4, batch=512) == pytest.approx(3e-4)
    with pytest.raises(ValueError, match="batch"):
        scaled_lr(1.5e-4, batch=0)


@pytest.mark.parametrize("warmup", [-1, 10, 11])
def test_warmup_must_be_shorter(warmup: float) -> None:
    with pytest.raises(ValueError, match="warmup must be in"):
        cosine_lr(0, lr=1.0, epochs=10, warmup=warmup)


@given(st.floats(0, 20), st.lists(st.floats(0.01, 1.0), max_size=4))
def test_decayed_rates_are_the_schedule_scaled(epoch: float, scales: list[float]) -> None:
    groups = [{"lr_scale": scale} for scale in scales]
    rates = decayed_rates(groups, epoch, lr=0.1, epochs=20, warmup=4)
    usual = cosine_lr(epoch, lr=0.1, epochs=20, warmup=4)
    assert rates == [usual * scale for scale in scales]

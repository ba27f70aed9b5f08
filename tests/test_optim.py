import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from avblocks import Decoder, av_mae, av_vit
from avblocks.optim import cosine_lr, group_rates, param_groups, pretrained_multiplier, scaled_lr


@pytest.fixture
def model() -> nn.Module:
    sizes = {"image_size": 32, "audio_size": (32, 32)}
    encoder = av_vit(16, depth=1, num_heads=4, **sizes)
    return av_mae(encoder, dim=16, depth=1, num_heads=4)


def names(model: nn.Module, group: dict) -> set[str]:
    ids = {id(parameter) for parameter in group["params"]}
    return {name for name, parameter in model.named_parameters() if id(parameter) in ids}


def test_every_parameter_once(model: nn.Module) -> None:
    starts = [n for n, _ in model.named_parameters() if n.startswith("encoder.image.")]
    groups = param_groups(model, weight_decay=0.1, pretrained=starts)
    listed = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(listed) == sorted(id(parameter) for parameter in model.parameters())
    assert len(groups) == 4


def test_vectors_do_not_decay_and_the_pretrained_stand_apart(model: nn.Module) -> None:
    starts = [n for n, _ in model.named_parameters() if n.startswith("encoder.image.")]
    for group in param_groups(model, weight_decay=0.1, pretrained=starts):
        assert {name in starts for name in names(model, group)} == {group["pretrained"]}
        for name in names(model, group):
            vector = name.endswith("bias") or "norm" in name
            assert group["weight_decay"] == (0.0 if vector else 0.1), name


def test_frozen_parameters_are_left_out(model: nn.Module) -> None:
    model.encoder.requires_grad_(False)
    found = set().union(*(names(model, group) for group in param_groups(model)))
    assert found == {n for n, _ in model.named_parameters() if not n.startswith("encoder.")}


def test_adamw_takes_the_groups(model: nn.Module) -> None:
    torch.optim.AdamW(param_groups(model), lr=1e-3, betas=(0.9, 0.95)).step()


def test_unknown_pretrained_name() -> None:
    decoder = Decoder(8, grid=(2, 2), patch_values=4, dim=8, depth=1, num_heads=2)
    with pytest.raises(ValueError, match=r"pretrained must be .*'encoder.nope'"):
        param_groups(decoder, pretrained=["encoder.nope"])


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

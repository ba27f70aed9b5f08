"""LARS, against the formula written out parameter by parameter."""

import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from avblocks.optim import LARS


def drive(optimizer: LARS, params: list[nn.Parameter], gradients: list[list[Tensor]]) -> None:
    for step in gradients:
        for parameter, gradient in zip(params, step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()


def start(seed: int, *, steps: int) -> tuple[list[nn.Parameter], list[list[Tensor]]]:
    random = torch.Generator().manual_seed(seed)
    shapes = [(3, 4), (4,), (2, 3, 2), ()]
    params = [nn.Parameter(torch.randn(shape, generator=random)) for shape in shapes]
    return params, [[torch.randn(s, generator=random) for s in shapes] for _ in range(steps)]


def slow(
    weight: Tensor, gradients: list[Tensor], *, lr: float, decay: float, mu: float, trust: float
) -> Tensor:
    weight, velocity = weight.detach().double().clone(), 0.0
    for gradient in gradients:
        update = gradient.double()
        if weight.dim() >= 2:
            update = update + decay * weight
            lengths = weight.square().sum().sqrt(), update.square().sum().sqrt()
            update = update * trust * lengths[0] / lengths[1]
        velocity = mu * velocity + update
        weight = weight - lr * velocity
    return weight.float()


@given(
    st.integers(0, 99),
    st.floats(0, 10),
    st.floats(0, 0.5),
    st.floats(0, 0.99),
    st.floats(1e-4, 0.1),
)
def test_equals_the_formula(seed: int, lr: float, decay: float, mu: float, trust: float) -> None:
    params, gradients = start(seed, steps=3)
    before = [p.detach().clone() for p in params]
    drive(LARS(params, lr, weight_decay=decay, momentum=mu, trust=trust), params, gradients)
    for i, p in enumerate(params):
        own = [step[i] for step in gradients]
        expected = slow(before[i], own, lr=lr, decay=decay, mu=mu, trust=trust)
        assert_close(p.detach(), expected, rtol=1e-4, atol=1e-5)


@given(st.integers(0, 99), st.floats(1e-3, 1e3))
def test_the_scale_of_a_gradient_does_not_matter_to_a_matrix(seed: int, scale: float) -> None:
    params, ((gradient, *_),) = start(seed, steps=1)
    other = nn.Parameter(params[0].detach().clone())
    drive(LARS(params[:1], 0.3), params[:1], [[gradient]])
    drive(LARS([other], 0.3), [other], [[gradient * scale]])
    assert_close(params[0], other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("zero", ["weight", "gradient"])
def test_a_norm_of_zero_scales_nothing(zero: str) -> None:
    ones, zeros = torch.ones(2, 2), torch.zeros(2, 2)
    p = nn.Parameter((zeros if zero == "weight" else ones).clone())
    gradient = zeros if zero == "gradient" else ones
    drive(LARS([p], 0.5), [p], [[gradient]])
    assert torch.equal(p.detach(), -0.5 * ones if zero == "weight" else ones)


def test_parameters_without_a_gradient_stay() -> None:
    params, _ = start(0, steps=0)
    before = params[0].detach().clone()
    optimizer = LARS(params, 0.3)
    params[1].grad = torch.ones(4)
    optimizer.step()
    assert torch.equal(params[0].detach(), before) and not optimizer.state[params[0]]


def test_a_saved_state_goes_on_exactly() -> None:
    whole, gradients = start(1, steps=4)
    drive(LARS(whole, 0.3, weight_decay=0.1), whole, gradients)
    first, _ = start(1, steps=0)
    optimizer = LARS(first, 0.3, weight_decay=0.1)
    drive(optimizer, first, gradients[:2])
    saved = pickle.dumps(optimizer.state_dict())
    second = [nn.Parameter(p.detach().clone()) for p in first]
    resumed = LARS(second, 99.0)
    resumed.load_state_dict(pickle.loads(saved))
    drive(resumed, second, gradients[2:])
    assert all(torch.equal(a, b) for a, b in zip(whole, second, strict=True))


def test_a_schedule_from_outside_and_groups_of_their_own() -> None:
    p, q = (nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = LARS([{"params": [p]}, {"params": [q], "momentum": 0.0}], 1.0, momentum=0.5)
    for lr in (0.1, 0.2):
        for group in optimizer.param_groups:
            group["lr"] = lr
        p.grad, q.grad = torch.ones(2), torch.ones(2)
        optimizer.step()
    assert_close(p.detach(), torch.full((2,), 1 - 0.1 - 0.2 * 1.5))
    assert_close(q.detach(), torch.full((2,), 1 - 0.1 - 0.2))


def test_a_closure_has_gradients_and_gives_the_loss() -> None:
    p = nn.Parameter(torch.ones(2))
    optimizer = LARS([p], 0.1)

    def closure() -> Tensor:
        loss = p.sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 2.0
    assert_close(p.detach(), torch.full((2,), 0.9))


@pytest.mark.parametrize(
    "wrong",
    [
        {"lr": -0.1},
        {"lr": float("nan")},
        {"weight_decay": -1.0},
        {"momentum": 1.0},
        {"momentum": -0.1},
        {"trust": 0.0},
    ],
)
def test_impossible_numbers(wrong: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        LARS([nn.Parameter(torch.ones(1))], **({"lr": 0.1} | wrong))

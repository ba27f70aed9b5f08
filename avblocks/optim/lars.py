"""LARS, the optimizer for linear probes with large batches."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from avblocks.shapes import require, require_above_zero, require_share


class LARS(Optimizer):
    """Momentum SGD whose step for each matrix is proportional to the norm of the matrix.

    With gradient g and weight w: ``g += weight_decay * w``, ``g *= trust * |w| / |g|``,
    ``mu = momentum * mu + g``, ``w -= lr * mu``. As in MAE's and the reference's LARS, vectors
    (biases and norms) are neither decayed nor scaled, and a matrix of zero norm is not scaled.

    Args:
        params: parameters or groups; a group may override the other arguments.
        lr: learning rate.
        weight_decay: decay of the matrices.
        momentum: momentum factor.
        trust: trust coefficient: norm of the step relative to that of the weight, at a learning
            rate of 1.

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> weight = torch.nn.Parameter(torch.full((1, 2), 2.0))
        >>> optimizer = LARS([weight], lr=1.0, trust=0.5)
        >>> (weight * torch.tensor([[3.0, 0.0]])).sum().backward()
        >>> optimizer.step()
        >>> weight.data
        tensor([[0.5858, 2.0000]])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float,
        *,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        trust: float = 0.001,
    ) -> None:
        for name, value in {"lr": lr, "weight_decay": weight_decay}.items():
            require(value >= 0.0, name, value, "zero or above")
        require_share(momentum=momentum)
        require_above_zero(trust=trust)
        numbers = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "trust": trust}
        super().__init__(params, numbers)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters that have a gradient.

        Args:
            closure: reevaluates the model and returns the loss.

        Returns:
            The loss of the closure.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        step = _step(parameter, weight_decay=group["weight_decay"], trust=group["trust"])
        state["momentum"].mul_(group["momentum"]).add_(step)
        parameter.add_(state["momentum"], alpha=-group["lr"])


def _step(
    weight: Float[Tensor, "*shape"], *, weight_decay: float, trust: float
) -> Float[Tensor, "*shape"]:
    gradient = weight.grad
    assert gradient is not None
    if weight.ndim <= 1:
        return gradient
    gradient = gradient.add(weight, alpha=weight_decay)
    ratio = trust * weight.norm() / gradient.norm()
    return gradient * torch.where(ratio.isfinite() & (ratio > 0), ratio, 1.0)

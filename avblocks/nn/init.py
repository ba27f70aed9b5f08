"""Initial weights."""

from torch import Tensor, nn


def xavier(*linears: nn.Linear) -> None:
    """Xavier-uniform weights and zero biases, as in MAE and the reference."""
    for linear in linears:
        nn.init.xavier_uniform_(linear.weight)
        _zero_bias(linear)


def xavier_joint(*linears: nn.Linear, dim: int = 0) -> None:
    """`xavier` for layers that are parts of one matrix in the papers, joined along ``dim``.

    The bound is that of the joined matrix, as if queries, keys and values were one layer.
    """
    weights = [linear.weight.detach() for linear in linears]
    lengths, size = [weight.shape[dim] for weight in weights], [*weights[0].shape]
    size[dim] = sum(lengths)
    # Not `torch.cat`: on "meta" it imports torch's compiler, which takes seconds.
    whole = nn.init.xavier_uniform_(weights[0].new_empty(size))
    parts = whole.split(lengths, dim=dim)
    for linear, weight, part in zip(linears, weights, parts, strict=True):
        weight.copy_(part)
        _zero_bias(linear)


def normal(weight: Tensor, *, std: float = 0.02) -> None:
    """Normally distributed weights.

    On "meta" there is nothing to draw, and torch would import its compiler, which takes seconds.
    """
    if not weight.is_meta:
        nn.init.normal_(weight, std=std)


def _zero_bias(linear: nn.Linear) -> None:
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)

"""The best evaluation of a run, and early stopping, as pure functions of the evaluations."""

from collections.abc import Mapping
from math import isfinite

Scores = Mapping[int, Mapping[str, float]]
"""Evaluations by step."""
_LOWER = "min:"


def best_step(scores: Scores, metric: str) -> int | None:
    """Return the first step with the best evaluation; None if there is none.

    Args:
        scores: Evaluations by step.
        metric: Name of a number, of which higher is better; ``min:NAME`` if lower is.

    Raises:
        ValueError: If an evaluation lacks the number.

    >>> best_step({5: {"top1": 20.0}, 10: {"top1": 50.0}, 15: {"top1": 50.0}}, "top1")
    10
    """
    return _best(_values(scores, metric))


def check_metric(scores: Mapping[str, float], metric: str) -> None:
    """Raise a ValueError if an evaluation lacks the number of ``metric``, see `best_step`."""
    name = metric.removeprefix(_LOWER)
    if name not in scores:
        known = ", ".join(scores) or "nothing"
        raise ValueError(f"--run.keep-best {metric}: an evaluation has {known}, and no {name}")


def exhausted(scores: Scores, metric: str, *, patience: int) -> bool:
    """Return whether the last ``patience`` evaluations were no better than one before them.

    >>> scores = {5: {"loss": 2.0}, 10: {"loss": 1.0}, 15: {"loss": 3.0}}
    >>> exhausted(scores, "min:loss", patience=1), exhausted(scores, "min:loss", patience=2)
    (True, False)
    """
    values = _values(scores, metric)
    best = _best(values)
    return best is not None and sum(step > best for step in values) >= patience


def _best(values: Mapping[int, float]) -> int | None:
    finite = [step for step, value in values.items() if isfinite(value)]
    return max(finite, key=lambda step: values[step]) if finite else None


def _values(scores: Scores, metric: str) -> dict[int, float]:
    """Return the number of each evaluation in order, higher if better."""
    name, sign = metric.removeprefix(_LOWER), -1 if metric.startswith(_LOWER) else 1
    for found in scores.values():
        check_metric(found, metric)
    return {step: sign * scores[step][name] for step in sorted(scores)}

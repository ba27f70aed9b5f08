"""Published weights in, a report of what became of each of them out."""

import math
from dataclasses import dataclass, replace

from torch import nn

from avblocks.checkpoint.read import State
from avblocks.nn.older import renamed
from avblocks.nn.position import LearnedPosition, resize_position


@dataclass(frozen=True)
class Converted:
    """A state dict in avblocks' names.

    Attributes:
        state: tensors by avblocks' names.
        dropped: names in the file that are left out on purpose.
    """

    state: State
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadReport:
    """What became of a checkpoint; printing it says so in a few lines.

    Attributes:
        loaded: the model's names that were given weights.
        missing: the model's names left at initialisation.
        unused: names in the file that fit nothing in the model.
        reshaped: the model's names whose tensor was resized to fit.
        dropped: names in the file left out on purpose, such as a class token.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    def prefixed(self, prefix: str) -> "LoadReport":
        """The same report with the model's names inside a larger model."""
        loaded, missing, reshaped = (
            tuple(prefix + name for name in names)
            for names in (self.loaded, self.missing, self.reshaped)
        )
        return replace(self, loaded=loaded, missing=missing, reshaped=reshaped)

    def __str__(self) -> str:
        rows = {
            "loaded": self.loaded,
            "left at initialisation": self.missing,
            "unused in the file": self.unused,
            "reshaped": self.reshaped,
            "dropped on purpose": self.dropped,
        }
        return "\n".join(f"{title}: {_summary(names)}" for title, names in rows.items())


def _summary(names: tuple[str, ...], *, shown: int = 4) -> str:
    if not names:
        return "none"
    rest = f", ... (+{len(names) - shown})" if len(names) > shown else ""
    return f"{len(names)} ({', '.join(names[:shown])}{rest})"


def load_weights(
    model: nn.Module, weights: Converted | State, *, strict: bool = False
) -> LoadReport:
    """Copy weights into a model and report what became of each.

    Args:
        model: the model, or a part of one.
        weights: a state dict in avblocks' names, today's or those of earlier versions, or what one
            of the ``from_...`` functions made.
        strict: refuse weights that leave a parameter at initialisation or a tensor unused.

    Returns:
        The report. Learned positions of another grid are interpolated and listed as reshaped.

    Raises:
        ValueError: if nothing fits, if a shape differs, if a value is not finite, or in ``strict``
            if there is any surprise; the model is then unchanged.

    Example:
        >>> import torch
        >>> from avblocks import Mlp
        >>> print(load_weights(Mlp(4), {"fc1.weight": torch.zeros(16, 4), "extra": torch.ones(1)}))
        loaded: 1 (fc1.weight)
        left at initialisation: 3 (fc1.bias, fc2.weight, fc2.bias)
        unused in the file: 1 (extra)
        reshaped: none
        dropped on purpose: none
    """
    converted = weights if isinstance(weights, Converted) else Converted(weights)
    own = model.state_dict()
    state, reshaped = _resize_positions(model, renamed(model, converted.state))
    report = LoadReport(
        loaded=tuple(name for name in own if name in state),
        missing=tuple(name for name, x in own.items() if name not in state and x.numel() > 0),
        unused=tuple(name for name in state if name not in own),
        reshaped=reshaped,
        dropped=converted.dropped,
    )
    if not report.loaded:
        raise ValueError(f"no weight of the file fits the model\n{report}")
    misfits = [
        f"{name}: {tuple(state[name].shape)} in the file, {tuple(own[name].shape)} in the model"
        for name in report.loaded
        if state[name].shape != own[name].shape
    ]
    if misfits:
        raise ValueError("weights of another size: " + "; ".join(misfits[:4]))
    check_finite({name: state[name] for name in report.loaded})
    if strict and (report.missing or report.unused):
        raise ValueError(
            f"strict: left at initialisation {_summary(report.missing)}, "
            f"unused in the file {_summary(report.unused)}"
        )
    model.load_state_dict({name: state[name] for name in report.loaded}, strict=False)
    return report


def check_finite(state: State) -> None:
    """Raise a ValueError that names some weights if there are any with infinities or NaN."""
    wrong = tuple(n for n, x in state.items() if x.is_floating_point() and not x.isfinite().all())
    if wrong:
        raise ValueError(
            f"weights that are not finite: {_summary(wrong)}; take a checkpoint of before the "
            "training diverged"
        )


def _resize_positions(model: nn.Module, state: State) -> tuple[State, tuple[str, ...]]:
    state, reshaped = dict(state), []
    for path, module in model.named_modules():
        name = f"{path}.table" if path else "table"
        if not isinstance(module, LearnedPosition) or name not in state:
            continue
        table = state[name]
        if table.shape == module.table.shape:
            continue
        side = math.isqrt(table.shape[0])
        if side * side != table.shape[0] or len(module.grid) != 2:
            raise ValueError(
                f"{name}: {table.shape[0]} positions do not fit the grid {module.grid}, and only "
                "those of a square grid can be interpolated"
            )
        state[name] = resize_position(table, grid=(side, side), new_grid=module.grid)
        reshaped.append(name)
    return state, tuple(reshaped)

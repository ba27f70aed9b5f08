"""Load weights into a model, with a report on every name."""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from avblocks.checkpoint.read import State
from avblocks.nn.older import renamed
from avblocks.nn.position import LearnedPosition, SinCosPosition, resize_position

# Weights of a ViT without which the others compute something else. Class tokens, and parts of
# decoders and heads, are not included, nor are tables that are indices or fixed.
_KINDS = (
    r"ls\d\.gamma|ls\d|gamma_?\d|lambda_?\d|layer_scale\w*",
    r"[qk]_norm|norm_pre|\w*pre_?(norm|ln|lay\w*norm)|(ln|norm)_(pre|emb\w*)|\w*emb\w*_norm",
    r"(?<=attn\.)[qv]_bias",
    # Positions: rotary, relative, by convolution, and of time, and the kind of a token.
    r"(\w+_)?(rope|rotary|alibi|cpb)(_\w+)?|(\w+_)?freqs(_\w+)?|inv_freq",
    r"(\w+_)?(rel|relative)_\w*(pos|bias|emb|enc)\w*|(\w+_)?pos(ition(al)?)?_(bias|conv|enc)\w*",
    r"(\w+_)?(time|temporal|frame|spatial|type|modality|segment|view)_(\w+_)?(emb|pos)\w*",
    r"(\w+_)?(emb|pos)\w*_(time|temporal|frame|spatial)|temporal_fc|modality_[av]",
    r"(?!\w*(cls|class|mask|fusion|prefix|aggr))\w+_tokens?",
)
_COMPUTES = re.compile(rf"(?!.*(decoder|head|_index\b|fixed))(.*\.)?({'|'.join(_KINDS)})(\..+)?")
# Where a model has blocks or a patch embedding, all that a file has of these is computed with.
_PARTS = re.compile(r"((.*\.)?(blocks(?=\.\d)|patch_embed)\.).+")


@dataclass(frozen=True)
class Converted:
    """A state dict converted to the names of avblocks.

    Attributes:
        state: tensors by their names in avblocks.
        dropped: names in the file that are dropped intentionally.
        prefix_tokens: tensors for prefix tokens by parameter name, such as ``"prefix_tokens"`` of
            `ViT`, used if the model has that parameter; otherwise ``prefix_names`` are dropped.
        prefix_names: names in the file from which the prefix tokens are made.
    """

    state: State
    dropped: tuple[str, ...] = ()
    prefix_tokens: State = field(default_factory=dict)
    prefix_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadReport:
    """Report on loaded weights, with a summary for ``print``.

    Attributes:
        loaded: names in the model whose weights were loaded.
        missing: names in the model left at initialization.
        unused: names in the file that match nothing in the model.
        reshaped: names in the model whose tensor was resized.
        dropped: names in the file that are dropped intentionally, such as a class token.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    def prefixed(self, prefix: str) -> "LoadReport":
        """Return the report with a prefix on the names in the model, for a larger model."""
        loaded, missing, reshaped = (
            tuple(prefix + name for name in names)
            for names in (self.loaded, self.missing, self.reshaped)
        )
        return replace(self, loaded=loaded, missing=missing, reshaped=reshaped)

    def __str__(self) -> str:
        rows = {
            "loaded": self.loaded,
            "left at initialization": self.missing,
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
    model: nn.Module,
    weights: Converted | State,
    *,
    strict: bool = False,
    allow: Collection[str] = (),
) -> LoadReport:
    """Copy weights into a model, and report on every name.

    Args:
        model: the model, or a part of one.
        weights: a state dict with names of avblocks, current or of earlier versions, or the result
            of a ``from_...`` function.
        strict: raise if a parameter stays at initialization or a tensor is unused.
        allow: suffixes of the names of weights that may be dropped although the model of the file
            uses them, such as ``"dist_token"`` or ``"ls1.gamma"``.

    Returns:
        The report. Learned positions of another grid are interpolated and listed as reshaped.

    Raises:
        ValueError: if nothing matches, a shape differs, a value is not finite, the file has parts
            that the model lacks, such as layer scales, relative positions or more blocks, or with
            ``strict`` if anything is missing or unused; the model is then unchanged.

    Example:
        >>> import torch
        >>> from avblocks import Mlp
        >>> print(load_weights(Mlp(4), {"fc1.weight": torch.zeros(16, 4), "extra": torch.ones(1)}))
        loaded: 1 (fc1.weight)
        left at initialization: 3 (fc1.bias, fc2.weight, fc2.bias)
        unused in the file: 1 (extra)
        reshaped: none
        dropped on purpose: none
    """
    converted = weights if isinstance(weights, Converted) else Converted(weights)
    own = model.state_dict()
    prefix = {n: x for n, x in converted.prefix_tokens.items() if n in own}
    state = renamed(model, converted.state | prefix)
    state, fixed = _without_fixed_positions(model, state, allow)
    state, reshaped = _resize_positions(model, state)
    report = LoadReport(
        loaded=tuple(name for name in own if name in state),
        missing=tuple(name for name, x in own.items() if name not in state and x.numel() > 0),
        unused=tuple(name for name in state if name not in own),
        reshaped=reshaped,
        dropped=(
            *(n for n in converted.dropped if not (prefix and n in converted.prefix_names)),
            *fixed,
        ),
    )
    if not report.loaded:
        raise ValueError(f"no weight of the file fits the model\n{report}")
    check_lost(report.unused, own, allow=allow)
    check_lost(report.dropped, allow=allow)
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
            f"strict: left at initialization {_summary(report.missing)}, "
            f"unused in the file {_summary(report.unused)}"
        )
    model.load_state_dict({name: state[name] for name in report.loaded}, strict=False)
    return report


def check_lost(
    names: Collection[str], own: Collection[str] = (), *, allow: Collection[str] = ()
) -> None:
    """Raise if a weight of the file is not loaded that changes the output of its model.

    Args:
        names: names in the file that are not loaded.
        own: names in the model.
        allow: suffixes of names that may be dropped.

    Raises:
        ValueError: if there are such weights.
    """
    parts = {match[1] for match in map(_PARTS.fullmatch, own) if match}
    lost = tuple(
        name
        for name in names
        if ((match := _PARTS.fullmatch(name)) and match[1] in parts) or _COMPUTES.fullmatch(name)
        if not name.endswith(tuple(allow))
    )
    if lost:
        raise ValueError(
            f"the model has no place for weights that their own computes with: {_summary(lost)}; "
            "build one that has, or allow the loss by their names (allow=..., in recipes --allow)"
        )


def check_finite(state: State) -> None:
    """Raise a ValueError that names some of the weights with infinities or NaNs, if any."""
    wrong = tuple(n for n, x in state.items() if x.is_floating_point() and not x.isfinite().all())
    if wrong:
        raise ValueError(
            f"weights that are not finite: {_summary(wrong)}; take a checkpoint of before the "
            "training diverged"
        )


def _without_fixed_positions(
    model: nn.Module, state: State, allow: Collection[str]
) -> tuple[State, tuple[str, ...]]:
    """Drop tables of positions that the model computes, if they are equal."""
    computed = {
        f"{path}.table": module.table
        for path, module in model.named_modules()
        if isinstance(module, SinCosPosition) and f"{path}.table" in state
    }
    for name, table in computed.items():
        if name.endswith(tuple(allow)):
            continue
        same = state[name].shape == table.shape
        if not same or not torch.allclose(state[name].to(table), table, rtol=0, atol=1e-5):
            raise ValueError(
                f"{name}: the file's positions were trained, and the model's are fixed: build it "
                "with learned_position=True"
            )
    return {name: x for name, x in state.items() if name not in computed}, tuple(computed)


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

"""Checks of weights: those that a model would lose, and values that are not finite."""

import re
from collections.abc import Collection

import torch
from torch import Tensor

from avblocks.checkpoint.read import State
from avblocks.checkpoint.report import summary

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
# What adapters, parametrizations and quantized layers have in place of a weight, or beside it.
_ADAPTERS = re.compile(
    r"(.+?)\.(base_layer\.\w+|(lora|ia3|vera|hada|lokr|oft|boft)_.+|parametrizations\..+"
    r"|weight_(g|v|scale|zero_point|shape|packed|format)\w*|weight\.\w+|SCB|CB|qweight|qzeros|scales)"
)


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
    layers = {name.rpartition(".")[0] for name in own if "." in name}
    adapted = {f"{match[1]}.weight" for match in map(_ADAPTERS.fullmatch, own) if match}
    lost = tuple(
        name
        for name in names
        if ((match := _PARTS.fullmatch(name)) and match[1] in parts)
        or _COMPUTES.fullmatch(name)
        or name in adapted
        or ((match := _ADAPTERS.fullmatch(name)) and match[1] in layers)
        if not name.endswith(suffixes(allow))
    )
    if lost:
        raise ValueError(
            f"the model has no place for weights that their own computes with: {summary(lost)}; "
            "build one that has, or allow the loss by their names (allow=..., in recipes --allow)"
        )


def suffixes(allow: Collection[str]) -> tuple[str, ...]:
    """Return the suffixes of names; a single one may be given as a string."""
    return (allow,) if isinstance(allow, str) else tuple(allow)


def check_values(state: State, own: State) -> None:
    """Raise a ValueError for values that a model cannot take, or would round to something else.

    Args:
        state: weights by name, which fit those of the model.
        own: the weights of the model.
    """
    for name, x in state.items():
        plain = x.layout is torch.strided and not (x.is_meta or x.is_quantized)
        kind = "on the device meta, without values" if x.is_meta else f"{x.dtype}, {x.layout}"
        if not plain or (own[name].is_floating_point() and not x.is_floating_point()):
            raise ValueError(
                f"{name} is {kind}, and in the model {own[name].dtype}: give its values as floats; "
                "quantized weights must be dequantized with their scales"
            )
    check_finite(state)
    wrong = tuple(
        n for n, x in state.items() if own[n].is_floating_point() and not _fits(x, own[n].dtype)
    )
    if wrong:
        raise ValueError(
            f"weights beyond the range of {own[wrong[0]].dtype}: {summary(wrong)}; load them into "
            "a model of torch.float32"
        )


def _fits(x: Tensor, dtype: torch.dtype) -> bool:
    narrower = torch.finfo(dtype).max < torch.finfo(x.dtype).max
    return not narrower or bool(x.to(dtype).isfinite().all())


def check_finite(state: State) -> None:
    """Raise a ValueError that names some of the weights with infinities or NaNs, if any."""
    floats = ((n, x) for n, x in state.items() if x.is_floating_point())
    # PyTorch does not compare values of 8 bits.
    wide = ((n, x.float() if x.element_size() == 1 else x) for n, x in floats)
    wrong = tuple(n for n, x in wide if not x.isfinite().all())
    if wrong:
        raise ValueError(
            f"weights that are not finite: {summary(wrong)}; take a checkpoint of before the "
            "training diverged"
        )

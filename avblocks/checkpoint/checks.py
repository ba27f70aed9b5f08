"""Checks of weights: those that a model would lose, and values that are not finite."""

import re
from collections.abc import Collection

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
            f"the model has no place for weights that their own computes with: {summary(lost)}; "
            "build one that has, or allow the loss by their names (allow=..., in recipes --allow)"
        )


def check_finite(state: State) -> None:
    """Raise a ValueError that names some of the weights with infinities or NaNs, if any."""
    wrong = tuple(n for n, x in state.items() if x.is_floating_point() and not x.isfinite().all())
    if wrong:
        raise ValueError(
            f"weights that are not finite: {summary(wrong)}; take a checkpoint of before the "
            "training diverged"
        )

"""Conversion of names, and sizes, of published ViTs."""

import re
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from avblocks.nn.older import split_qkv
from avblocks.shapes import require

_OURS = tuple(
    (re.compile(theirs), ours)
    for theirs, ours in (
        (r"\bembeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
        (r"\b(encoder\.layer|layers?|decoder_layers)\.(?=\d)", "blocks."),
        (r"\battention\.(attention\.)?(query|q_proj)\.", "attn.q."),
        (r"\battention\.(attention\.)?(key|k_proj)\.", "attn.k."),
        (r"\battention\.(attention\.)?(value|v_proj)\.", "attn.v."),
        (r"\b(attention\.attention|attn)\.([qv])_bias$", r"attn.\2.bias"),
        (r"\battention\.(output\.dense|o_proj)\.", "attn.proj."),
        (r"\blayernorm_before\.", "norm1."),
        (r"\blayernorm_after\.", "norm2."),
        (r"\bintermediate\.dense\.", "mlp.fc1."),
        (r"\boutput\.dense\.", "mlp.fc2."),
        (r"\blayer_scale(\d)\.lambda1$", r"ls\1.gamma"),
        (r"\bmlp\.(weights_in|w12)\.", "mlp.fc1."),
        (r"\bmlp\.(weights_out|w3)\.", "mlp.fc2."),
        (r"\blayernorm\.", "norm."),
        (r"\bembeddings\.(?=\w+_tokens?$)", ""),
        (r"\bembeddings\.position_embeddings$", "pos_embed"),
        (r"\bdistillation_token$", "dist_token"),
        (r"\breg_token$", "register_tokens"),
    )
)
_HEADS = {  # of published widths whose heads are not of width 64, by timm and VideoMAE V2
    640: 8,  # decoder of VideoMAE-H
    1152: 16,  # ViT-so400m
    1280: 16,  # ViT-H
    1408: 16,  # ViT-g
    1664: 16,  # ViT-G
}


def vit_names(state: Mapping[str, Tensor], *, prefixes: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Convert the names of a ViT in any version of transformers, or in timm.

    Queries, keys and values become ``q`` and ``kv``. Keys without a bias get a zero bias: a bias
    adds the same value to all logits of a query, so it has no effect, also in training. Without
    any bias, queries and values get zeros too.

    Args:
        state: state dict of the file.
        prefixes: possible prefixes of all names, of which the first match is removed.

    Raises:
        ValueError: if two names of the file become one, as of two models in one file.

    Example:
        >>> name = "vit.encoder.layer.0.attention.output.dense.bias"
        >>> list(vit_names({name: torch.zeros(8)}, prefixes=("vit.",)))
        ['blocks.0.attn.proj.bias']
    """
    named, theirs = {}, {}
    for name, value in state.items():
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
        ours = _renamed(name.removeprefix(prefix))
        if ours in theirs:
            raise ValueError(
                f"{theirs[ours]} and {name} are both {ours}: of two models in one file, pass what "
                "the names of one begin with as prefix=..."
            )
        named[ours], theirs[ours] = value, name
    return _with_biases(join_keys_and_values(split_qkv(named)))


def _with_biases(named: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add zeros for the biases of queries, keys and values that have none."""
    weights = [name for name in named if name.endswith(("attn.q.weight", "attn.kv.weight"))]
    biases = {f"{name.removesuffix('weight')}bias": named[name] for name in weights}
    zeros = {name: x.new_zeros(x.shape[0]) for name, x in biases.items() if name not in named}
    return named | zeros


def vit_encoder(
    named: Mapping[str, Tensor], *tokens: str, with_position: int = 0
) -> dict[str, Tensor]:
    """Select the tensors of a `ViT` from those of a file, with names from `vit_names`.

    Args:
        named: tensors by these names; parts other than the encoder are dropped.
        tokens: names of the prefix tokens, in their order.
        with_position: number of prefix tokens with a position, the first ones of the table.
    """
    kept = {n: x for n, x in named.items() if n.startswith(("patch_embed.", "blocks.", "norm."))}
    if "pos_embed" in named:
        kept["pos_embed.table"] = named["pos_embed"][0, with_position:].clone()
    if tokens:
        prefix = torch.cat([named[name] for name in tokens], dim=1)
        if with_position:
            rest = prefix.shape[1] - with_position
            prefix = prefix + F.pad(named["pos_embed"][:, :with_position], (0, 0, 0, rest))
        kept["prefix_tokens"] = prefix
    return kept


def vit_sizes(state: Mapping[str, Tensor], *, num_heads: int | None = None) -> dict[str, Any]:
    """Return the sizes of a ViT, for a builder, from its converted tensors.

    Args:
        state: converted tensors.
        num_heads: heads, which are not in the file; ``None`` means those of published models.

    Raises:
        ValueError: if ``num_heads`` must be given.
    """
    dim, _, *patch = state["patch_embed.proj.weight"].shape
    return {
        "dim": dim,
        "depth": depth_of(state),
        "num_heads": heads_of(dim) if num_heads is None else num_heads,
        "mlp_ratio": state["blocks.0.mlp.fc2.weight"].shape[1] / dim,
        "patch": tuple(patch),
    }


def depth_of(state: Mapping[str, Tensor], *, blocks: str = "blocks.") -> int:
    """Return the number of blocks, from the names that begin with ``blocks``."""
    numbers = [n.removeprefix(blocks).split(".")[0] for n in state if n.startswith(blocks)]
    return 1 + max(map(int, numbers))


def heads_of(dim: int) -> int:
    """Return the number of heads of published ViTs of a width: of width 64, but in the largest.

    Raises:
        ValueError: if no published ViT of that width is known.

    Example:
        >>> heads_of(768), heads_of(1280)
        (12, 16)
    """
    fits = dim % 64 == 0
    require(fits, "num_heads", None, "given: the file does not say it for a width of {}", dim)
    return _HEADS.get(dim, dim // 64)


def _renamed(name: str) -> str:
    for theirs, ours in _OURS:
        name = theirs.sub(ours, name)
    return name


def join_keys_and_values(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Join ``k`` and ``v`` of all attentions to ``kv``; keys without a bias get a zero bias."""
    joined = {}
    for name, value in state.items():
        stem, _, kind = name.rpartition(".")
        if stem.endswith("attn.v"):
            key = f"{stem[:-1]}k.{kind}"
            keys = torch.zeros_like(value) if kind == "bias" and key not in state else state[key]
            joined[f"{stem[:-1]}kv.{kind}"] = torch.cat((keys, value))
        elif not stem.endswith("attn.k"):
            joined[name] = value
    return joined

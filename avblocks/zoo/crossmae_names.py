"""CrossMAE's published files: sizes and names."""

import math
import re
from typing import Any

from avblocks.checkpoint.read import State
from avblocks.checkpoint.report import Converted
from avblocks.nn.older import split_qkv
from avblocks.shapes import require
from avblocks.zoo.names import depth_of, heads_of


def crossmae_sizes(
    state: State, *, num_heads: int | None = None, decoder_heads: int | None = None
) -> dict[str, Any]:
    """Arguments of `crossmae` for a file; heads are as wide as the published models' if not given.

    Raises:
        ValueError: if the heads must be given, or the mixture is of some layers only.
    """
    dim, _, patch, _ = state["patch_embed.proj.weight"].shape
    depth, decoder_dim = depth_of(state), state["mask_token"].shape[-1]
    layers = state["wfm.linear.weight"].shape[1]
    require(layers in (depth, depth + 1), "mixed layers", layers, f"all {depth} or the input too")
    return {
        "dim": dim,
        "depth": depth,
        "num_heads": num_heads or heads_of(dim),
        "size": math.isqrt(state["pos_embed"].shape[1] - 1) * patch,
        "patch": patch,
        "decoder_dim": decoder_dim,
        "decoder_depth": depth_of(state, blocks="decoder_blocks."),
        "decoder_heads": decoder_heads or heads_of(2 * decoder_dim),
        "use_input": layers == depth + 1,
        "mlp_ratio": state["blocks.0.mlp.fc1.weight"].shape[0] / dim,
    }


_RENAMES = (
    (r"^decoder_pos_embed$", "decoder.pos_embed.table"),
    (r"^pos_embed$", "encoder.pos_embed.table"),
    (r"^cls_token$", "encoder.prefix_tokens"),
    (r"^dec_norms\.", "decoder.mixture.norms."),
    (r"^wfm\.", "decoder.mixture."),
    (r"^decoder_", "decoder."),
    (r"^mask_token$", "decoder.mask_token"),
    (r"^(?=patch_embed\.|blocks\.)", "encoder."),
)


def from_crossmae(state: State) -> Converted:
    """CrossMAE's names in those of `crossmae`; the class token has no position in its code."""
    kept = {}
    for name, value in state.items():
        ours = next((re.sub(old, new, name) for old, new in _RENAMES if re.match(old, name)), name)
        kept[ours] = value[0, 1:] if name.endswith("pos_embed") else value
    return Converted(split_qkv(kept))

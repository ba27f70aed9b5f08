"""Conversion of weights of the reference (`stoneMo/DeepAVFusion`), with any of its fusions."""

import re

import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.checkpoint.read import State
from avblocks.checkpoint.report import Converted
from avblocks.nn.older import split_pairs, split_qkv

_COMMON = {"norm1_mm.": "norm_fusion.", "norm2.": "norm_mlp."}
_STRAIGHT = {"norm1_img.": "norm_image.", "norm1_aud.": "norm_audio."}
# In token fusion, the image tokens pass the norm named for audio, and vice versa.
_SWAPPED = {"norm1_img.": "norm_audio.", "norm1_aud.": "norm_image."}
# Prefixes of names inside a fusion block, the longer ones first.
_RENAMES = {
    "token": _COMMON | _SWAPPED | {"attn.": "interaction.attn."},
    "dense": _COMMON | _STRAIGHT | {"attn.": "interaction."},
    "factorized": _COMMON
    | _STRAIGHT
    | {
        "attn.attn_v.": "interaction.image_aggregator.attn.",
        "attn.attn_a.": "interaction.audio_aggregator.attn.",
        "attn.": "interaction.pairs.",
    },
}
_BLOCK = re.compile(r"((?:encoder\.)?(image\.blocks|audio\.blocks|fusion_blocks)\.(\d+)\.)(.+)")
_DECODER = re.compile(r"(image|audio)_decoder_(.+)")
_FIXED = ("image.pos_embed", "audio.pos_embed")


def from_deepavfusion(state: State) -> Converted:
    """Convert a masked autoencoder or an encoder of the reference to `AVMAE` or `AVEncoder`.

    The conversion corrects two swaps: in *token* fusion, image tokens pass the norm named for audio
    and vice versa; in *dense* fusion, pairs are ``[audio; image]``.

    If the ViTs differ in depth, the reference runs only the layers of the shallower one. The blocks
    that it never runs are dropped, so build the encoder with that depth.

    The positions of the decoders are trained: use `av_mae` with ``learned_position``.

    Args:
        state: state dict of the file, with names starting with ``encoder.`` or ``image.``.

    Raises:
        ValueError: if it is not a file of the reference.
    """
    if not any(key.removeprefix("encoder.") == "fusion_tokens" for key in state):
        raise ValueError("not a DeepAVFusion checkpoint: it has no 'fusion_tokens'")
    fusion, layers = _fusion(state), _layers_run(state)
    kept, dropped = {}, []
    for key, value in state.items():
        block = _BLOCK.fullmatch(key)
        if key.endswith(_FIXED) or (block and int(block[3]) >= layers):
            dropped.append(key)
        elif block and block[2] == "fusion_blocks":
            kept |= {block[1] + name: v for name, v in _in_block(fusion, block[4], value).items()}
        elif key.endswith("_decoder_pos_embed"):  # trained, despite the reference's comment
            kept[_DECODER.sub(r"\1_decoder.\2.table", key)] = value[0]
        else:
            kept[_DECODER.sub(r"\1_decoder.\2", key)] = value
    return Converted(split_qkv(kept), tuple(dropped))


def _fusion(state: State) -> str:
    for key, value in state.items():
        if ".attn.attn_v." in key:
            return "factorized"
        if "fusion_blocks." in key and key.endswith(".attn.kv.weight"):
            return "dense" if value.shape[1] == 2 * _width(state) else "token"
    return "factorized"


def _width(state: State) -> int:
    return next(value for key, value in state.items() if key.endswith("fusion_tokens")).shape[-1]


def _layers_run(state: State) -> int:
    depth = {"image.blocks": 0, "audio.blocks": 0}
    for block in filter(None, map(_BLOCK.fullmatch, state)):
        if block[2] in depth:
            depth[block[2]] = max(depth[block[2]], int(block[3]) + 1)
    return min(depth.values())


def _in_block(fusion: str, name: str, value: Tensor) -> State:
    for begin, ours in _RENAMES[fusion].items():
        if name.startswith(begin):
            name = ours + name.removeprefix(begin)
            break
    if fusion == "dense" and ".kv." in name:
        k, v = value.chunk(2)
        return {
            **split_pairs(name.replace(".kv.", ".k."), _image_first(k)),
            **split_pairs(name.replace(".kv.", ".v."), _image_first(v)),
        }
    pairs = name.startswith(("interaction.pairs.k.", "interaction.pairs.v."))
    return split_pairs(name, value) if pairs else {name: value}


def _image_first(half: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    if half.dim() == 1:
        return half
    audio, image = half.chunk(2, dim=1)
    return torch.cat((image, audio), dim=1)

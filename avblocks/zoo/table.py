"""The kinds of files that `load` supports: one row per model, the more specific ones first."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from avblocks.build import av_vit
from avblocks.checkpoint.read import State
from avblocks.checkpoint.rebuild import register_encoder
from avblocks.checkpoint.report import Converted
from avblocks.zoo.ast import ast, ast_sizes, from_ast
from avblocks.zoo.cavmae import cavmae_encoder
from avblocks.zoo.cavmae_names import (
    cavmae,
    cavmae_classifier,
    cavmae_classifier_sizes,
    cavmae_pretraining_sizes,
    from_cavmae,
)
from avblocks.zoo.cavmae_sync import cavmae_sync_encoder
from avblocks.zoo.cavmae_sync_names import cavmae_sync_sizes, from_cavmae_sync
from avblocks.zoo.crossmae import crossmae
from avblocks.zoo.crossmae_names import crossmae_sizes, from_crossmae
from avblocks.zoo.dinov2 import dinov2, dinov2_sizes, from_dinov2
from avblocks.zoo.eat import eat, eat_sizes, from_eat
from avblocks.zoo.joined import joined
from avblocks.zoo.mae import from_mae, mae, mae_sizes
from avblocks.zoo.mbt import mbt, mbt_encoder
from avblocks.zoo.mbt_file import from_mbt, mbt_sizes
from avblocks.zoo.ours import av_vit_sizes, from_ours, joint_sizes
from avblocks.zoo.videomae import (
    from_videomae,
    videomae,
    videomae_sizes,
)
from avblocks.zoo.videomae_mae import from_videomae_mae, videomae_mae, videomae_mae_sizes


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: name of the kind.
        has: regular expressions, each of which matches a parameter name in the file.
        sizes: function of the state dict and known values that returns the builder's arguments.
        build: the builder.
        convert: function that converts a state dict to the parameter names of the model.
        reads: inputs of the patch embedding, as in `inputs_of`; empty if the names are enough.
    """

    name: str
    has: tuple[str, ...]
    sizes: Callable[..., dict[str, Any]]
    build: Callable[..., nn.Module]
    convert: Callable[[State], State | Converted]
    reads: tuple[str, ...] = ()

    def fits(self, state: State) -> bool:
        """Whether the names of a file match all patterns, and its patches are of such inputs."""
        names = "\n".join(state)
        named = all(re.search(pattern, names, re.MULTILINE) for pattern in self.has)
        return named and (not self.reads or inputs_of(state) in self.reads)


_TOWERS = r"^patch_embed_a\.proj\.weight$"
_CLASS, _POSITIONS = r"\bcls_token$", r"(^|\.)(pos_embed|position_embeddings)$"
_DISTILLED = r"\bdist(illation)?_token$"
_LAYER_SCALE = r"\b(ls1\.gamma|layer_scale1\.lambda1)$"
_PATCHES = r"\bpatch_embed(dings\.projection|\.proj)\.weight$"


def inputs_of(state: State) -> str:
    """Describe the inputs of the patch embedding in a file; empty if it is not found.

    Returns:
        ``"image"``, ``"audio"`` or ``"video"``, or the shape of another kernel.
    """
    shape = next((tuple(x.shape) for name, x in state.items() if re.search(_PATCHES, name)), ())
    kinds: dict[tuple[int, ...], str] = {(4, 3): "image", (4, 1): "audio", (5, 3): "video"}
    return kinds.get((len(shape), *shape[1:2]), str(shape) if shape else "")


def _videomae_mae_sizes(
    state: State,
    *,
    decoder_heads: int | None = None,
    norm_eps: float = 1e-12,
    size: tuple[int, ...] = (16, 224, 224),
    num_heads: int | None = None,
) -> dict[str, Any]:
    decoder = videomae_mae_sizes(state, num_heads=decoder_heads) | {"norm_eps": norm_eps}
    encoder = videomae_sizes(state, num_heads=num_heads, size=size) | {"norm_eps": norm_eps}
    return decoder | {"encoder": encoder}


def _videomae_mae(encoder: dict[str, Any], **decoder: Any) -> nn.Module:
    return videomae_mae(videomae(**encoder), **decoder)


KINDS = (
    Kind(
        "avblocks_joint",
        (r"\bfusion_tokens$", r"\bfusion_blocks\.\d+\.norm1\.both\.weight$"),
        joint_sizes,
        cavmae_encoder,
        from_ours,
    ),
    Kind(
        "avblocks",
        (r"^(model\.(mae\.)?)?(encoder\.)?fusion_tokens$",),
        av_vit_sizes,
        av_vit,
        from_ours,
    ),
    Kind(
        "cavmae_sync",
        (_TOWERS, r"^(cls_token_a|register_tokens|constrative_head_audio\.)"),
        cavmae_sync_sizes,
        cavmae_sync_encoder,
        from_cavmae_sync,
    ),
    Kind(
        "cavmae",
        (_TOWERS, r"^decoder_pred_a\."),
        cavmae_pretraining_sizes,
        cavmae,
        from_cavmae,
    ),
    Kind(
        "cavmae_classifier",
        (_TOWERS, r"^mlp_head\.1\."),
        cavmae_classifier_sizes,
        cavmae_classifier,
        from_cavmae,
    ),
    Kind("crossmae", (r"^wfm\.linear\.weight$",), crossmae_sizes, crossmae, from_crossmae),
    Kind("deit", (_DISTILLED,), ast_sizes, ast, from_ast, reads=("image",)),
    Kind("ast", (_DISTILLED,), ast_sizes, ast, from_ast, reads=("audio",)),
    Kind("mbt", (r"\bencoderblock_0_spectrogram[./]",), mbt_sizes, mbt, from_mbt),
    Kind(
        "eat",
        (r"\b(modality_encoders\.IMAGE\.)?local_encoder\.proj\.weight$",),
        eat_sizes,
        eat,
        from_eat,
    ),
    Kind(
        "dinov2",
        (_CLASS, _LAYER_SCALE),
        dinov2_sizes,
        dinov2,
        from_dinov2,
        reads=("image",),
    ),
    Kind(
        "videomae_mae",
        (r"^encoder_to_decoder\.weight$",),
        _videomae_mae_sizes,
        _videomae_mae,
        from_videomae_mae,
    ),
    Kind(
        "mae",
        (_CLASS, _POSITIONS, _PATCHES),
        mae_sizes,
        mae,
        from_mae,
        reads=("image", "audio"),
    ),
    Kind(
        "videomae",
        (_PATCHES, r"\b(v_bias|value\.(bias|weight))$"),
        videomae_sizes,
        videomae,
        from_videomae,
        reads=("video",),
    ),
)

# Encoders that `save_pretrained` may write.
_BOTH = (cavmae_encoder, cavmae_sync_encoder, mbt_encoder)
for _encoder in (*_BOTH, ast, dinov2, eat, joined, mae, videomae):
    register_encoder(_encoder)

"""The builders' numbers: read back from what they built, and built again without any memory."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from avblocks.build import av_mae, av_vit
from avblocks.encoder import AVEncoder
from avblocks.fusion.dense import DenseFusion
from avblocks.fusion.factorized import FactorizedFusion
from avblocks.fusion.token import TokenFusion
from avblocks.mae import AVMAE
from avblocks.nn.vit import ViT

Numbers = Mapping[str, Mapping[str, Any]]
"""Arguments by builder: ``av_vit``, and ``av_mae`` for an autoencoder."""

_FUSIONS = {
    TokenFusion: ("token", "attn.q"),
    DenseFusion: ("dense", "q"),
    FactorizedFusion: ("factorized", "pairs.q"),
}
_NOT_OF_THE_MODEL = ("training", "checkpointing")
_REMEDY = (
    "save one that you composed yourself with safetensors.torch.save_file(model.state_dict(), "
    "FILE), build it in your own code, and fill it with load_weights(model, read_state(FILE), "
    "strict=True)"
)


def numbers_of(model: AVEncoder | AVMAE) -> Numbers:
    """The arguments with which the builders make this very model, weights aside.

    Whatever else could change its result is compared with such a model: the class of each part,
    the numbers it keeps, and its shapes.

    Raises:
        ValueError: naming a part that no builder makes.
    """
    try:
        numbers = _read(model)
        twin = build_mae(numbers) if "av_mae" in numbers else build_encoder(numbers)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"av_vit and av_mae build no such model: {error!r}; {_REMEDY}") from error
    own, theirs = _facts(model), _facts(twin)
    for name in own | theirs:
        if own.get(name) != theirs.get(name):
            raise ValueError(
                f"av_vit and av_mae build no such model: {name} is {own.get(name, 'missing')}, "
                f"theirs {theirs.get(name, 'missing')}; {_REMEDY}"
            )
    return numbers


def build_encoder(numbers: Numbers) -> AVEncoder:
    """The encoder of these numbers, on the meta device."""
    with torch.device("meta"):
        return av_vit(**numbers["av_vit"])


def build_mae(numbers: Numbers) -> AVMAE:
    """The autoencoder of these numbers, on the meta device."""
    with torch.device("meta"):
        return av_mae(build_encoder(numbers), **numbers["av_mae"])


def _read(model: AVEncoder | AVMAE) -> Numbers:
    if isinstance(model, AVEncoder):
        return {"av_vit": _of_encoder(model)}
    decoder: Any = model.image_decoder
    decoders = {
        "dim": decoder.embed.out_features,
        "depth": len(decoder.blocks),
        "num_heads": decoder.blocks[0].attn.num_heads,
        "normalize_targets": model.normalize_targets,
    }
    return {"av_vit": _of_encoder(model.encoder), "av_mae": decoders}


def _of_encoder(encoder: AVEncoder) -> dict[str, Any]:
    image, audio = encoder.image, encoder.audio
    block: Any = image.blocks[0]
    layers = tuple(int(layer) for layer in encoder.fusion_blocks)
    fusion: Any = encoder.fusion_blocks[str(layers[0])] if layers else None
    return {
        "dim": image.dim,
        "depth": (len(image.blocks), len(audio.blocks)),
        "num_heads": block.attn.num_heads,
        "image_size": _size(image),
        "audio_size": _size(audio),
        "patch": image.patch[0],
        "fusion_layers": layers,
        "drop_path": block.drop_path.rate,
        **_of_fusion(fusion, dim=image.dim, tokens=encoder.fusion_tokens.shape[1]),
    }


def _size(stream: ViT) -> tuple[int, ...]:
    return tuple(n * p for n, p in zip(stream.pos_embed.grid, stream.patch, strict=True))


def _of_fusion(block: Any, *, dim: int, tokens: int) -> dict[str, Any]:
    # Only the factorized fusion tells the three kinds of tokens apart; else any split will do.
    each = max(1, tokens // 4)
    split = (tokens - 2 * each, each, each)
    if block is None:
        return {"fusion": "factorized", "num_tokens": split, "attn_ratio": 0.25, "mlp_ratio": 1.0}
    interaction = block.interaction
    name, queries = _FUSIONS[type(interaction)]
    return {
        "fusion": name,
        "num_tokens": interaction.num_tokens if name == "factorized" else split,
        "attn_ratio": _ratio(interaction.get_submodule(queries).out_features, dim),
        "mlp_ratio": _ratio(block.mlp.fc1.out_features, dim),
    }


def _ratio(width: int, dim: int) -> float:
    """The share of `dim` that comes to this width when the builders round it down."""
    ratio = width / dim
    return ratio if int(dim * ratio) == width else (width + 0.5) / dim


def _facts(model: nn.Module) -> dict[str, str]:
    facts = {}
    for path, module in model.named_modules():
        name = path or "it"
        facts[name] = f"a {type(module).__module__}.{type(module).__qualname__}"
        for key, value in vars(module).items():
            if not key.startswith("_") and key not in _NOT_OF_THE_MODEL:
                facts[f"{name}.{key}"] = repr(value)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        facts[f"the shape of {name}"] = str(tuple(tensor.shape))
    return facts

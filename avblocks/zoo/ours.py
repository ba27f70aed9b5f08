"""Sizes of encoders of avblocks and of the paper, from their tensors and their run folder."""

from pathlib import Path
from typing import Any

from avblocks.checkpoint.encoder import from_encoder
from avblocks.checkpoint.read import State
from avblocks.checkpoint.report import Converted
from avblocks.data import ClipFormat
from avblocks.jsonfile import Shape, read_json
from avblocks.nn.older import split_qkv
from avblocks.shapes import require
from avblocks.zoo.names import depth_of, heads_of

_PAPER_TOKENS = (16, 8, 8)
_OTHER = "give another checkpoint"
# A tensor that only one of the fusions has, whose first side is the width of its attention.
_WIDTHS = {
    "token": "interaction.attn.q.weight",
    "dense": "interaction.q.weight",
    "factorized": "interaction.pairs.q.weight",
}
_RUN: Shape = {
    "data": {"size": int, "mels": int, "seconds": (int, float), "rate": int},
    "model": {"heads": int, "num_tokens": [int], "fusion": str, "fusion_layers": (str, [int])},
}


def from_ours(state: State) -> Converted:
    """The encoder of a run, of a saved folder or of a DeepAVFusion file, by the names of `av_vit`.

    Raises:
        ValueError: if there is none.
    """
    found = from_encoder(state)
    if found is None:
        raise ValueError("no encoder of avblocks or DeepAVFusion: there are no fusion tokens")
    return Converted(split_qkv(found.state), found.dropped)


def av_vit_sizes(
    state: State,
    *,
    num_heads: int | None = None,
    num_tokens: tuple[int, ...] | None = None,
    image_size: int | tuple[int, ...] = 224,
    audio_size: tuple[int, int] = (128, 192),
) -> dict[str, Any]:
    """The arguments of `av_vit` for a file.

    Args:
        state: the file's state dict, in its own names.
        num_heads: heads; ``None`` means heads of width 64, as in the paper.
        num_tokens: fusion and aggregation tokens; ``None`` means the paper's if they are as many.
        image_size: usual side of the image, which the file does not say and fixed positions do not
            depend on.
        audio_size: usual (mel bins, frames) of the spectrogram, likewise.

    Raises:
        ValueError: if the heads or the tokens must be given.
    """
    named = from_ours(state).state
    dim, _, *patch = named["image.patch_embed.proj.weight"].shape
    count = named["fusion_tokens"].shape[1]
    fits = num_tokens is not None or count == sum(_PAPER_TOKENS)
    require(fits, "num_tokens", num_tokens, f"given: how {count} tokens are split is in no file")
    depth = tuple(depth_of(named, blocks=f"{name}.blocks.") for name in ("image", "audio"))
    sizes = {"dim": dim, "depth": depth, "num_heads": num_heads or heads_of(dim)}
    sizes |= {"image_size": image_size, "audio_size": audio_size, "patch": tuple(patch)}
    return sizes | {"num_tokens": num_tokens or _PAPER_TOKENS} | _fusion_sizes(named, dim)


def joint_sizes(
    state: State,
    *,
    num_heads: int | None = None,
    image_size: int | tuple[int, ...] = 224,
    audio_size: tuple[int, int] = (128, 1024),
) -> dict[str, Any]:
    """The arguments of `cavmae_encoder` for the encoder of one of our runs.

    Args:
        state: the file's state dict, in its own names.
        num_heads: heads; ``None`` means heads of width 64, as published.
        image_size: usual side of the image, or (height, width), which the file does not say.
        audio_size: usual (mel bins, frames) of the spectrogram, likewise.

    Raises:
        ValueError: if the heads must be given.
    """
    named = from_ours(state).state
    dim, _, _, patch = named["image.patch_embed.proj.weight"].shape
    depth = depth_of(named, blocks="image.blocks.")
    return {
        "dim": dim,
        "depth": depth,
        "joint_depth": depth_of(named, blocks="fusion_blocks.") - depth - 1,  # the last is a norm
        "num_heads": num_heads or heads_of(dim),
        "image_size": image_size,
        "audio_size": audio_size,
        "patch": patch,
        "mlp_ratio": named["image.blocks.0.mlp.fc1.weight"].shape[0] / dim,
    }


def _fusion_sizes(named: State, dim: int) -> dict[str, Any]:
    start = "fusion_blocks."
    layers = sorted({int(n.split(".")[1]) for n in named if n.startswith(start)})
    if not layers:
        return {"fusion_layers": "none"}
    first = f"{start}{layers[0]}."
    kind = next(kind for kind, name in _WIDTHS.items() if first + name in named)
    return {
        "fusion": kind,
        "fusion_layers": tuple(layers),
        "attn_ratio": named[first + _WIDTHS[kind]].shape[0] / dim,
        "mlp_ratio": named[f"{first}mlp.fc1.weight"].shape[0] / dim,
    }


def run_encoder(path: Path) -> dict[str, Any] | None:
    """Read the builder of the encoder from the run folder of a checkpoint, and its arguments.

    Returns:
        ``None`` if it is no checkpoint of a run, or the run records none, as those of `av_vit`.

    Raises:
        ValueError: if the configuration of the run is damaged.
    """
    file = path.parent.parent / "config.json"
    if path.suffix != ".ckpt" or not file.is_file():
        return None
    content = read_json(file, dict, remedy=_OTHER)
    shape: Shape = {"encoder": {"builder": str, "arguments": dict}}
    return read_json(file, shape, remedy=_OTHER)["encoder"] if "encoder" in content else None


def run_sizes(path: Path) -> dict[str, Any]:
    """Read the sizes of an encoder from its run folder that are not in its tensors.

    Raises:
        ValueError: if it is of a run and does not record this.
    """
    file = path.parent.parent / "config.json"
    if path.suffix != ".ckpt" or not file.is_file():
        return {}
    config = read_json(file, {"config": _RUN}, remedy=_OTHER)["config"]
    data, model = config["data"], config["model"]
    names = ("seconds", "rate", "hop", "size", "mels", "frames")
    numbers = {name: data[name] for name in names if data.get(name) is not None}
    clips = ClipFormat(**{"hop": data["rate"] // 64} | numbers)
    sizes = {"image_size": clips.image_size, "audio_size": clips.audio_size}
    sizes |= {"num_heads": model["heads"]}
    if model["fusion"] == "joint":
        return sizes
    sizes |= {"num_tokens": tuple(model["num_tokens"])}
    if model["fusion"] == "bottleneck":  # its layers have no tensors
        sizes |= {"fusion": "bottleneck", "fusion_layers": model["fusion_layers"]}
    return sizes

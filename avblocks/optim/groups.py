"""Parameter groups: weight decay, pre-trained parameters, layer-wise learning rates."""

import re
from collections.abc import Callable, Collection
from typing import Any

from torch import nn

from avblocks.shapes import require

_BLOCK = re.compile(r"(?:.*\.)?(?:fusion_)?blocks\.(\d+)\..*")
_BOTTOM = re.compile(r"(?:.*\.)?(?:patch_embed\.|pos_embed\.|fusion_tokens$).*")
_TOP = re.compile(r"(?:.*\.)?(?:fusion_)?norm\..*")


def param_groups(
    model: nn.Module, *, weight_decay: float = 0.05, pretrained: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Groups for AdamW: no decay on vectors (biases and norms), pre-trained parameters apart.

    Fusion and mask tokens are matrices and decay, as in the reference.

    Args:
        model: the model; parameters without a gradient are left out.
        weight_decay: weight decay of the matrices.
        pretrained: names of the parameters that start pre-trained, such as a load report's
            ``loaded``.

    Returns:
        At most four groups with ``params``, ``weight_decay`` and ``pretrained``.

    Raises:
        ValueError: if the decay is negative, or a pre-trained name not in the model's state.
    """
    unknown = set(pretrained) - set(model.state_dict())
    require(not unknown, "pretrained", sorted(unknown)[:4], "names of the model's state")
    return _grouped(model, weight_decay, lambda name: {"pretrained": name in pretrained})


def layer_decay_groups(
    model: nn.Module,
    *,
    depth: int,
    encoder: str = "encoder.",
    lr_decay: float = 0.75,
    weight_decay: float = 0.05,
) -> list[dict[str, Any]]:
    """Groups for fine-tuning with layer-wise learning rate decay (BEiT).

    Layer 0 holds patch embeddings, positions and fusion tokens, layer i + 1 block i of both ViTs
    and of the fusion, layer ``depth + 1`` the final norms and all parameters outside the encoder.
    The rate of a layer is scaled by ``lr_decay ** (depth + 1 - layer)``. As in the reference, the
    fusion tokens are in layer 0 and decay, being a matrix; vectors (biases and norms) do not decay.

    Args:
        model: the encoder and its head in one module; parameters without a gradient are left out.
        depth: blocks of the deeper ViT, `AVEncoder.depth`.
        encoder: prefix of the encoder's parameter names.
        lr_decay: factor on the learning rate from a layer to the one below (paper: 0.75).
        weight_decay: weight decay of the matrices.

    Returns:
        Groups with ``params``, ``weight_decay`` and ``lr_scale``.

    Raises:
        ValueError: if a number is impossible, no name starts with ``encoder``, the encoder has
            another depth, or one of its parameters belongs to no layer.

    Example:
        >>> from avblocks import av_vit
        >>> sizes = {"image_size": 32, "audio_size": (32, 32)}
        >>> model = nn.ModuleDict({"encoder": av_vit(16, depth=2, num_heads=4, **sizes)})
        >>> model["head"] = nn.Linear(16, 5)
        >>> groups = layer_decay_groups(model, depth=2, lr_decay=0.5)
        >>> sorted({group["lr_scale"] for group in groups})
        [0.125, 0.25, 0.5, 1.0]
    """
    require(0.0 < lr_decay <= 1.0, "lr_decay", lr_decay, "in (0, 1]")
    layers = _layers(model, encoder=encoder, depth=depth)
    return _grouped(
        model,
        weight_decay,
        lambda name: {"lr_scale": lr_decay ** (depth + 1 - layers.get(name, depth + 1))},
    )


def _grouped(
    model: nn.Module, weight_decay: float, settings: Callable[[str], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Parameters of equal settings in one group; vectors have no weight decay."""
    require(weight_decay >= 0.0, "weight_decay", weight_decay, "zero or above")
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = weight_decay if parameter.ndim > 1 else 0.0
            empty = {"params": [], "weight_decay": decay, **settings(name)}
            key = (parameter.ndim > 1, *settings(name).values())
            groups.setdefault(key, empty)["params"].append(parameter)
    return list(groups.values())


def _layers(model: nn.Module, *, encoder: str, depth: int) -> dict[str, int]:
    """The layer of each of the encoder's parameters."""
    names = [name for name, _ in model.named_parameters() if name.startswith(encoder)]
    require(len(names) > 0, "encoder", encoder, "what the encoder's names start with")
    layers = {name: _layer(name.removeprefix(encoder), top=depth + 1) for name in names}
    blocks = max((layers[name] for name in names if _BLOCK.fullmatch(name)), default=0)
    require(blocks == depth, "depth", depth, f"the {blocks} blocks that the encoder has")
    return layers


def _layer(name: str, *, top: int) -> int:
    block = _BLOCK.fullmatch(name)
    if block:
        return int(block[1]) + 1
    known = _BOTTOM.fullmatch(name) or _TOP.fullmatch(name)
    require(known is not None, "encoder", name, "made of blocks, embeddings and final norms")
    return 0 if _BOTTOM.fullmatch(name) else top

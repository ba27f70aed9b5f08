"""Parameter groups: weight decay, pre-trained parameters, layer-wise learning rates."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol, runtime_checkable

from torch import nn

from avblocks.shapes import require
from avblocks.wrappers import without_inserted


@runtime_checkable
class HasLayers(Protocol):
    """Protocol of an encoder with the layer of each parameter, such as `AVEncoder` and `ViT`.

    Attributes:
        depth: number of layers.
    """

    depth: int

    def param_layers(self) -> Mapping[str, int]:
        """Layer of each parameter by its name, from 0, the embeddings, to ``depth + 1``."""
        ...


def param_groups(
    model: nn.Module, *, weight_decay: float = 0.05, pretrained: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Build groups for AdamW: no decay of vectors (biases, norms), separate pre-trained groups.

    Fusion and mask tokens are matrices and decay, as in the reference.

    Args:
        model: the model; parameters that do not require a gradient are excluded.
        weight_decay: weight decay of the matrices.
        pretrained: names of the parameters with pre-trained weights, such as ``loaded`` of a load
            report.

    Returns:
        At most four groups with ``params``, ``weight_decay`` and ``pretrained``.

    Raises:
        ValueError: if the decay is negative, or a pre-trained name is not in the model's state.
    """
    unknown = set(pretrained) - set(model.state_dict())
    require(not unknown, "pretrained", sorted(unknown)[:4], "names of the model's state")
    return _grouped(model, weight_decay, lambda name: {"pretrained": name in pretrained})


def layer_decay_groups(
    model: nn.Module,
    *,
    encoder: str = "encoder",
    lr_decay: float = 0.75,
    weight_decay: float = 0.05,
) -> list[dict[str, Any]]:
    """Build groups for fine-tuning with layer-wise learning rate decay (BEiT).

    The encoder assigns a layer to each parameter (`AVEncoder.param_layers`): 0 for embeddings and
    fusion tokens, i + 1 for block i of both streams and of the fusion, ``depth + 1`` for the final
    norms. Parameters outside the encoder are in layer ``depth + 1`` too.

    The rate of a layer is scaled by ``lr_decay ** (depth + 1 - layer)``. As in the reference, the
    fusion tokens are in layer 0 and have weight decay, since they are a matrix; vectors (biases and
    norms) have none.

    Args:
        model: the encoder and its head in one module; parameters that do not require a gradient are
            excluded.
        encoder: name of the encoder in the model, empty if it is the model itself.
        lr_decay: factor on the learning rate from a layer to the one below (paper: 0.75).
        weight_decay: weight decay of the matrices.

    Returns:
        Groups with ``params``, ``weight_decay`` and ``lr_scale``.

    Raises:
        ValueError: if a number is out of range, the encoder is not in the model, it has no
            ``param_layers``, or these lack a parameter.

    Example:
        >>> from avblocks import av_vit
        >>> sizes = {"image_size": 32, "audio_size": (32, 32)}
        >>> model = nn.ModuleDict({"encoder": av_vit(16, depth=2, num_heads=4, **sizes)})
        >>> model["head"] = nn.Linear(16, 5)
        >>> groups = layer_decay_groups(model, lr_decay=0.5)
        >>> sorted({group["lr_scale"] for group in groups})
        [0.125, 0.25, 0.5, 1.0]
    """
    require(0.0 < lr_decay <= 1.0, "lr_decay", lr_decay, "in (0, 1]")
    layers, depth = _layers(model, encoder=encoder)
    top = depth + 1

    def scale(name: str) -> dict[str, Any]:
        return {"lr_scale": lr_decay ** (top - layers.get(without_inserted(name), top))}

    return _grouped(model, weight_decay, scale)


def _grouped(
    model: nn.Module, weight_decay: float, settings: Callable[[str], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Group parameters of equal settings; vectors have no weight decay."""
    require(weight_decay >= 0.0, "weight_decay", weight_decay, "zero or above")
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = weight_decay if parameter.ndim > 1 else 0.0
            empty = {"params": [], "weight_decay": decay, **settings(name)}
            key = (parameter.ndim > 1, *settings(name).values())
            groups.setdefault(key, empty)["params"].append(parameter)
    return list(groups.values())


def _layers(model: nn.Module, *, encoder: str) -> tuple[dict[str, int], int]:
    """Return the layer of each parameter of the encoder, and the number of layers."""
    try:
        found: Any = model.get_submodule(encoder.removesuffix("."))
    except AttributeError as error:
        there = [name for name, part in model.named_modules() if hasattr(part, "param_layers")]
        remedy = f": in this model, it is {there[0]!r}" if there else ""
        raise ValueError(
            f"encoder must be the name of a module, got {encoder!r}{remedy}"
        ) from error
    # From Python 3.12 on, `isinstance` does not find what a compiled module has of the one inside.
    if not all(hasattr(found, part) for part in ("depth", "param_layers")):
        kind = type(found).__name__
        raise ValueError(f"encoder must have `depth` and `param_layers`, as AVEncoder, got {kind}")
    prefix = f"{encoder.removesuffix('.')}." if encoder else ""
    layers = {without_inserted(n): layer for n, layer in found.param_layers().items()}
    own = {name: without_inserted(name) for name, _ in found.named_parameters()}
    unknown = [name for name, short in own.items() if short not in layers]
    if unknown:
        kind = type(found).__name__
        raise ValueError(
            f"encoder: param_layers of {kind} has no layer for {unknown[0]!r}: if {kind} wraps an "
            "encoder, give the name of the encoder inside"
        )
    return {prefix + short: layers[short] for short in own.values()}, found.depth

"""Conversion of parameter names of older checkpoints and published files."""

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class HasOlderNames(Protocol):
    """Protocol of a module whose parameters had other names, or were joined, in older versions."""

    def rename_older(self, state: MutableMapping[str, Tensor], prefix: str) -> None:
        """Replace the older names of this module in a state dict by the current ones, in place."""
        ...


def accept_older(module: nn.Module) -> None:
    """Let ``load_state_dict`` of a module, or of its parent, accept older names."""
    module.register_load_state_dict_pre_hook(_rename)


def renamed(
    model: nn.Module, state: Mapping[str, Tensor], *, named: Callable[[str], str] = str
) -> dict[str, Tensor]:
    """Return the state dict with older names replaced by those of the model.

    Args:
        model: the model.
        state: the state dict.
        named: function from a path in the model to that in the state dict.

    Example:
        >>> import torch
        >>> from avblocks.nn import Attention
        >>> joint = {"qkv.weight": torch.zeros(24, 8), "proj.bias": torch.zeros(8)}
        >>> sorted(renamed(Attention(8, num_heads=2), joint))
        ['kv.weight', 'proj.bias', 'q.weight']
    """
    state = dict(state)
    for path, module in model.named_modules():
        if isinstance(module, HasOlderNames):
            module.rename_older(state, named(f"{path}." if path else ""))
    return state


def split_qkv(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Split ``qkv``, the joint layer of timm, MAE and avblocks until 0.1, into ``q`` and ``kv``.

    Example:
        >>> import torch
        >>> sorted(split_qkv({"blocks.0.attn.qkv.bias": torch.zeros(24)}))
        ['blocks.0.attn.kv.bias', 'blocks.0.attn.q.bias']
    """
    parts = {}
    for name, value in state.items():
        stem, joint, kind = name.rpartition("qkv.")
        if joint and kind in ("weight", "bias") and not stem.rpartition(".")[2]:
            third = value.shape[0] // 3
            parts[f"{stem}q.{kind}"] = value[:third].clone()
            parts[f"{stem}kv.{kind}"] = value[third:].clone()
        else:
            parts[name] = value
    return parts


def split_pairs(name: str, value: Tensor) -> dict[str, Tensor]:
    """Split a layer over pairs ``[image; audio]`` (avblocks until 0.1) into its two halves.

    Args:
        name: name that ends in ``k.weight``, ``k.bias``, ``v.weight`` or ``v.bias``.
        value: weight or bias.
    """
    stem, kind = name.rsplit(".", 1)
    if kind == "bias":  # Used once: the bias of the keys cancels, that of the values is separate.
        return {f"{stem}_image.bias" if stem.endswith("k") else f"{stem}_bias": value}
    image, audio = value.chunk(2, dim=1)
    return {f"{stem}_image.weight": image.clone(), f"{stem}_audio.weight": audio.clone()}


def _rename(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    if isinstance(module, HasOlderNames):
        module.rename_older(state, prefix)

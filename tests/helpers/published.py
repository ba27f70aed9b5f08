"""Random weights under the names and in the shapes of published files, of any width."""

import torch
from torch import Tensor

NORMS = ("norm1", "norm2")


def _block(start: str, dim: int, norms: tuple[str, ...] = NORMS) -> dict[str, tuple[int, ...]]:
    layers = {"attn.qkv": (3 * dim, dim), "attn.proj": (dim, dim)}
    layers |= {"mlp.fc1": (4 * dim, dim), "mlp.fc2": (dim, 4 * dim)}
    shapes: dict[str, tuple[int, ...]] = {f"{start}.{n}.weight": s for n, s in layers.items()}
    shapes |= {f"{start}.{n}.bias": s[:1] for n, s in layers.items()}
    return shapes | {f"{start}.{n}.{kind}": (dim,) for n in norms for kind in ("weight", "bias")}


def _random(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    return {name: 0.3 * torch.randn(shape) for name, shape in shapes.items()}


def mae_state(*, channels: int, patches: int, dim: int = 16, patch: int = 16) -> dict[str, Tensor]:
    """A pre-trained file of MAE, or with one channel of AudioMAE."""
    kernel = (dim, channels, patch, patch)
    shapes = {"patch_embed.proj.weight": kernel, "patch_embed.proj.bias": (dim,)}
    shapes |= _block("blocks.0", dim) | _block("blocks.1", dim)
    shapes |= {"norm.weight": (dim,), "norm.bias": (dim,), "cls_token": (1, 1, dim)}
    shapes |= {"pos_embed": (1, patches + 1, dim), "mask_token": (1, 1, 8)}
    shapes |= {"decoder_embed.weight": (8, dim), "decoder_pos_embed": (1, patches + 1, 8)}
    return _random(shapes)


def dinov2_state(*, dim: int, side: int) -> dict[str, Tensor]:
    """A file of DINOv2 with four registers and two blocks, of ``side`` patches of 14 each way."""
    state = mae_state(channels=3, patches=side**2, dim=dim, patch=14)
    state = {n: x for n, x in state.items() if not n.startswith("decoder")}
    state["mask_token"] = torch.zeros(1, dim)
    scales = {f"blocks.{i}.ls{k}.gamma": torch.ones(dim) for i in (0, 1) for k in (1, 2)}
    return state | scales | {"register_tokens": torch.zeros(1, 4, dim)}


def cavmae_state(*, dim: int = 64, patch: int = 8, classes: int = 3) -> dict[str, Tensor]:
    """A fine-tuned file of CAV-MAE with one block a tower, of 2 x 2 and 16 x 4 patches."""
    norms = tuple(f"{norm}{which}" for norm in NORMS for which in ("", "_a", "_v"))
    shapes: dict[str, tuple[int, ...]] = {}
    for letter, channels, patches in (("a", 1, 64), ("v", 3, 4)):
        shapes |= {f"patch_embed_{letter}.proj.weight": (dim, channels, patch, patch)}
        shapes |= {f"patch_embed_{letter}.proj.bias": (dim,)}
        shapes |= {f"pos_embed_{letter}": (1, patches, dim), f"modality_{letter}": (1, 1, dim)}
        shapes |= _block(f"blocks_{letter}.0", dim, norms)
    shapes |= _block("blocks_u.0", dim, norms)
    ends = ("norm", "norm_a", "norm_v", "mlp_head.0")
    shapes |= {f"{name}.{kind}": (dim,) for name in ends for kind in ("weight", "bias")}
    return _random(shapes | {"mlp_head.1.weight": (classes, dim), "mlp_head.1.bias": (classes,)})

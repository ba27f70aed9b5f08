"""Every public model at a tiny size, with its inputs: what the tests of idioms run over."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from avblocks import (
    AVEncoder,
    AVTokens,
    CrossAttention,
    FusionLayer,
    Mask,
    RandomMask,
    av_mae,
    av_vit,
    vit,
)
from avblocks.heads import Localizer, classifier, segmenter, separator

DIM = 16


class Bottleneck(FusionLayer):
    """Each stream reads the bottlenecks and writes them; what they wrote is averaged (MBT)."""

    def __init__(self, dim: int, *, num_heads: int) -> None:
        super().__init__()
        self.image_write = CrossAttention(dim, num_heads=num_heads)
        self.audio_write = CrossAttention(dim, num_heads=num_heads)

    def forward(
        self, tokens: AVTokens, *, image: nn.Module | None, audio: nn.Module | None
    ) -> AVTokens:
        pairs = ((tokens.image, image, self.image_write), (tokens.audio, audio, self.audio_write))
        streams = [
            x if x is None or block is None else block(x, context=tokens.fusion)
            for x, block, _ in pairs
        ]
        writes = [write(tokens.fusion, x) for x, _, write in pairs if x is not None]
        fusion = tokens.fusion + sum(writes[1:], start=writes[0]) / len(writes)
        return replace(tokens, image=streams[0], audio=streams[1], fusion=fusion)


def encoder(fusion: Any = "factorized", **changes: Any) -> AVEncoder:
    sizes: dict[str, Any] = {"image_size": 16, "audio_size": (16, 24), "patch": 8, "depth": 2}
    numbers = {"num_heads": 2, "num_tokens": (3, 2, 2), "fusion": fusion}
    return av_vit(DIM, **(sizes | numbers | changes))


def clips(batch: int) -> dict[str, Any]:
    return {"image": torch.randn(batch, 3, 16, 16), "audio": torch.randn(batch, 1, 16, 24)}


def masked(batch: int) -> dict[str, Any]:
    masks = {"image_mask": RandomMask(0.5)((2, 2), batch=batch)}
    return clips(batch) | masks | {"audio_mask": RandomMask(0.5)((2, 3), batch=batch)}


class WithHead(nn.Module):
    """A head on an encoder, of the last layer or of all."""

    def __init__(self, body: AVEncoder, head: nn.Module, *, grid: tuple[int, int] | None) -> None:
        super().__init__()
        self.encoder, self.head, self.grid = body, head, grid

    def forward(self, *, image: Tensor, audio: Tensor) -> Any:
        if self.grid is not None:
            layers = self.encoder.intermediates(image=image, audio=audio)
            return self.head(layers, grid=self.grid)
        tokens = self.encoder(image=image, audio=audio)
        if isinstance(self.head, Localizer):
            return self.head(image=tokens.image, audio=tokens.audio)
        return self.head(tokens)


@dataclass(frozen=True)
class Public:
    """A model and its inputs.

    Attributes:
        build: builds it.
        inputs: keyword arguments for a batch of that size.
        missing: the same with a modality missing, where that is allowed.
        unused: modules that have no part in the output.
    """

    build: Callable[[], nn.Module]
    inputs: Callable[[int], dict[str, Any]]
    missing: dict[str, Any] | None = None
    unused: tuple[str, ...] = ()


def _head(head: nn.Module, *, grid: tuple[int, int] | None = None, **changes: Any) -> nn.Module:
    return WithHead(encoder(**changes), head, grid=grid)


WITHOUT = {"audio": None}
LAST_FUSION = ("encoder.fusion_norm", "encoder.fusion_blocks.1")
MODELS: dict[str, Public] = {
    "vit": Public(
        lambda: vit(DIM, depth=2, num_heads=2, size=16, patch=8, prefix_tokens=2),
        lambda batch: {"x": torch.randn(batch, 3, 16, 16)},
    ),
    "video vit": Public(
        lambda: vit(DIM, depth=1, num_heads=2, size=(4, 8, 8), patch=(2, 4, 4)),
        lambda batch: {"x": torch.randn(batch, 3, 4, 8, 8)},
    ),
    "token": Public(lambda: encoder("token"), clips, WITHOUT),
    "dense": Public(lambda: encoder("dense"), clips, WITHOUT),
    "factorized": Public(encoder, clips, WITHOUT),
    "bottleneck": Public(lambda: encoder(Bottleneck, num_tokens=(3,)), clips, WITHOUT),
    "masked autoencoder": Public(
        lambda: av_mae(encoder(), dim=16, depth=2, num_heads=2),
        masked,
        {"audio": None, "audio_mask": None},
    ),
    "classifier": Public(lambda: _head(classifier(DIM, num_classes=3)), clips, WITHOUT),
    "attentive classifier": Public(
        lambda: _head(classifier(DIM, num_classes=3, pooling="attentive", num_heads=2)),
        clips,
        WITHOUT,
    ),
    "localizer": Public(
        lambda: _head(Localizer(DIM, dim_out=8)),
        clips,
        unused=LAST_FUSION,
    ),
    "segmenter": Public(
        lambda: _head(
            segmenter(
                DIM, num_classes=2, patch=8, num_layers=2, depths=(0, 1), min_width=8, hidden=8
            ),
            grid=(2, 2),
        ),
        clips,
        unused=("encoder.image.norm", "encoder.audio.norm", *LAST_FUSION),
    ),
    "separator": Public(
        lambda: _head(separator(DIM, patch=8, num_layers=2), grid=(2, 3)),
        clips,
        unused=("encoder.image.norm", "encoder.audio.norm", *LAST_FUSION),
    ),
}


def tensors(out: Any) -> list[Tensor]:
    """The tensors of an output, in order."""
    if isinstance(out, Tensor):
        return [out]
    if is_dataclass(out) and not isinstance(out, Mask):
        return [x for field in fields(out) for x in tensors(getattr(out, field.name))]
    return [x for part in out for x in tensors(part)] if isinstance(out, list | tuple) else []


def total(out: Any) -> Tensor:
    """A scalar that every number of an output has a part of its own in."""
    parts = (x.flatten() @ torch.arange(x.numel(), dtype=x.dtype).cos() for x in tensors(out))
    return sum(parts, start=torch.zeros(()))

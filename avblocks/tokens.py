"""Token types: image, audio and fusion tokens, and their validity."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

FusionTokens = Float[Tensor, "b n_f d"]
"""Fusion tokens, aggregation tokens included."""

ImageTokens = Float[Tensor, "b n_v d"] | None
"""Image tokens, ``None`` where the image is missing."""

AudioTokens = Float[Tensor, "b n_a d"] | None
"""Audio tokens, ``None`` where the audio is missing."""


R = TypeVar("R", bound="Record")


def exportable(record: type) -> None:
    """Register a dataclass of tensors for `torch.export`, and for saved programs."""
    name = f"avblocks.{record.__name__}"
    torch.export.register_dataclass(record, serialized_type_name=name)
    torch.serialization.add_safe_globals([record])  # a program holds its example inputs


class _Gathered(type):
    """Metaclass that accepts a ``map`` of pairs, which ``nn.DataParallel`` makes of records."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and isinstance(args[0], map):
            args = tuple(value for _, value in args[0])
        return super().__call__(*args, **kwargs)


class Record(metaclass=_Gathered):
    """Base class of frozen dataclasses of tensors, with ``to``, ``map`` and iteration."""

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Name and value of each field."""
        return ((field.name, getattr(self, field.name)) for field in fields(self))  # type: ignore[arg-type]

    def map(self: R, function: Callable[[Tensor], Tensor]) -> R:
        """Return the record with a function applied to each of its tensors."""
        changed = {n: function(x) for n, x in self if isinstance(x, Tensor)}
        return replace(self, **changed)  # type: ignore[type-var]

    def to(self: R, *args: Any, **kwargs: Any) -> R:
        """Apply ``Tensor.to`` to each tensor; as in modules, a dtype affects only floats."""

        def moved(x: Tensor) -> Tensor:
            there = x.to(*args, **kwargs)
            return there if x.is_floating_point() else there.to(x.dtype)

        return self.map(moved)

    def detach(self: R) -> R:
        """Detach the tensors from the autograd graph."""
        return self.map(Tensor.detach)

    def cpu(self: R) -> R:
        """Move the tensors to the CPU."""
        return self.map(Tensor.cpu)


@dataclass(frozen=True)
class Valid(Record):
    """False at padded tokens of each modality; ``None`` if all are valid.

    A sample without valid tokens lacks the modality.
    """

    image: Bool[Tensor, "b n_v"] | None = None
    audio: Bool[Tensor, "b n_a"] | None = None


ALL = Valid()
"""No padding."""


@dataclass(frozen=True)
class AVTokens(Record):
    """Tokens of the two modalities, ``None`` if missing, and fusion tokens.

    Attributes:
        image: tokens of the image patches.
        audio: tokens of the spectrogram patches.
        fusion: fusion tokens.
        image_prefix: prefix tokens of the image stream, such as class token and registers, if any.
        audio_prefix: prefix tokens of the audio stream.
        image_valid: False at padded image patches; ``None`` if all are valid.
        audio_valid: the same for the audio patches.
    """

    image: Float[Tensor, "b n_v d"] | None
    audio: Float[Tensor, "b n_a d"] | None
    fusion: Float[Tensor, "b n_f d"]
    image_prefix: Float[Tensor, "b p_v d"] | None = None
    audio_prefix: Float[Tensor, "b p_a d"] | None = None
    image_valid: Bool[Tensor, "b n_v"] | None = None
    audio_valid: Bool[Tensor, "b n_a"] | None = None


exportable(Valid)
exportable(AVTokens)


# Functions instead of methods: `torch.compile` cannot trace a checked method of a new object.
def sources(tokens: AVTokens) -> dict[str, Any]:
    """Return the keyword arguments of a fusion; ``valid`` is one only if there is padding."""
    both = {"image": tokens.image, "audio": tokens.audio}
    if tokens.image_valid is None and tokens.audio_valid is None:
        return both
    return both | {"valid": Valid(image=tokens.image_valid, audio=tokens.audio_valid)}


def joined(tokens: AVTokens) -> Float[Tensor, "b n d"] | None:
    """Return ``[image; audio]``, ``None`` if both are missing."""
    present = [x for x in (tokens.image, tokens.audio) if x is not None]
    return torch.cat(present, dim=1) if present else None


def joined_valid(tokens: AVTokens) -> Bool[Tensor, "b n"] | None:
    """Return which tokens of ``[image; audio]`` are valid, ``None`` if all are."""
    if tokens.image_valid is None and tokens.audio_valid is None:
        return None
    pairs = ((tokens.image, tokens.image_valid), (tokens.audio, tokens.audio_valid))
    parts = [
        torch.ones_like(x[..., 0], dtype=torch.bool) if valid is None else valid
        for x, valid in pairs
        if x is not None
    ]
    return torch.cat(parts, dim=1)


def valid_samples(valid: Bool[Tensor, "b n"] | None, count: int) -> Bool[Tensor, "b k"] | None:
    """Return which samples have a modality, repeated for the ``count`` tokens that summarize it."""
    return None if valid is None else valid.any(dim=1, keepdim=True).expand(-1, count)


def prefixed_valid(valid: Bool[Tensor, "b n"], count: int) -> Bool[Tensor, "b pn"]:
    """Mark ``count`` prefix tokens before the patches: valid in samples with a valid patch."""
    return torch.cat((valid.any(dim=1, keepdim=True).expand(-1, count), valid), dim=1)


def with_prefix(tokens: AVTokens) -> AVTokens:
    """Move the prefix tokens to the front of their streams."""
    if tokens.image_prefix is None and tokens.audio_prefix is None:
        return tokens
    image, image_valid = _front(tokens.image_prefix, tokens.image, tokens.image_valid)
    audio, audio_valid = _front(tokens.audio_prefix, tokens.audio, tokens.audio_valid)
    return AVTokens(
        image=image,
        audio=audio,
        fusion=tokens.fusion,
        image_valid=image_valid,
        audio_valid=audio_valid,
    )


def without_prefix(tokens: AVTokens, *, image: int, audio: int) -> AVTokens:
    """Invert `with_prefix`, for prefixes of ``image`` and ``audio`` tokens."""
    if image == audio == 0:
        return tokens
    image_prefix, image_patches, image_valid = _apart(tokens.image, tokens.image_valid, image)
    audio_prefix, audio_patches, audio_valid = _apart(tokens.audio, tokens.audio_valid, audio)
    return AVTokens(
        image=image_patches,
        audio=audio_patches,
        fusion=tokens.fusion,
        image_prefix=image_prefix,
        audio_prefix=audio_prefix,
        image_valid=image_valid,
        audio_valid=audio_valid,
    )


def _front(
    prefix: Float[Tensor, "b p d"] | None,
    tokens: Float[Tensor, "b n d"] | None,
    valid: Bool[Tensor, "b n"] | None,
) -> tuple[Float[Tensor, "b pn d"] | None, Bool[Tensor, "b pn"] | None]:
    if prefix is None or tokens is None:
        return tokens, valid
    if valid is not None:
        valid = prefixed_valid(valid, prefix.shape[1])
    return torch.cat((prefix, tokens), dim=1), valid


def _apart(
    tokens: Float[Tensor, "b pn d"] | None, valid: Bool[Tensor, "b pn"] | None, count: int
) -> tuple[Any, Any, Any]:
    if tokens is None or count == 0:
        return None, tokens, valid
    return tokens[:, :count], tokens[:, count:], None if valid is None else valid[:, count:]

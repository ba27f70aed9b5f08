"""Encoders of avblocks whose image or audio stream is that of another model."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

from avblocks.builder import Built
from avblocks.checkpoint.rebuild import build_encoder
from avblocks.encoder import AVEncoder
from avblocks.nn.stream import Stream
from avblocks.shapes import require


def joined(
    encoder: Mapping[str, Any],
    *,
    image: Mapping[str, Any] | None = None,
    audio: Mapping[str, Any] | None = None,
) -> AVEncoder:
    """Build an encoder, and replace streams by those of other models.

    Args:
        encoder: builder of the encoder and its arguments, ``{"builder": ..., "arguments": ...}``.
        image: those of a model of images, whose stream replaces the encoder's.
        audio: those of a model of spectrograms, likewise.

    Raises:
        ValueError: if there is no such builder, it rejects its arguments, or is `joined` itself.

    Example:
        >>> sizes = {"depth": 1, "num_heads": 1, "image_size": 32, "audio_size": (32, 48)}
        >>> whole = {"builder": "av_vit", "arguments": {"dim": 64, **sizes}}
        >>> image = {"builder": "mae", "arguments": {"dim": 64, "depth": 2, "num_heads": 1}}
        >>> joined(whole, image=image).depth
        2
    """
    for record in (encoder, image, audio):
        name = None if record is None else record.get("builder")
        require(name != joined.__name__, "builder", name, "another one: streams are not nested")
    built: Any = build_encoder(encoder)
    streams = {"image": image, "audio": audio}
    for name, stream in streams.items():
        if stream is not None:
            built = with_stream(built, name, cast(Any, build_encoder(stream)))
    return built


def with_stream(encoder: AVEncoder, name: str, stream: Stream) -> AVEncoder:
    """Replace one stream of an encoder, and keep the other stream and the fusion.

    If encoder and stream are of builders, `joined` builds such an encoder again, so that
    `save_pretrained` saves it.
    """
    streams: dict[str, Any] = {"image": encoder.image, "audio": encoder.audio, name: stream}
    blocks = dict(encoder.fusion_blocks.items())
    depth = max(len(list(one.blocks)) for one in streams.values())
    whole = AVEncoder(
        **streams,
        fusion=[blocks.get(str(layer)) for layer in range(max(depth, encoder.depth))],
        num_tokens=encoder.fusion_tokens.shape[1],
        checkpointing=encoder.checkpointing,
    )
    whole.fusion_tokens, whole.fusion_norm = encoder.fusion_tokens, encoder.fusion_norm
    parts = (getattr(encoder, "built", None), getattr(stream, "built", None))
    if all(isinstance(part, Built) for part in parts):
        vars(whole)["built"] = _record(*parts, name=name)
    return whole


def _record(encoder: Any, stream: Any, *, name: str) -> Built:
    """Return the call of `joined` for an encoder, which may be of `joined` itself, and a stream."""
    if encoder.builder == joined.__name__:
        return Built(joined.__name__, {**encoder.arguments, name: asdict(stream)})
    others = {"image": None, "audio": None, name: asdict(stream)}
    return Built(joined.__name__, {"encoder": asdict(encoder), **others})

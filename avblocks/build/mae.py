"""Builder of masked autoencoders."""

import math
from typing import Any, Literal

import torch

from avblocks.builder import builder
from avblocks.decoder import Decoder
from avblocks.encoder import AVEncoder
from avblocks.mae import AVMAE
from avblocks.nn.position import LearnedPosition
from avblocks.nn.sincos import sincos_position
from avblocks.nn.stream import require_stream
from avblocks.reading import ReadingDecoder
from avblocks.shapes import require, require_choice

DecoderName = Literal["full", "reading"]
_DECODERS: dict[str, type[Decoder] | type[ReadingDecoder]] = {
    "full": Decoder,
    "reading": ReadingDecoder,
}


@builder
def av_mae(
    encoder: AVEncoder,
    *,
    dim: int = 512,
    depth: int = 8,
    num_heads: int = 16,
    normalize_targets: bool = True,
    decoder: DecoderName = "full",
    predict: float = 1.0,
    learned_position: bool = False,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> AVMAE:
    """Build a masked autoencoder around an encoder, with a decoder for each modality.

    Args:
        encoder: the encoder to train.
        dim: width of the decoders.
        depth: blocks of each decoder.
        num_heads: heads of each decoder block.
        normalize_targets: normalize each target patch.
        decoder: ``"full"``, the decoder of the paper, whose blocks run over all patches; or
            ``"reading"``, in which masked patches only cross-attend to the encoder tokens.
        predict: fraction of the masked patches that a reading decoder predicts in training.
        learned_position: train the positions of the decoders, initialized with the fixed ones, as
            the reference does.
        device: device of the decoders.
        dtype: data type of all weights.

    Raises:
        ValueError: if a number is out of range, or a stream has no ``patch``, ``channels`` or
            ``usual_grid``.
    """
    require_stream("image", encoder.image, patches=True)
    require_stream("audio", encoder.audio, patches=True)
    takes = "true or false"
    require(isinstance(normalize_targets, bool), "normalize_targets", normalize_targets, takes)
    require(isinstance(learned_position, bool), "learned_position", learned_position, takes)

    require_choice(*_DECODERS, decoder=decoder)

    def decode(stream: Any) -> Decoder | ReadingDecoder:
        return _DECODERS[decoder](
            encoder.dim,
            grid=stream.usual_grid,
            patch_values=math.prod(stream.patch) * stream.channels,
            dim=dim,
            depth=depth,
            num_heads=num_heads,
            pos_embed=LearnedPosition(dim, grid=stream.usual_grid, start=sincos_position)
            if learned_position
            else None,
        )

    return AVMAE(
        encoder,
        image_decoder=decode(encoder.image),
        audio_decoder=decode(encoder.audio),
        normalize_targets=normalize_targets,
        predict=predict,
    )

"""The audio-visual masked autoencoder and its output."""

import math
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from avblocks.encoder import Audio, AVEncoder, Image
from avblocks.nn.mask import Mask
from avblocks.nn.patch import patchify
from avblocks.nn.stream import ValidPatches, per_patch, require_stream
from avblocks.nn.targets import masked_mse
from avblocks.reading import ReadingDecoder
from avblocks.shapes import as_dtype, given, require
from avblocks.tokens import Record, exportable


@dataclass(frozen=True)
class MAEOutput(Record):
    """Losses, and predictions in the order of ``to_predict`` of the masks.

    Those of a missing modality are ``None``. ``fusion`` are the fusion tokens of the kept patches.
    """

    loss_image: Float[Tensor, ""] | None
    loss_audio: Float[Tensor, ""] | None
    pred_image: Float[Tensor, "b u_v v_v"] | None
    pred_audio: Float[Tensor, "b u_a v_a"] | None
    fusion: Float[Tensor, "b n_f d"] | None = None

    @property
    def loss(self) -> Float[Tensor, ""]:
        """Training loss: the sum over the present modalities."""
        losses = [loss for loss in (self.loss_image, self.loss_audio) if loss is not None]
        return sum(losses[1:], start=losses[0])


exportable(MAEOutput)


class AVMAE(nn.Module):
    """Audio-visual masked autoencoder (paper, section 3): encode kept patches, predict masked ones.

    The masks are arguments, so the model itself is deterministic.

    Args:
        encoder: the encoder to train.
        image_decoder: decoder of the image patches, or a module with its ``encoder_dim``,
            ``patch_values`` and call.
        audio_decoder: decoder of the spectrogram patches.
        normalize_targets: normalize each target patch, as in the paper.
        predict: fraction of the masked patches that is predicted in training, drawn at random
            unless the masks choose them (`Mask.predicting`); below 1 only with `ReadingDecoder`.

    Raises:
        ValueError: if a decoder does not match its stream, or ``predict`` does not match the
            decoders.

    Example:
        >>> import torch
        >>> from avblocks import RandomMask, av_mae, av_vit
        >>> encoder = av_vit(64, depth=2, num_heads=4, image_size=32, audio_size=(32, 48))
        >>> model = av_mae(encoder, dim=32, depth=1)
        >>> image, audio = torch.rand(2, 3, 32, 32), torch.rand(2, 1, 32, 48)
        >>> masks = RandomMask(0.75)((2, 2), batch=2), RandomMask(0.8)((2, 3), batch=2)
        >>> out = model(image=image, audio=audio, image_mask=masks[0], audio_mask=masks[1])
        >>> out.loss.shape, out.pred_image.shape
        (torch.Size([]), torch.Size([2, 3, 768]))
    """

    def __init__(
        self,
        encoder: AVEncoder,
        *,
        image_decoder: nn.Module,
        audio_decoder: nn.Module,
        normalize_targets: bool = True,
        predict: float = 1.0,
    ) -> None:
        super().__init__()
        _require_decoder("image", encoder.image, image_decoder)
        _require_decoder("audio", encoder.audio, audio_decoder)
        reads = all(isinstance(d, ReadingDecoder) for d in (image_decoder, audio_decoder))
        takes = "in (0, 1]" if reads else "1: the blocks of a Decoder run over all masked patches"
        require(0 < predict <= 1 and (reads or predict == 1), "predict", predict, takes)
        self.predict = predict
        self.encoder = encoder
        self.image_decoder: Any = image_decoder  # with the parts that were looked for
        self.audio_decoder: Any = audio_decoder
        self.normalize_targets = normalize_targets

    def forward(
        self,
        *,
        image: Image,
        audio: Audio,
        image_mask: Mask | None = None,
        audio_mask: Mask | None = None,
        image_valid: ValidPatches = None,
        audio_valid: ValidPatches = None,
    ) -> MAEOutput:
        """Compute losses and predictions of a batch.

        Args:
            image: images, ``None`` if the batch has none, and then no image loss.
            audio: spectrograms, ``None`` if the batch has none, and then no audio loss.
            image_mask: mask of the image patches.
            audio_mask: mask of the audio patches.
            image_valid: False at samples without an image, or at padded image patches, which are
                excluded from input and loss. Their values must be finite.
            audio_valid: the same for the audio.

        Raises:
            ValueError: if an input or a mask does not match.
        """
        dtype = self.encoder.fusion_tokens.dtype  # also of the targets
        image = None if image is None else as_dtype(dtype, image=image)
        audio = None if audio is None else as_dtype(dtype, audio=audio)
        tokens = self.encoder(
            image=image,
            audio=audio,
            image_mask=image_mask,
            audio_mask=audio_mask,
            image_valid=image_valid,
            audio_valid=audio_valid,
        )
        loss_image, pred_image = self._predicted(
            "image", tokens.image, tokens.fusion, image, image_mask, image_valid
        )
        loss_audio, pred_audio = self._predicted(
            "audio", tokens.audio, tokens.fusion, audio, audio_mask, audio_valid
        )
        return MAEOutput(
            loss_image=loss_image,
            loss_audio=loss_audio,
            pred_image=pred_image,
            pred_audio=pred_audio,
            fusion=tokens.fusion,
        )

    def _predicted(
        self,
        name: str,
        kept: Float[Tensor, "b k d"] | None,
        fusion: Float[Tensor, "b n_f d"],
        x: Float[Tensor, "b ..."] | None,
        mask: Mask | None,
        valid: ValidPatches,
    ) -> tuple[Float[Tensor, ""] | None, Float[Tensor, "b u v"] | None]:
        """Loss and prediction of a modality."""
        if x is None or kept is None:
            return None, None
        if mask is None:
            raise ValueError(f"{name}_mask must be given to predict with")
        stream, decoder = getattr(self.encoder, name), getattr(self, f"{name}_decoder")
        grid = stream.grid(x)
        if self.training and self.predict < 1 and mask.ids_predicted is None:
            mask = mask.predicting(self.predict)
        whole = None if valid is None else per_patch(valid, math.prod(grid))
        pred = decoder(kept, fusion=fusion, mask=mask, grid=grid, **given(valid=whole))
        target = mask.predicted(patchify(x, patch=stream.patch))
        counted = None if whole is None else whole.gather(1, mask.to_predict)
        loss = masked_mse(pred, target, normalize=self.normalize_targets, valid=counted)
        return loss, pred


def _require_decoder(name: str, stream: Any, decoder: Any) -> None:
    """Raise a ``ValueError`` unless a decoder can predict the patches of a stream."""
    require_stream(name, stream, patches=True)
    patch = tuple(stream.patch)
    stride = tuple(getattr(stream, "stride", patch))
    require(stride == patch, f"{name} stride", stride, f"its patch {patch}: patches do not overlap")
    axes, values = len(patch), math.prod(patch) * stream.channels
    for part in ("encoder_dim", "patch_values"):
        kind = type(decoder).__name__
        require(hasattr(decoder, part), f"{name}_decoder", kind, f"a module with `{part}`")
    grid = getattr(getattr(decoder, "pos_embed", None), "grid", patch)
    got = decoder.encoder_dim, decoder.patch_values, len(grid)
    takes = f"of width {stream.dim}, {values} values of a patch and {axes} axes of the grid"
    require(got == (stream.dim, values, axes), f"{name}_decoder", got, takes)

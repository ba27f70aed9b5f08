"""Front end: from batches of images and audio samples to encoder inputs, on the device."""

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avblocks.audio import LogMel
from avblocks.data.batch import AVBatch
from avblocks.data.crop import crop_images, crop_masks
from avblocks.data.format import ClipFormat
from avblocks.data.transforms import Normalize, apply_gain, flip_images, jitter_color
from avblocks.seed import generators
from avblocks.shapes import require, require_share

_HIGHEST = 300.0  # of images that are centered, but not divided by a standard deviation


class FrontEnd(nn.Module):
    """Crop, flip and normalize images, apply gains, and compute log-mel spectrograms.

    Computes in float32 also under autocast: half precision is too coarse for the power of quiet
    audio.

    Args:
        format: Rate, mel bins and hop of the clips; the paper's if not given.
        log_mel: Module from waveforms (b, s) to spectrograms (b, 1, m, t) with the mel bins of the
            format; `avblocks.audio.LogMel` with windows of 50 ms if not given. `Separation` needs
            the logarithm of powers to base 10, and its attribute ``log10 = True``.
        color: Strength of `jitter_color` in training mode, keyed by the seeds of the samples.
        normalize: Module from images of floats from 0 to 255 to encoder inputs; figures need its
            method `undo`. `Normalize` with the statistics of ImageNet if not given.

    Example:
        >>> from avblocks.data.batch import AVBatch
        >>> batch = AVBatch(
        ...     image=torch.zeros(2, 3, 32, 32, dtype=torch.uint8), audio=torch.zeros(2, 48000),
        ...     flip=torch.zeros(2, dtype=torch.bool), gain=torch.zeros(2),
        ...     target=torch.zeros(2, 5), seeds=(1, 2), paths=("a.mp4", "b.mp4"),
        ... )
        >>> image, audio = FrontEnd()(batch)
        >>> image.shape, audio.shape
        (torch.Size([2, 3, 32, 32]), torch.Size([2, 1, 128, 192]))
    """

    def __init__(
        self,
        format: ClipFormat | None = None,
        *,
        log_mel: nn.Module | None = None,
        normalize: nn.Module | None = None,
        color: float = 0.0,
    ) -> None:
        super().__init__()
        require_share(color=color)
        self.color = color
        self.format = format or ClipFormat()
        self.normalize = Normalize() if normalize is None else normalize
        self._scaled = isinstance(self.normalize, Normalize)  # or images were found to be scaled
        self.log_mel = LogMel(**self.format.mel_settings) if log_mel is None else log_mel

    def forward(
        self, batch: AVBatch
    ) -> tuple[Float[Tensor, "b 3 *t height width"], Float[Tensor, "b 1 m frames"]]:
        """Compute the images or videos, and the spectrograms, of a batch.

        Raises:
            ValueError: If the batch is empty, its images or its audio are not of the data type of
                `AVBatch`, or `log_mel` or `normalize` returns another shape.
        """
        remedy = "at least one clip: skip a batch of which no file can be used"
        require(len(batch) > 0, "batch", len(batch), remedy)
        with torch.autocast(batch.image.device.type, enabled=False):
            image = self._images(batch)
            audio = self.spectrogram(apply_gain(batch.audio, batch.gain))
        return image, audio

    def _images(self, batch: AVBatch) -> Float[Tensor, "b 3 *t height width"]:
        """Crop, flip and normalize images; all frames of a video in the same way."""
        image, crop, flip = batch.image, batch.crop, batch.flip
        frames = image.shape[2] if image.ndim == 5 else 1
        if frames > 1:
            image = rearrange(image, "b c t h w -> (b t) c h w")
            flip = flip.repeat_interleave(frames)
            crop = None if crop is None else crop.repeat_interleave(frames, dim=0)
        if crop is not None:
            image = crop_images(image, crop, size=batch.size)
        pixels = flip_images(image, flip).float()
        image = self.normalize(pixels)
        if image.shape[:2] != pixels.shape[:2] or image.ndim != 4:
            got, wanted = tuple(image.shape), tuple(pixels.shape)
            raise ValueError(f"normalize returned {got} for images {wanted}")
        if not (self._scaled or torch.compiler.is_compiling()):
            _require_scale(image)
            self._scaled = True
        image = rearrange(image, "(b t) c h w -> b c t h w", t=frames) if frames > 1 else image
        if not (self.training and self.color):
            return image
        random = generators(batch.seeds, "color")
        return jitter_color(image, strength=self.color, generators=random)

    def spectrogram(self, audio: Float[Tensor, "b s"]) -> Float[Tensor, "b 1 m t"]:
        """Compute the spectrograms of waveforms.

        Raises:
            ValueError: If `log_mel` returns another shape than (b, 1, m, t).
        """
        with torch.autocast(audio.device.type, enabled=False):
            mel = self.log_mel(audio)
        if mel.ndim != 4 or mel.shape[:3] != (audio.shape[0], 1, self.format.mels):
            raise ValueError(
                f"log_mel returned {tuple(mel.shape)} for waveforms {tuple(audio.shape)}; it must "
                f"return (b, 1, {self.format.mels}, t): set the mels of the ClipFormat to its bins"
            )
        return mel

    def to_rgb(
        self, image: Float[Tensor, "b 3 *t height width"]
    ) -> Float[Tensor, "b 3 height width"]:
        """Undo the normalization, for figures: RGB in [0, 1], the middle frame of a video.

        Raises:
            ValueError: If `normalize` has no method `undo`.
        """
        undo = getattr(self.normalize, "undo", None)
        if undo is None:
            raise ValueError(f"figures need {type(self.normalize).__name__}.undo: give it one")
        return undo(image[:, :, image.shape[2] // 2] if image.ndim == 5 else image)

    def masks(self, batch: AVBatch) -> UInt8[Tensor, "b height width"]:
        """Crop and flip the masks of a batch like its images.

        Raises:
            ValueError: If the clips have no masks.
        """
        mask = batch.mask
        if mask is None:
            raise ValueError("the clips of the batch have no masks")
        if batch.crop is not None:
            mask = crop_masks(mask, batch.crop, size=batch.size)
        return torch.where(batch.flip[:, None, None], mask.flip(-1), mask)


def _require_scale(image: Float[Tensor, "b 3 height width"]) -> None:
    """Raise a ``ValueError`` if floats from 0 to 255 were normalized as if they were in [0, 1]."""
    if (highest := float(image.abs().amax())) > _HIGHEST:
        raise ValueError(
            f"normalize returned values of up to {highest:.0f}: it is given floats from 0 to 255, "
            "which torchvision's ToDtype(scale=True) does not scale; divide them by 255"
        )

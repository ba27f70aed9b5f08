"""From a batch of bytes and samples to what the encoder reads, on the device."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avblocks.audio import LogMel
from avblocks.data.batch import AVBatch
from avblocks.data.crop import crop_images, crop_masks
from avblocks.data.format import ClipFormat
from avblocks.data.transforms import Normalize, apply_gain, flip_images


class FrontEnd(nn.Module):
    """Crop, flip and normalize the images, apply the gains, take the log-mel spectrograms.

    It computes in float32 whatever the precision around it: half a precision is too little for
    the power of a quiet sound. Windows of the spectrogram are 50 ms long.

    Args:
        format: Rate, mel bins and hop of the clips; the paper's if not given.

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

    def __init__(self, format: ClipFormat | None = None) -> None:
        super().__init__()
        self.format = format or ClipFormat()
        self.normalize = Normalize()
        self.log_mel = LogMel(
            rate=self.format.rate,
            n_fft=self.format.rate // 20,
            hop=self.format.hop,
            n_mels=self.format.mels,
        )

    def forward(
        self, batch: AVBatch
    ) -> tuple[Float[Tensor, "b 3 height width"], Float[Tensor, "b 1 m t"]]:
        """Pictures and spectrograms of a batch."""
        with torch.autocast(batch.image.device.type, enabled=False):
            image = batch.image
            if batch.crop is not None:
                image = crop_images(image, batch.crop, size=batch.size)
            image = self.normalize(flip_images(image, batch.flip))
            audio = self.log_mel(apply_gain(batch.audio, batch.gain))
        return image, audio

    def masks(self, batch: AVBatch) -> UInt8[Tensor, "b height width"]:
        """Masks of a batch, cropped and flipped as its pictures are.

        Raises:
            ValueError: if the clips have no masks.
        """
        mask = batch.mask
        if mask is None:
            raise ValueError("the clips of the batch have no masks")
        if batch.crop is not None:
            mask = crop_masks(mask, batch.crop, size=batch.size)
        return torch.where(batch.flip[:, None, None], mask.flip(-1), mask)

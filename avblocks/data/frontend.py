"""From a batch of bytes and samples to what the encoder reads, on the device."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avblocks.audio import LogMel
from avblocks.data.batch import AVBatch
from avblocks.data.crop import crop_images, crop_masks
from avblocks.data.transforms import Normalize, apply_gain, flip_images
from avblocks.shapes import require


class FrontEnd(nn.Module):
    """Crop, flip and normalise the pictures, apply the gains, take the log-mel spectrograms.

    It computes in float32 whatever the precision around it: half a precision is too little for
    the power of a quiet sound.

    Args:
        rate: samples a second, a multiple of 64; windows are 50 ms long, 64 begin each second.
        n_mels: mel bins.

    Raises:
        ValueError: if the rate is not a multiple of 64.

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

    def __init__(self, *, rate: int = 16000, n_mels: int = 128) -> None:
        super().__init__()
        self.normalize = Normalize()
        require(rate > 0 and rate % 64 == 0, "rate", rate, "a multiple of 64 samples a second")
        self.log_mel = LogMel(rate=rate, n_fft=rate // 20, hop=rate // 64, n_mels=n_mels)

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

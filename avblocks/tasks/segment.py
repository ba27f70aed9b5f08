"""Audio-visual segmentation task: loss and masks of an encoder and a segmenter."""

from typing import Any

from torch import Tensor, nn

from avblocks.data import AVBatch, FrontEnd, with_negatives
from avblocks.heads import Segmenter, dice_loss, segmentation_loss
from avblocks.shapes import require_share, require_weight
from avblocks.tasks.evaluate import HeadTask, require_one_image, with_parts


class Segmentation(HeadTask):
    """Front end, encoder, segmenter and loss; with one class the mask is binary.

    Args:
        encoder: Encoder. One of your own has `intermediates` and `image.grid`, as `AVEncoder` has.
        head: Segmenter.
        front_end: Front end, from batches to images and spectrograms.
        negatives: Share of the training clips whose audio is replaced, see `with_negatives`, and
            whose mask is then empty. Where most images show a single object, a model without them
            finds it by sight alone.
        dice: Weight of `dice_loss`, added to the cross entropy.

    Raises:
        ValueError: If the share or the weight is out of range, the encoder lacks a part, or the
            clips are videos.
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: Segmenter,
        *,
        front_end: FrontEnd,
        negatives: float = 0.0,
        dice: float = 0.0,
    ) -> None:
        super().__init__()
        require_one_image(front_end)
        require_share(negatives=negatives)
        require_weight(dice=dice)
        self.encoder = with_parts(
            "encoder", encoder, "intermediates", "image.grid", like="AVEncoder"
        )
        with_parts("head", head, "pred.out_channels", like="Segmenter")
        self.head = head
        self.front_end, self.negatives, self.dice = front_end, negatives, dice
        self.binary = head.pred.out_channels == 1
        self.num_classes = 2 if self.binary else head.pred.out_channels

    def settings(self) -> dict[str, Any]:
        """Return the arguments of the constructor that are plain values."""
        return {"negatives": self.negatives, "dice": self.dice}

    def logits(self, batch: AVBatch) -> Tensor:
        """Logits of each pixel."""
        image, audio = self.front_end(batch)
        layers = self.encoder.intermediates(image=image, audio=audio)
        return self.head(layers, grid=self.encoder.image.grid(image))

    def truth(self, batch: AVBatch) -> Tensor:
        """Ground truth class of each pixel, binary if the head is binary."""
        masks = self.front_end.masks(batch).long()
        return masks.clamp(max=1) if self.binary else masks

    def forward(self, batch: AVBatch) -> dict[str, Tensor]:
        """Return the loss of a batch, with a weight also its parts."""
        truth = self.truth(batch)
        if self.training and self.negatives:
            batch, own = with_negatives(batch, share=self.negatives)
            truth = truth * own[:, None, None]
        logits = self.logits(batch)
        entropy = segmentation_loss(logits, truth)
        if not self.dice:
            return {"loss": entropy}
        dice = dice_loss(logits, truth)
        return {"loss": entropy + self.dice * dice, "loss_entropy": entropy, "loss_dice": dice}

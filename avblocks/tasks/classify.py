"""A classifier on an encoder as one module: from a batch to its loss and its logits."""

from typing import Literal

import torch
from torch import Tensor, nn

from avblocks import AVEncoder
from avblocks.data import AVBatch, FrontEnd, Mixup, smooth
from avblocks.data.datasets import ClipSet
from avblocks.heads import Classifier, Logits, balanced_loss
from avblocks.seed import key

Listens = Literal["both", "image", "audio"]
"""Which modalities a model is given."""


class Classification(nn.Module):
    """Front end, mixup, encoder, classifier, loss.

    Args:
        encoder: The encoder.
        head: The classifier.
        front_end: From batches to images and spectrograms.
        frozen: Whether the encoder is left as it is.
        given: The modalities that training gives; the other is missing at the input.
        joint: Whether the loss is that of the averaged logits, or the mean of the streams' losses.
        multilabel: Whether a clip may have several classes.
        mixup: Parameter of mixup's beta distribution; 0 for none.
        smoothing: Label smoothing.
        frequency: Share of the clips in each class, to divide its loss by.
    """

    frequency: Tensor | None

    def __init__(
        self,
        encoder: AVEncoder,
        head: Classifier,
        *,
        front_end: FrontEnd,
        frozen: bool,
        given: Listens = "both",
        joint: bool = True,
        multilabel: bool = False,
        mixup: float = 0.0,
        smoothing: float = 0.0,
        frequency: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(not frozen)
        self.head = head
        self.front_end = front_end
        self.mixup = Mixup(mixup) if mixup else None
        self.given: Listens = given
        self.frozen, self.joint = frozen, joint
        self.multilabel, self.smoothing = multilabel, smoothing
        self.register_buffer("frequency", frequency, persistent=False)

    def logits(self, batch: AVBatch, *, given: Listens | None = None) -> Logits:
        """Classify clips, from one modality alone if so wanted."""
        image, audio = self.front_end(batch.to(self.encoder.fusion_tokens.device))
        return self._classify(image, audio, given or self.given)

    def forward(self, batch: AVBatch) -> dict[str, Tensor]:
        """Return the loss of a batch."""
        image, audio = self.front_end(batch)
        target = batch.target if self.multilabel else batch.target / batch.target.sum(1, True)
        if self.mixup is not None:
            seeds = [torch.Generator().manual_seed(key(seed, "mixup")) for seed in batch.seeds]
            image, audio, target = self.mixup(target, image=image, audio=audio, generators=seeds)
        target = smooth(target, smoothing=self.smoothing)
        logits = self._classify(image, audio, self.given)
        streams = [logits.image, logits.audio, logits.fusion]
        scored = [logits.mean] if self.joint else [x for x in streams if x is not None]
        losses = [self._loss(scores, target) for scores in scored]
        return {"loss": torch.stack(losses).mean()}

    def _classify(self, image: Tensor | None, audio: Tensor | None, given: Listens) -> Logits:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            tokens = self.encoder(
                image=None if given == "audio" else image,
                audio=None if given == "image" else audio,
            )
        return self.head(tokens)

    def _loss(self, scores: Tensor, target: Tensor) -> Tensor:
        return balanced_loss(
            scores.float(), target, frequency=self.frequency, multilabel=self.multilabel
        )


def clip_frequency(clips: ClipSet) -> Tensor:
    """Return the share of the clips that have each class."""
    counts = torch.zeros(len(clips.classes))
    for item in clips.items:
        counts[list(item.labels)] += 1
    return counts / len(clips)


@torch.no_grad()
def start_biases(head: Classifier, bias: Tensor) -> None:
    """Start the bias of each stream's logits at the given one."""
    for stream in (head.image, head.audio, head.fusion):
        stream.linear.bias.copy_(bias)

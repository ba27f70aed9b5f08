"""Classification task: loss and logits of an encoder and a classifier."""

from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

import torch
from torch import Tensor, nn

from avblocks.constants import GivenConstant, in_memory
from avblocks.data import AVBatch, CutMix, FrontEnd, Mixup, smooth
from avblocks.data.datasets import ClipSet
from avblocks.data.datasets.clipset import require_labels
from avblocks.encoder import AVEncoder, AVTokens
from avblocks.heads import Classifier, Logits, balanced_loss
from avblocks.seed import generators
from avblocks.shapes import require, require_choice, require_share, require_weight
from avblocks.tasks.evaluate import Given as Given
from avblocks.tasks.evaluate import HeadTask, encoded
from avblocks.tasks.left_out import draw_present

TESTED: Mapping[Given, tuple[Given, ...]] = {
    "both": ("both", "image", "audio"),
    "image": ("image",),
    "audio": ("audio",),
}
"""Input modalities of the test, by those of the training."""
_NEVER = -1e4  # a logit of probability 0, also in half precision


class Classification(HeadTask):
    """Front end, mixup, encoder, classifier and loss.

    The loss ignores clips without a class; with ``multilabel``, these have none of the classes.

    Args:
        encoder: Encoder. One of your own is called as `AVEncoder` is, and returns `AVTokens`.
        head: Classifier.
        front_end: Front end, from batches to images and spectrograms.
        frozen: Whether to freeze ``encoder`` itself; its drop path does not change.
        given: Input modalities in training.
        joint: Whether the loss is that of the averaged logits, or the mean of the losses of the
            streams.
        multilabel: Whether a clip may have several classes.
        mixup: Parameter of the beta distribution of mixup; 0 for none.
        cutmix: Parameter of the beta distribution of `CutMix`, in place of mixup; 0 for none.
        smoothing: Label smoothing.
        left_out: Share of the training clips whose image or audio is left out of input and loss.
            Otherwise the stream that is easier to learn may dominate, and the others learn little.
            A batch norm of the head would count these clips in its statistics: give a head without.
        frequency: Fraction of the clips in each class, by which its loss is divided.

    Raises:
        ValueError: If a number is out of range, or one modality is given and `left_out` too.
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: Classifier,
        *,
        front_end: FrontEnd,
        frozen: bool = False,
        given: Given = "both",
        joint: bool = True,
        multilabel: bool = False,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        smoothing: float = 0.0,
        left_out: float = 0.0,
        frequency: Tensor | Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        require_choice(*get_args(Given), given=given)
        own = encoder.requires_grad_(False) if frozen else encoder
        self.encoder = cast(AVEncoder, own)
        self.head = head
        self.front_end = front_end
        require_weight(mixup=mixup, cutmix=cutmix)
        require_share(smoothing=smoothing, left_out=left_out)
        if mixup and cutmix:
            raise ValueError("give mixup or cutmix, not both")
        self.mixup = CutMix(cutmix) if cutmix else Mixup(mixup) if mixup else None
        self.given: Given = given
        self.frozen, self.joint = frozen, joint
        self.multilabel, self.smoothing = multilabel, smoothing
        require(not left_out or given == "both", "given", given, "'both' with left_out")
        self.left_out = left_out
        if frequency is not None and not isinstance(frequency, Tensor):
            with in_memory():
                frequency = torch.tensor(frequency)
        self.frequency = frequency

    @property
    def frequency(self) -> Tensor | None:
        """Fraction of the clips in each class, if it was given."""
        return None if self._frequency is None else self._frequency.value

    @frequency.setter
    def frequency(self, frequency: Tensor | None) -> None:
        constant = None if frequency is None else GivenConstant(frequency)
        if constant is not None:
            x = constant.given
            fits = x.ndim == 1 and bool(((x >= 0) & (x <= 1)).all())
            require(fits, "frequency", x.tolist(), "a number from 0 to 1 for each class")
        self._frequency = constant

    def settings(self) -> dict[str, Any]:
        """Return the arguments of the constructor that are plain values."""
        return {
            "frozen": self.frozen,
            "given": self.given,
            "joint": self.joint,
            "multilabel": self.multilabel,
            "mixup": self.mixup.alpha if isinstance(self.mixup, Mixup) else 0.0,
            "cutmix": self.mixup.alpha if isinstance(self.mixup, CutMix) else 0.0,
            "smoothing": self.smoothing,
            "left_out": self.left_out,
            "frequency": None if self._frequency is None else self._frequency.given.tolist(),
        }

    def logits(self, batch: AVBatch, *, given: Given | None = None) -> Logits:
        """Compute the logits of clips, from the modalities ``given``.

        Raises:
            ValueError: If the batch has features of other modalities.
        """
        given = given or self.given
        if batch.features is not None:
            require(given == self.given, "given", given, f"{self.given}, as the features were")
            image, audio = batch.features.get("image"), batch.features.get("audio")
            others = [x for x in (image, audio) if x is not None]
            fusion = batch.features.get("fusion", others[0][:, :0])
            return self._answer(AVTokens(image=image, audio=audio, fusion=fusion))
        image, audio = self.front_end(batch)
        return self._answer(self._tokens(image, audio, given))

    def features(self, batch: AVBatch) -> Mapping[str, Tensor]:
        """Return the tokens that the head reads."""
        if batch.features is not None:
            return batch.features
        require(self.mixup is None, "mixup", self.mixup, "0: features of clips cannot be mixed")
        require(not self.left_out, "left_out", self.left_out, "0: features are of whole clips")
        image, audio = self.front_end(batch)
        streams = vars(self._tokens(image, audio, self.given))
        given = {name: value for name, value in streams.items() if value is not None}
        return {name: value for name, value in given.items() if value.shape[1] > 0}

    def forward(self, batch: AVBatch) -> dict[str, Tensor]:
        """Return the loss of a batch."""
        target = (
            batch.target
            if self.multilabel
            else batch.target / batch.target.sum(1, True).clamp(min=1)
        )
        if self.mixup is None and not self.left_out:
            logits = self.logits(batch)
        else:
            image, audio = self.front_end(batch)
            if self.mixup is not None:
                random = generators(batch.seeds, "mixup")
                image, audio, target = self.mixup(
                    target, image=image, audio=audio, generators=random
                )
            share = self.left_out if self.training else 0.0
            present = draw_present(batch.seeds, left_out=share, device=target.device)
            logits = self._answer(self._tokens(image, audio, self.given, **present))
        smoothed = smooth(target, smoothing=self.smoothing)
        if not self.multilabel:
            smoothed = smoothed * target.any(dim=1, keepdim=True)
        return {"loss": torch.stack(self._losses(logits, smoothed)).mean()}

    def _losses(self, logits: Logits, target: Tensor) -> list[Tensor]:
        """Loss of the averaged logits, or losses of the streams, each over the clips that have it.

        A target of zeros has no loss, with several classes if the logits are far below zero too.
        """
        if self.joint:
            return [self._loss(logits.mean, target)]
        pairs = ((logits.image, logits.has_image), (logits.audio, logits.has_audio))
        return [
            self._loss(scores, target)
            if has is None
            else self._loss(scores.masked_fill(~has[:, None], _NEVER), target * has[:, None])
            for scores, has in (*pairs, (logits.fusion, None))
            if scores is not None
        ]

    def _answer(self, tokens: AVTokens) -> Logits:
        found = self.head(tokens)
        if not hasattr(found, "fusion"):
            head, kind = type(self.head).__name__, type(found).__name__
            raise TypeError(f"{head} returned a {kind}: a head returns avblocks.heads.Logits")
        return found

    def _tokens(
        self, image: Tensor | None, audio: Tensor | None, given: Given, **present: Tensor
    ) -> AVTokens:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            if present:
                return self.encoder(image=image, audio=audio, **present)
            return encoded(self.encoder, image, audio, given=given)

    def _loss(self, scores: Tensor, target: Tensor) -> Tensor:
        return balanced_loss(
            scores.float(), target, frequency=self.frequency, multilabel=self.multilabel
        )


def clip_frequency(clips: ClipSet) -> Tensor:
    """Return the fraction of the clips that have each class."""
    require_labels(clips)
    counts = torch.zeros(len(clips.classes))
    for item in clips.items:
        counts[list(item.labels)] += 1
    return counts / len(clips)


@torch.no_grad()
def start_biases(head: Classifier, bias: Tensor) -> None:
    """Set the bias of the linear layer of each stream."""
    for stream in (head.image, head.audio, head.fusion):
        stream.linear.bias.copy_(bias)

"""Classification heads: one linear head per stream, with averaged logits."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avblocks.builder import builder
from avblocks.encoder import AVTokens
from avblocks.heads.pool import Pooling, pool_of
from avblocks.nn.init import xavier
from avblocks.shapes import expect, given, require, require_positive
from avblocks.tokens import Record, exportable


@dataclass(frozen=True)
class Logits(Record):
    """Logits of each stream, ``None`` where a modality is missing, or there are no fusion tokens.

    Attributes:
        image: logits of the image tokens.
        audio: logits of the audio tokens.
        fusion: logits of the fusion tokens.
        has_image: False for samples that lack the image in a batch that has it.
        has_audio: False for samples that lack the audio in a batch that has it.

    Example:
        >>> fusion, audio = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 0.0]])
        >>> Logits(image=None, audio=audio, fusion=fusion).mean
        tensor([[2., 0.]])
    """

    image: Float[Tensor, "b classes"] | None
    audio: Float[Tensor, "b classes"] | None
    fusion: Float[Tensor, "b classes"] | None
    has_image: Bool[Tensor, " b"] | None = None
    has_audio: Bool[Tensor, " b"] | None = None

    @property
    def mean(self) -> Float[Tensor, "b classes"]:
        """The average over the present streams, the score of the paper."""
        pairs = ((self.image, self.has_image), (self.audio, self.has_audio), (self.fusion, None))
        streams = [x for x, _ in pairs if x is not None]
        if self.has_image is None and self.has_audio is None:
            return torch.stack(streams).mean(dim=0)
        every = torch.ones_like(streams[0][:, 0], dtype=torch.bool)
        has = torch.stack([every if h is None else h for x, h in pairs if x is not None])
        count = has.sum(0).clamp(min=1)[:, None]  # without any stream, the logits are 0
        return torch.where(has[..., None], torch.stack(streams), 0.0).sum(0) / count


exportable(Logits)


class StreamHead(nn.Module):
    """Pooling, norm and linear layer of one stream.

    Args:
        pool: module from tokens to one vector.
        norm: norm of that vector, or ``nn.Identity()``.
        linear: layer from that vector to logits, or a module with its ``in_features`` and
            ``out_features``, whose initialization stays.

    Raises:
        ValueError: if ``linear`` lacks one of the two.

    Example:
        >>> from avblocks.heads import MeanPool
        >>> head = StreamHead(pool=MeanPool(), norm=nn.Identity(), linear=nn.Linear(64, 5))
        >>> head(torch.zeros(2, 10, 64)).shape
        torch.Size([2, 5])
    """

    def __init__(self, *, pool: nn.Module, norm: nn.Module, linear: Any) -> None:
        super().__init__()
        for part in ("in_features", "out_features"):
            kind = type(linear).__name__
            require(hasattr(linear, part), "linear", kind, f"a module with `{part}`")
        self.pool, self.norm, self.linear = pool, norm, linear
        self.dim, self.num_classes = linear.in_features, linear.out_features
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases.

        As in the reference. The scale matters: `LARS` steps in proportion to a weight's norm, so
        MAE's standard deviation of 0.01 would need another learning rate.
        """
        if isinstance(self.linear, nn.Linear):
            xavier(self.linear)

    def forward(
        self, tokens: Float[Tensor, "b n d"], *, valid: Bool[Tensor, "b n"] | None = None
    ) -> Float[Tensor, "b classes"]:
        """Logits of a stream, from its ``valid`` tokens."""
        pooled = self.pool(tokens, **given(valid=valid))
        expect(**{"pooled tokens": (pooled, "b d")}, d=self.dim)
        return self.linear(self.norm(pooled))


class Classifier(nn.Module):
    """A head for each stream (paper, linear probe and fine-tuning).

    Args:
        image: head of the image tokens: a `StreamHead`, or a module with its call and
            ``num_classes``.
        audio: head of the audio tokens.
        fusion: head of the fusion tokens.

    Raises:
        ValueError: if a head has no ``num_classes``, or they differ in it.

    Example:
        >>> from avblocks import av_vit
        >>> encoder = av_vit(64, depth=1, num_heads=4, image_size=32, audio_size=(32, 48))
        >>> head = classifier(64, num_classes=5).eval()
        >>> logits = head(encoder(image=torch.zeros(2, 3, 32, 32), audio=None))
        >>> logits.image.shape, logits.audio, logits.mean.shape
        (torch.Size([2, 5]), None, torch.Size([2, 5]))
    """

    def __init__(self, *, image: nn.Module, audio: nn.Module, fusion: nn.Module) -> None:
        super().__init__()
        heads = {"image": image, "audio": audio, "fusion": fusion}
        for name, head in heads.items():
            has = hasattr(head, "num_classes")
            require(has, name, type(head).__name__, "a module with `num_classes`")
        classes = [head.num_classes for head in heads.values()]
        require(len(set(classes)) == 1, "classes", classes, "the same in each head")
        self.image: Any = image  # with `num_classes`
        self.audio: Any = audio
        self.fusion: Any = fusion

    def forward(self, tokens: AVTokens) -> Logits:
        """Logits of the present streams, each from its valid tokens."""
        image, audio = tokens.image_valid, tokens.audio_valid
        return Logits(
            image=None if tokens.image is None else self.image(tokens.image, **given(valid=image)),
            audio=None if tokens.audio is None else self.audio(tokens.audio, **given(valid=audio)),
            fusion=self.fusion(tokens.fusion) if tokens.fusion.shape[1] else None,
            has_image=None if image is None else image.any(dim=1),
            has_audio=None if audio is None else audio.any(dim=1),
        )


@builder
def classifier(
    dim: int,
    *,
    num_classes: int,
    batch_norm: bool = True,
    pooling: Pooling = "mean",
    num_heads: int = 12,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Classifier:
    """Build a classifier over tokens of one width.

    Args:
        dim: width of a token.
        num_classes: number of classes.
        batch_norm: normalize the pooled tokens without learned scale (epsilon 1e-6), as in the
            paper's linear probe, but not in its fine-tuning.
        pooling: pooling of the tokens of a stream.
        num_heads: heads of the attentive pooling.
        device: device of the weights.
        dtype: data type of the weights.

    Raises:
        ValueError: if the pooling is unknown or a number is out of range.

    Example:
        >>> sorted(classifier(64, num_classes=5, batch_norm=False).image.state_dict())
        ['linear.bias', 'linear.weight']
    """
    require_positive(dim=dim, num_classes=num_classes)

    def head() -> StreamHead:
        return StreamHead(
            pool=pool_of(pooling, dim, num_heads=num_heads),
            norm=nn.BatchNorm1d(dim, eps=1e-6, affine=False) if batch_norm else nn.Identity(),
            linear=nn.Linear(dim, num_classes),
        )

    return Classifier(image=head(), audio=head(), fusion=head())

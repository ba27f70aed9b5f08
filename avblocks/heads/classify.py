"""Classification heads: one linear head a stream, with averaged logits."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.builder import builder
from avblocks.encoder import AVTokens
from avblocks.heads.pool import AttentivePool, MeanPool
from avblocks.nn.init import xavier
from avblocks.shapes import expect, require, require_positive

Pooling = Literal["mean", "attentive"]


@dataclass(frozen=True)
class Logits:
    """Logits of each stream, ``None`` where a modality is missing or there are no fusion tokens.

    Example:
        >>> fusion, audio = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 0.0]])
        >>> Logits(image=None, audio=audio, fusion=fusion).mean
        tensor([[2., 0.]])
    """

    image: Float[Tensor, "b classes"] | None
    audio: Float[Tensor, "b classes"] | None
    fusion: Float[Tensor, "b classes"] | None

    @property
    def mean(self) -> Float[Tensor, "b classes"]:
        """The average over the streams that are given: the paper's score."""
        streams = [x for x in (self.image, self.audio, self.fusion) if x is not None]
        return torch.stack(streams).mean(dim=0)


torch.export.register_dataclass(Logits)


class StreamHead(nn.Module):
    """Pooling, norm and linear layer of one stream.

    Args:
        pool: tokens to one vector.
        norm: norm of that vector, or ``nn.Identity()``.
        linear: vector to logits.

    Example:
        >>> head = StreamHead(pool=MeanPool(), norm=nn.Identity(), linear=nn.Linear(64, 5))
        >>> head(torch.zeros(2, 10, 64)).shape
        torch.Size([2, 5])
    """

    def __init__(self, *, pool: nn.Module, norm: nn.Module, linear: nn.Linear) -> None:
        super().__init__()
        self.pool, self.norm, self.linear = pool, norm, linear
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases.

        As in the reference. The scale matters: `LARS` steps in proportion to a weight's norm, so
        MAE's standard deviation of 0.01 would need another learning rate.
        """
        xavier(self.linear)

    def forward(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b classes"]:
        """Logits of a stream."""
        pooled = self.pool(tokens)
        expect(**{"pooled tokens": (pooled, "b d")}, d=self.linear.in_features)
        return self.linear(self.norm(pooled))


class Classifier(nn.Module):
    """A head for each stream (paper, linear probe and fine-tuning).

    Args:
        image: head of the image tokens.
        audio: head of the audio tokens.
        fusion: head of the fusion tokens.

    Raises:
        ValueError: if the heads differ in the number of classes.

    Example:
        >>> from avblocks import av_vit
        >>> encoder = av_vit(64, depth=1, num_heads=4, image_size=32, audio_size=(32, 48))
        >>> head = classifier(64, num_classes=5).eval()
        >>> logits = head(encoder(image=torch.zeros(2, 3, 32, 32), audio=None))
        >>> logits.image.shape, logits.audio, logits.mean.shape
        (torch.Size([2, 5]), None, torch.Size([2, 5]))
    """

    def __init__(self, *, image: StreamHead, audio: StreamHead, fusion: StreamHead) -> None:
        super().__init__()
        classes = [head.linear.out_features for head in (image, audio, fusion)]
        require(len(set(classes)) == 1, "classes", classes, "the same in each head")
        self.image, self.audio, self.fusion = image, audio, fusion

    def forward(self, tokens: AVTokens) -> Logits:
        """Logits of the streams that are given."""
        return Logits(
            image=None if tokens.image is None else self.image(tokens.image),
            audio=None if tokens.audio is None else self.audio(tokens.audio),
            fusion=None if tokens.fusion.shape[1] == 0 else self.fusion(tokens.fusion),
        )


@builder
def classifier(
    dim: int,
    *,
    num_classes: int,
    batch_norm: bool = True,
    pooling: Pooling = "mean",
    num_heads: int = 12,
) -> Classifier:
    """A classifier over tokens of one width.

    Args:
        dim: width of a token.
        num_classes: number of classes.
        batch_norm: normalize the pooled tokens without learned scale (epsilon 1e-6), as in the
            paper's linear probe, but not in its fine-tuning.
        pooling: how a stream becomes one vector.
        num_heads: heads of the attentive pooling.

    Raises:
        ValueError: if the pooling is unknown or a number impossible.

    Example:
        >>> sorted(classifier(64, num_classes=5, batch_norm=False).image.state_dict())
        ['linear.bias', 'linear.weight']
    """
    require_positive(dim=dim, num_classes=num_classes)
    require(pooling in get_args(Pooling), "pooling", pooling, f"one of {get_args(Pooling)}")

    def head() -> StreamHead:
        return StreamHead(
            pool=MeanPool() if pooling == "mean" else AttentivePool(dim, num_heads=num_heads),
            norm=nn.BatchNorm1d(dim, eps=1e-6, affine=False) if batch_norm else nn.Identity(),
            linear=nn.Linear(dim, num_classes),
        )

    return Classifier(image=head(), audio=head(), fusion=head())

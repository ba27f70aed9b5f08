"""Contrast of the image with statistics of the spectrogram, which teaches it what makes sound."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.distributed import gather_with_grad
from avblocks.encoder import AVTokens
from avblocks.heads.contrast import contrast_loss
from avblocks.heads.whitening import RunningWhitening
from avblocks.shapes import expect, require_above_zero


class AudioStatisticsContrast(nn.Module):
    """InfoNCE loss between tokens of a clip's image and the statistics of its spectrogram.

    The statistics are the mean and the deviation over time of each mel bin, whitened. They tell
    kinds of sound apart before anything is trained, so that the image stream learns from the first
    step. Two encoders that are trained against each other do not on a few hundred clips.

    The similarity of an image and a spectrogram is a soft maximum over the tokens: the logarithm of
    the mean of the exponentials of their cosines, divided by the temperature. Any patch may explain
    the audio, and the others may show something else.

    Args:
        dim: width of a token.
        mels: mel bins of the spectrogram.
        components: principal components of the statistics.
        temperature: divisor of the cosine similarities.

    Raises:
        ValueError: if a number is out of range.

    Source: Owens et al., "Ambient Sound Provides Supervision for Visual Learning" (ECCV 2016),
    whose targets are clusters of such statistics.

    Example:
        >>> from avblocks import av_vit
        >>> encoder = av_vit(64, depth=1, num_heads=4, image_size=32, audio_size=(32, 48))
        >>> contrast = AudioStatisticsContrast(64, mels=32)
        >>> tokens = encoder(image=torch.rand(4, 3, 32, 32), audio=None)
        >>> contrast(tokens, torch.rand(4, 1, 32, 48)).shape
        torch.Size([])
    """

    def __init__(
        self, dim: int, *, mels: int, components: int = 32, temperature: float = 0.1
    ) -> None:
        super().__init__()
        require_above_zero(temperature=temperature)
        self.whiten = RunningWhitening(2 * mels, components=components)
        self.image = nn.Linear(dim, components)
        self.fusion = nn.Linear(dim, components)
        self.temperature = temperature

    def forward(
        self,
        tokens: AVTokens,
        spectrogram: Float[Tensor, "b 1 m t"],
        *,
        own: Float[Tensor, " b"] | None = None,
        masked: Float[Tensor, "b n_f d"] | None = None,
    ) -> Float[Tensor, ""]:
        """Mean of the losses of the image tokens and of the fusion tokens, if there are some.

        Args:
            tokens: tokens of the image alone.
            spectrogram: spectrogram of the same clips.
            own: share of each image that is its own, if rectangles of other ones were pasted into
                them, see `contrast_loss`.
            masked: fusion tokens of the same clips, from the patches of both modalities that a mask
                keeps, for a loss of theirs: they are to know the whole clip.

        Raises:
            ValueError: if the tokens have no image.
        """
        if tokens.image is None:
            raise ValueError("the contrast needs tokens of the image")
        expect(image=(tokens.image, "b n d"), spectrogram=(spectrogram, "b 1 m t"))
        target = self.whiten(audio_statistics(spectrogram))
        parts = [(self.image, tokens.image, own)]
        if tokens.fusion.shape[1]:
            parts.append((self.fusion, tokens.fusion, own))
            if masked is not None:
                parts.append((self.fusion, masked, None))
        losses = [self._loss(project(_standardized(x)), target, own) for project, x, own in parts]
        return torch.stack(losses).mean()

    def _loss(
        self,
        tokens: Float[Tensor, "b n k"],
        target: Float[Tensor, "b k"],
        own: Float[Tensor, " b"] | None,
    ) -> Float[Tensor, ""]:
        every = gather_with_grad(target)
        return contrast_loss(
            self._similarity(tokens, every),
            self._similarity(gather_with_grad(tokens), target).T,
            own=own,
        )

    def _similarity(
        self, tokens: Float[Tensor, "i n k"], target: Float[Tensor, "j k"]
    ) -> Float[Tensor, "i j"]:
        cosines = F.normalize(tokens.float(), dim=2) @ target.T
        return (cosines / self.temperature).logsumexp(dim=1) - math.log(tokens.shape[1])


def audio_statistics(spectrogram: Float[Tensor, "b 1 m t"]) -> Float[Tensor, "b m2"]:
    """Mean and deviation over time of each mel bin.

    Example:
        >>> audio_statistics(torch.tensor([[[[0.0, 2.0], [5.0, 5.0]]]]))
        tensor([[1., 5., 1., 0.]])
    """
    bins = spectrogram.squeeze(1).float()
    return torch.cat((bins.mean(dim=2), bins.std(dim=2, correction=0)), dim=1)


def _standardized(x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
    """Zero mean and unit variance over the tokens of the clips of all processes."""
    every = gather_with_grad(x).flatten(0, 1)
    return (x - every.mean(dim=0)) / (every.var(dim=0, correction=0) + 1e-5).sqrt()

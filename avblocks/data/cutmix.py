"""CutMix: rectangles of other images of the batch, with audio and targets mixed alike."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from avblocks.data.mixup import Mixup, blend
from avblocks.shapes import require


class CutMix:
    """Paste a rectangle of another image of the batch into each one.

    The audio and the target become weighted means, with the share of the image that is its own as
    the weight. Unlike in blended images, every pixel belongs to one of two real images. The
    default partner is the sample at the mirrored index of the batch.

    Args:
        alpha: Both parameters of the beta distribution of the share that stays (paper: 1.0).

    Raises:
        ValueError: If ``alpha`` is not a finite number above zero.

    Source: Yun et al., "CutMix" (ICCV 2019), with one rectangle per sample, as timm with
    ``mode="elem"``.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 0.0, 0.0]])
        >>> image = torch.tensor([0.0, 1.0])[:, None, None, None].expand(2, 1, 1, 4)
        >>> mixed, own = CutMix().cut(image, boxes)
        >>> mixed[0], own
        (tensor([[[1., 1., 0., 0.]]]), tensor([0.5000, 1.0000]))
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self._mixup = Mixup(alpha)
        self.alpha = alpha

    def draw(self, generators: Sequence[Generator]) -> Float[Tensor, "b 4"]:
        """Draw one rectangle per generator, on the host.

        The center is anywhere in the image, so that a rectangle may be clipped.

        Returns:
            Left, top, right and bottom, as fractions of the sides.
        """
        if not generators:
            return torch.zeros(0, 4)
        half = (1 - self._mixup.draw(generators)).sqrt()[:, None] / 2
        center = torch.stack([torch.rand(2, generator=random) for random in generators])
        return torch.cat((center - half, center + half), dim=1).clamp(0, 1)

    def cut(
        self,
        image: Float[Tensor, "b c *time height width"],
        boxes: Float[Tensor, "b 4"],
        *,
        partner: Int64[Tensor, " b"] | None = None,
    ) -> tuple[Float[Tensor, "b c *time height width"], Float[Tensor, " b"]]:
        """Paste the rectangles into images, or into all frames of videos.

        Args:
            image: Images.
            boxes: Rectangles, from `draw`.
            partner: Index of the image that each rectangle is of; mirrored if not given.

        Returns:
            Mixed images, and the share of the pixels of each that are its own.

        Raises:
            ValueError: Unless there is one rectangle per image.
        """
        require(image.ndim >= 4, "image", tuple(image.shape), "images or videos")
        require(len(boxes) == len(image), "boxes", len(boxes), f"of {len(image)} images")
        if image.is_cuda and not boxes.is_cuda:  # from pageable memory, the copy would block
            boxes = boxes.pin_memory()
        left, top, right, bottom = boxes.to(image.device, non_blocking=True).unbind(dim=1)
        rows, columns = (
            _inside(low, high, length)
            for low, high, length in zip(
                (top, left), (bottom, right), image.shape[-2:], strict=True
            )
        )
        inside = rows[:, :, None] & columns[:, None, :]
        own = 1 - inside.flatten(1).float().mean(dim=1)
        other = image.flip(0) if partner is None else image[partner]
        middle = [1] * (image.ndim - 3)
        return torch.where(inside.view(len(image), *middle, *inside.shape[1:]), other, image), own

    def __call__(
        self,
        target: Float[Tensor, "b classes"],
        *,
        image: Float[Tensor, "b c *size"],
        audio: Float[Tensor, "b 1 m t"] | None,
        generators: Sequence[Generator],
        partner: Int64[Tensor, " b"] | None = None,
    ) -> tuple[
        Float[Tensor, "b c *size"],
        Float[Tensor, "b 1 m t"] | None,
        Float[Tensor, "b classes"],
    ]:
        """Mix a batch.

        Args:
            target: Targets.
            image: Images.
            audio: Spectrograms, or None.
            generators: One generator per sample to draw its rectangle from.
            partner: Index of the sample that each sample is mixed with; mirrored if not given.

        Returns:
            Mixed image, audio and target.

        Raises:
            ValueError: Unless there is one of each per sample.
        """
        for name, x in (("image", image), ("audio", audio), ("generators", generators)):
            count = len(target) if x is None else len(x)
            require(count == len(target), name, count, f"of {len(target)} samples")
        image, own = self.cut(image, self.draw(generators), partner=partner)
        mixed = None if audio is None else blend(audio, own, partner)
        return image, mixed, blend(target, own, partner)


def _inside(
    low: Float[Tensor, " b"], high: Float[Tensor, " b"], length: int
) -> Bool[Tensor, "b length"]:
    """Whether the middle of each pixel of a side is between two fractions of the side."""
    middle = (torch.arange(length, device=low.device) + 0.5) / length
    return (middle >= low[:, None]) & (middle < high[:, None])

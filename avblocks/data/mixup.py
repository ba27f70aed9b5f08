"""Mixup of image, audio and targets, and label smoothing."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from avblocks.shapes import expect, require, require_above_zero, require_share


class Mixup:
    """Mix each sample with another one of the batch: image, audio and target.

    ``x[i] * lam[i] + x[partner[i]] * (1 - lam[i])``, with one lambda per sample, the same for
    image, audio and target (as the reference, and timm with ``mode="elem"``). The default partner
    is the sample at the mirrored index of the batch, so the middle one of an odd batch stays
    unchanged.

    Args:
        alpha: Both parameters of the beta distribution of lambda (paper: 1.0, which is uniform).

    Raises:
        ValueError: If ``alpha`` is not a finite number above zero.

    Example:
        >>> image, lam = torch.tensor([[0.0], [1.0]]), torch.tensor([0.75, 1.0])
        >>> image, audio, target = Mixup()(torch.eye(2), image=image, audio=None, lam=lam)
        >>> image, target
        (tensor([[0.2500],
                [1.0000]]), tensor([[0.7500, 0.2500],
                [0.0000, 1.0000]]))
    """

    def __init__(self, alpha: float = 1.0) -> None:
        require_above_zero(alpha=alpha)
        self.alpha = alpha

    def draw(self, generators: Sequence[Generator]) -> Float[Tensor, " b"]:
        """Draw one lambda per generator, on the host: a beta variable from two gamma variables."""
        # torch has no public function that draws gamma variables from a generator.
        gamma = torch._standard_gamma  # pyright: ignore[reportPrivateImportUsage]
        shape = torch.full((2,), self.alpha, dtype=torch.float64)
        pairs = [gamma(shape, generator=random) for random in generators]
        lam = [pair[0] / pair.sum() for pair in pairs]
        return torch.stack(lam).float() if lam else torch.zeros(0)

    def __call__(
        self,
        target: Float[Tensor, "b classes"],
        *,
        image: Float[Tensor, "b c *size"] | None,
        audio: Float[Tensor, "b 1 m t"] | None,
        generators: Sequence[Generator] | None = None,
        lam: Float[Tensor, " b"] | None = None,
        partner: Int64[Tensor, " b"] | None = None,
    ) -> tuple[
        Float[Tensor, "b c *size"] | None,
        Float[Tensor, "b 1 m t"] | None,
        Float[Tensor, "b classes"],
    ]:
        """Mix a batch.

        Args:
            target: Targets.
            image: Images, or None.
            audio: Spectrograms, or None.
            generators: One generator per sample to draw lambda from. If they are seeded by the
                samples' seeds, a sample has the same lambda in any batch.
            lam: Lambda of each sample, in place of ``generators``.
            partner: Index of the sample that each sample is mixed with; mirrored if not given.

        Returns:
            Mixed image, audio and target.

        Raises:
            ValueError: Unless exactly one of ``lam`` and ``generators`` is given, one per sample,
                as is ``partner``, if given.
        """
        if (generators is None) == (lam is None):
            raise ValueError("mixup takes either generators or lam")
        lam = self.draw(generators) if generators is not None else lam
        assert lam is not None
        parts = {"image": image, "audio": audio, "target": target, "lam": lam, "partner": partner}
        for name, x in parts.items():
            mixed = x is None or name == "partner" or x.is_floating_point()
            require(mixed, name, None if x is None else x.dtype, "of floats")
            count = len(target) if x is None else len(x)
            require(count == len(target), name, count, f"of {len(target)} samples")
        if target.is_cuda and not lam.is_cuda:  # from pageable memory, the copy would block
            lam = lam.pin_memory()
        lam = lam.to(target.device, non_blocking=True)
        return (
            None if image is None else blend(image, lam, partner),
            None if audio is None else blend(audio, lam, partner),
            blend(target, lam, partner),
        )


def blend(
    x: Float[Tensor, "b c *shape"], lam: Float[Tensor, " b"], partner: Int64[Tensor, " b"] | None
) -> Float[Tensor, "b c *shape"]:
    """Weighted mean of each sample and its partner; by default the one at the mirrored index."""
    share = lam.to(x).reshape(-1, *[1] * (x.ndim - 1))
    other = x.flip(0) if partner is None else x[partner]
    return x * share + other * (1 - share)


def smooth(target: Float[Tensor, "b classes"], *, smoothing: float) -> Float[Tensor, "b classes"]:
    """Apply label smoothing: spread a fraction of every target evenly over the classes.

    Args:
        target: One-hot, multi-hot or soft targets, before or after mixup.
        smoothing: Fraction that is spread (paper: 0.1).

    Raises:
        ValueError: If ``smoothing`` is not in [0, 1).

    Example:
        >>> smooth(torch.eye(2), smoothing=0.5)
        tensor([[0.7500, 0.2500],
                [0.2500, 0.7500]])
    """
    require_share(smoothing=smoothing)
    expect(target=(target, "b classes"))
    return target * (1 - smoothing) + smoothing / target.shape[1]

"""Sound localization with negative audio: one threshold for all maps, and the area above it.

Negative audio is silence, noise, or the audio of something that is not in the image. No pixel of
the image should then be selected.

Source: `compute_pIA`, `compute_AUC_pIA` and `compute_f` of github.com/xavijuanola/vssl_eval.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.metrics.values import require_finite
from avblocks.shapes import expect, require


def universal_threshold(
    highest: Float[Tensor, " b"], *, quantile: float = 0.75
) -> Float[Tensor, ""]:
    """Threshold that most maps under negative audio do not exceed: a quantile of their maxima.

    Compute it on clips other than the test clips: on the clips that determine it, a quarter of the
    maps exceeds the third quartile by construction.

    Args:
        highest: maximum of each map under negative audio, ``maps.amax(dim=(1, 2))``, of all kinds
            of negative audio together.
        quantile: quantile of the maxima, linearly interpolated; the third quartile by default.

    Raises:
        ValueError: if there is no map, a maximum is not finite or the quantile is not in [0, 1].

    Source: Juanola et al., "A critical assessment of visual sound source localization models
    including negative audio" (arXiv 2410.01020) and the constants ``th_maxq3`` of its code,
    github.com/xavijuanola/vssl_eval, which does not compute them: that they are the third quartile
    of these maxima is inferred from the name and from the abstract.

    Example:
        >>> universal_threshold(torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]))
        tensor(0.4000, dtype=torch.float64)
    """
    _expect(highest=highest)
    require(0.0 <= quantile <= 1.0, "quantile", quantile, "in [0, 1]")
    return highest.double().quantile(quantile)


def active_area(maps: Float[Tensor, "b height width"], *, threshold: float) -> Float[Tensor, " b"]:
    """Fraction of the pixels of each map above a threshold; its mean in percent is the pIA.

    Args:
        maps: predicted maps on one scale for all images, such as similarities.
        threshold: value that a pixel must exceed, such as `universal_threshold`.

    Raises:
        ValueError: if a value is not finite or the threshold is NaN.

    Example:
        >>> active_area(torch.tensor([[[0.1, 0.9], [0.5, 0.2]]]), threshold=0.5)
        tensor([0.2500], dtype=torch.float64)
    """
    expect(maps=(maps, "b height width"))
    require_finite(maps=maps)
    require(threshold == threshold, "threshold", threshold, "a number")
    return (maps > threshold).double().mean(dim=(1, 2))


def refused_share(area: Float[Tensor, " b"]) -> float:
    """Fraction of the clips in which no pixel is selected.

    Args:
        area: `active_area` of each clip with negative audio.

    Raises:
        ValueError: if there is no clip.

    Example:
        >>> refused_share(torch.tensor([0.0, 0.0, 0.01, 1.0]))
        0.5
    """
    _expect(area=area)
    return (area == 0).double().mean().item()


def area_auc(area: Float[Tensor, " b"]) -> float:
    """Area under the fraction of clips with at most a share t of selected pixels, over t.

    The shares are 0, 0.05, ..., 1, by the trapezoid rule. The code of the source calls it ``AOC``.

    Args:
        area: `active_area` of each clip with negative audio.

    Raises:
        ValueError: if there is no clip, or an area is not finite.

    Example:
        >>> round(area_auc(torch.tensor([0.0, 0.5])), 4)
        0.7625
    """
    _expect(area=area)
    curve = torch.stack([(area <= step / 20).double().mean() for step in range(21)])
    return torch.trapezoid(curve, dx=0.05).item()


def localization_f(ciou: float, area: float) -> float:
    """Harmonic mean of the cIoU with matched audio and the area left out with negative audio.

    Args:
        ciou: mean cIoU at `universal_threshold` with matched audio, from 0 to 1.
        area: mean `active_area` with negative audio, from 0 to 1; the mean over kinds of negative
            audio for the score over all of them.

    Raises:
        ValueError: if a number is not in [0, 1].

    Example:
        >>> round(localization_f(0.3, 0.1), 4)
        0.45
    """
    for name, value in {"ciou": ciou, "area": area}.items():
        require(0.0 <= value <= 1.0, name, value, "in [0, 1]")
    total = ciou + 1 - area
    return 2 * ciou * (1 - area) / total if total else 0.0


def _expect(**values: Float[Tensor, " b"]) -> None:
    for name, numbers in values.items():
        expect(**{name: (numbers, "b")})
        require(len(numbers) > 0, name, len(numbers), "of at least one clip")
    require_finite(**values)

"""Scores and figures of the sound localization task."""

from typing import get_args

import torch
from torch import Tensor, nn

from avblocks.checkpoint.whole import Wrapped, unwrapped
from avblocks.data import NEGATIVE, AVBatch, with_audio
from avblocks.distributed import gather_rows
from avblocks.fusion import FusionBlock
from avblocks.metrics import (
    center_box,
    ciou_adaptive,
    ciou_auc,
    ciou_median,
    ciou_success,
    consensus_maps,
    detection_curve,
    map_confidence,
    universal_threshold,
    whole_image,
)
from avblocks.metrics.localize_maps import Rule
from avblocks.shapes import require_choice
from avblocks.tasks.evaluate import Scores, joined
from avblocks.tasks.localize import SIDE, Localization
from avblocks.viz import outline, overlay, scale_maps

BASELINES = ("center_box", "whole_image")
HEARD = ("matched", *NEGATIVE)
"""The kinds of audio that are scored."""
RULES = {"ciou_adaptive": ciou_adaptive, "ciou_median": ciou_median}


class LocalizationScorer:
    """Success rates in percent, with matched and mismatched audio, silence, noise, and baselines.

    With a frozen encoder, fusion attention is scored too. The row of matched audio also has average
    precision and max F1, with silenced images as negatives. ``sounding_found`` is the percentage of
    clips with a visible source whose map exceeds the `universal_threshold`, and ``silent_refused``
    that of silenced clips whose map does not. The threshold is computed from the three kinds of
    negative audio of these clips themselves. Clips without a source, as in Extended VGG-SS, are
    negatives of ``average_precision`` too, and the only ones of ``extended_ap`` and
    ``extended_max_f1``.

    Args:
        task: Localization task; its batches are pairs of clips, whose second clip has the
            mismatched audio, or with ``brief`` single clips.
        rule: Rule for combining the boxes of several annotators.
        brief: Whether to score only matched audio.
        off_screen: Whether to score only mismatched audio, as row ``off_screen``: the audio of
            the pairs has no source in the image, silent objects included.
    """

    def __init__(
        self,
        task: Localization | Wrapped,
        *,
        rule: Rule,
        brief: bool = False,
        off_screen: bool = False,
    ) -> None:
        self.task: Localization = unwrapped(task)
        self.brief = brief or off_screen
        require_choice(*get_args(Rule), rule=rule)
        self.rule: Rule = rule
        fusions = getattr(task.encoder, "fusion_blocks", {}).values()
        looks = task.frozen and any(isinstance(fusion, FusionBlock) for fusion in fusions)
        names = (*HEARD, *(["fusion_attention"] if looks else []), *BASELINES)
        self.names = ("off_screen",) if off_screen else names[:1] if brief else names
        self.reset()

    def reset(self) -> None:
        """Discard all batches."""
        self.rows: dict[tuple[str, str], list[Tensor]] = {
            (name, what): [] for name in self.names for what in (*RULES, "confidence", "peak")
        }

    def update(self, batch: AVBatch) -> None:
        """Score the maps of a batch."""
        boxes = with_audio(batch, "matched").boxes
        truth = consensus_maps(boxes, size=SIDE, rule=self.rule)
        for name in self.names:
            maps = self._maps(batch, name).cpu().expand_as(truth)
            self.rows[name, "confidence"].append(map_confidence(maps))
            self.rows[name, "peak"].append(maps.amax(dim=(1, 2)))
            for what, score in RULES.items():
                self.rows[name, what].append(score(maps, truth))

    def compute(self) -> Scores:
        """Return the scores by map and metric."""
        found = {key: gather_rows(joined(parts)) for key, parts in self.rows.items()}
        if not len(found[self.names[0], "confidence"]):
            return {}
        scores = {name: _shares({what: found[name, what] for what in RULES}) for name in self.names}
        if not self.brief:
            scores["matched"] |= _detection(found) | _universal(found) | _extended(found)
        return scores

    def _maps(self, batch: AVBatch, name: str) -> Tensor:
        match name:
            case "fusion_attention":
                return self.task.attention(with_audio(batch, "matched"))
            case "off_screen":
                return self.task.maps(with_audio(batch, "mismatched"))
            case "center_box":
                return center_box(size=SIDE)
            case "whole_image":
                return whole_image(size=SIDE)
            case _:
                return self.task.maps(with_audio(batch, name))


def _detection(found: dict[tuple[str, str], Tensor]) -> dict[str, float]:
    """Score the confidence as a detector of images with audio against silenced images."""
    ciou = found["matched", "ciou_adaptive"]
    curve = detection_curve(
        torch.cat([ciou, torch.full_like(ciou, torch.nan)]),
        torch.cat([found["matched", "confidence"], found["silenced", "confidence"]]),
    )
    return {
        "average_precision": 100 * curve.average_precision(),
        "max_f1": 100 * curve.max_f1(),
    }


def _extended(found: dict[tuple[str, str], Tensor]) -> dict[str, float]:
    """Score the detector on images with their own audio, some of which have no source (SLAVC)."""
    ciou = found["matched", "ciou_adaptive"]
    if not ciou.isnan().any():
        return {}
    curve = detection_curve(ciou, found["matched", "confidence"])
    return {
        "extended_ap": 100 * curve.average_precision(),
        "extended_max_f1": 100 * curve.max_f1(),
    }


def _universal(found: dict[tuple[str, str], Tensor]) -> dict[str, float]:
    """Percentages of clips on the right side of the threshold, which negative audio determines."""
    peaks = {name: found[name, "peak"].double() for name in HEARD}
    threshold = universal_threshold(torch.cat([peaks[name] for name in NEGATIVE]))
    sources = ~found["matched", "ciou_adaptive"].isnan()
    return {
        "sounding_found": 100 * (peaks["matched"][sources] > threshold).double().mean().item(),
        "silent_refused": 100 * (peaks["silenced"] <= threshold).double().mean().item(),
    }


def _shares(rows: dict[str, Tensor]) -> dict[str, float]:
    shares = {name: 100 * ciou_success(ciou) for name, ciou in rows.items()}
    return shares | {f"{name}_auc": 100 * ciou_auc(ciou) for name, ciou in rows.items()}


@torch.no_grad()
def localization_examples(task: Localization, batch: AVBatch, *, rule: Rule) -> dict[str, Tensor]:
    """Return images with the ground truth in white, and overlaid with the maps for each audio.

    The maps of an image have one scale. Regions above the `universal_threshold` of these clips have
    an edge in cyan; three quarters of the maps under negative audio have none by construction.

    Returns:
        Titles and batches of RGB images in [0, 1], for `avblocks.viz.panel`.
    """
    matched = with_audio(batch, "matched")
    image = task.front_end.to_rgb(task.front_end(matched)[0])
    image = nn.functional.interpolate(image, size=(SIDE, SIDE), mode="bilinear")
    maps = {audio: task.maps(with_audio(batch, audio)).cpu() for audio in HEARD}
    cut = universal_threshold(
        torch.cat([maps[audio].amax(dim=(1, 2)).double() for audio in NEGATIVE])
    )
    shades = scale_maps(torch.cat(list(maps.values()), dim=2)).split(SIDE, dim=2)
    truth = outline(image, consensus_maps(matched.boxes, size=SIDE, rule=rule) > 0)
    columns = {"image": truth}
    for (audio, values), shade in zip(maps.items(), shades, strict=True):
        drawn = overlay(truth, shade, scaled=True)
        columns[f"{audio} audio"] = outline(drawn, values > cut, color=(0.0, 1.0, 1.0))
    return columns

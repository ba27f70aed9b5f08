"""Sound localization task: loss, maps and scores of an encoder and a localizer."""

from collections.abc import Mapping
from typing import Any, get_args

import torch
from torch import Tensor, nn

from avblocks.data import AUDIO, AVBatch, FrontEnd, with_audio
from avblocks.distributed import gather_rows
from avblocks.encoder import AVEncoder
from avblocks.fusion import FusionBlock
from avblocks.heads import Localizer, fusion_map, localization_loss, to_frame
from avblocks.metrics import (
    center_box,
    ciou_adaptive,
    ciou_auc,
    ciou_median,
    ciou_success,
    consensus_maps,
    detection_curve,
    map_confidence,
    whole_image,
)
from avblocks.metrics.localize_maps import Rule
from avblocks.shapes import require
from avblocks.tasks.evaluate import HeadTask, Scores, joined
from avblocks.viz import outline, overlay

SIDE = 224
"""Side in pixels of the maps and boxes that are compared, as in published evaluations."""
BASELINES = ("center_box", "whole_image")
RULES = {"ciou_adaptive": ciou_adaptive, "ciou_median": ciou_median}


class Localization(HeadTask):
    """Front end, encoder, localizer and contrastive loss.

    Args:
        encoder: Encoder.
        head: Localizer.
        front_end: Front end, from batches to images and spectrograms.
        frozen: Whether to freeze ``encoder`` itself; its drop path does not change.
        joint: Whether to encode image and audio together. Training then has a shortcut: a patch
            that has attended to the audio identifies its clip from any location in the image.
        temperature: Divisor of the similarities in the loss.
    """

    def __init__(
        self,
        encoder: AVEncoder,
        head: Localizer,
        *,
        front_end: FrontEnd,
        frozen: bool = False,
        joint: bool = False,
        temperature: float = 0.03,
    ) -> None:
        super().__init__()
        self.encoder, self.head = encoder.requires_grad_(False) if frozen else encoder, head
        self.front_end = front_end
        self.frozen, self.joint, self.temperature = frozen, joint, temperature

    def settings(self) -> dict[str, Any]:
        """Return the arguments of the constructor that are plain values."""
        return {"frozen": self.frozen, "joint": self.joint, "temperature": self.temperature}

    def features(self, batch: AVBatch) -> Mapping[str, Tensor]:
        """Image and audio tokens, encoded together or separately."""
        if batch.features is not None:
            return batch.features
        if self.joint:
            both = self.encode(batch)
            tokens = {"image": both.image, "audio": both.audio}
        else:
            image, audio = self.front_end(batch)
            tokens = {
                "image": self.encoder(image=image, audio=None).image,
                "audio": self.encoder(image=None, audio=audio).audio,
            }
        return {name: value for name, value in tokens.items() if value is not None}

    def maps(self, batch: AVBatch) -> Tensor:
        """Similarity of each pixel to the audio of the clip."""
        similarity = self.head(**self.features(batch)).float()
        return to_frame(similarity, grid=self._grid(batch), size=SIDE)

    def _grid(self, batch: AVBatch) -> tuple[int, ...]:
        """Patches along height and width of the images."""
        sides = (batch.size, batch.size) if batch.size else batch.image.shape[-2:]
        shape = (1, *batch.image.shape[1:-2], *sides)
        return self.encoder.image.grid(torch.empty(shape, device="meta"))

    def attention(self, batch: AVBatch) -> Tensor:
        """Attention of the last fusion layer to each pixel, a map without training."""
        image, audio = self.front_end(batch)
        layer = max(int(key) for key in self.encoder.fusion_blocks)
        patches = fusion_map(self.encoder, image=image, audio=audio, layer=layer)
        return to_frame(patches.float(), grid=self.encoder.image.grid(image), size=SIDE)

    def forward(self, batch: AVBatch) -> dict[str, Tensor]:
        """Return the loss of a batch."""
        similarity = self.head.pairs(**self.features(batch))
        return {"loss": localization_loss(similarity, temperature=self.temperature)}


class LocalizationScorer:
    """Success rates in percent, with matched and mismatched audio, silence, and two baselines.

    Fusion attention is scored too. With matched audio, average precision and max F1 are added, with
    silenced images as negatives.

    Args:
        task: Localization task; its batches are pairs of clips, whose second clip has the
            mismatched audio, or with ``brief`` single clips.
        rule: Rule for combining the boxes of several annotators.
        brief: Whether to score only matched audio.
    """

    def __init__(self, task: Localization, *, rule: Rule, brief: bool = False) -> None:
        self.task, self.brief = task, brief
        require(rule in get_args(Rule), "rule", rule, f"one of {get_args(Rule)}")
        self.rule: Rule = rule
        fusions = task.encoder.fusion_blocks.values()
        looks = task.frozen and any(isinstance(fusion, FusionBlock) for fusion in fusions)
        names = (*AUDIO, *(["fusion_attention"] if looks else []), *BASELINES)
        self.names = names[:1] if brief else names
        self.reset()

    def reset(self) -> None:
        """Discard all batches."""
        self.rows: dict[tuple[str, str], list[Tensor]] = {
            (name, what): [] for name in self.names for what in (*RULES, "confidence")
        }

    def update(self, batch: AVBatch) -> None:
        """Score the maps of a batch."""
        boxes = with_audio(batch, "matched").boxes
        truth = consensus_maps(boxes, size=SIDE, rule=self.rule)
        for name in self.names:
            maps = self._maps(batch, name).cpu().expand_as(truth)
            self.rows[name, "confidence"].append(map_confidence(maps))
            for what, score in RULES.items():
                self.rows[name, what].append(score(maps, truth))

    def compute(self) -> Scores:
        """Return the scores by map and metric."""
        found = {key: gather_rows(joined(parts)) for key, parts in self.rows.items()}
        if not len(found["matched", "confidence"]):
            return {}
        scores = {name: _shares({what: found[name, what] for what in RULES}) for name in self.names}
        if not self.brief:
            scores["matched"] |= _detection(found)
        return scores

    def _maps(self, batch: AVBatch, name: str) -> Tensor:
        match name:
            case "fusion_attention":
                return self.task.attention(with_audio(batch, "matched"))
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


def _shares(rows: dict[str, Tensor]) -> dict[str, float]:
    shares = {name: 100 * ciou_success(ciou) for name, ciou in rows.items()}
    return shares | {f"{name}_auc": 100 * ciou_auc(ciou) for name, ciou in rows.items()}


@torch.no_grad()
def localization_examples(task: Localization, batch: AVBatch, *, rule: Rule) -> dict[str, Tensor]:
    """Return images with the ground truth outlined, and overlaid with the maps for each audio.

    Returns:
        Titles and batches of RGB images in [0, 1], for `avblocks.viz.panel`.
    """
    matched = with_audio(batch, "matched")
    image = task.front_end.to_rgb(task.front_end(matched)[0])
    image = nn.functional.interpolate(image, size=(SIDE, SIDE), mode="bilinear")
    edge = consensus_maps(matched.boxes, size=SIDE, rule=rule) > 0
    columns = {"image": outline(image, edge)}
    for audio in AUDIO:
        maps = task.maps(with_audio(batch, audio))
        columns[f"{audio} audio"] = outline(overlay(image, maps), edge)
    return columns

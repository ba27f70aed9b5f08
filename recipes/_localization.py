"""A localizer on an encoder as one module, how well it points, and what to look at."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from avblocks import AVEncoder
from avblocks.data import AVBatch, FrontEnd
from avblocks.heads import Localizer, localization_loss, to_frame
from avblocks.metrics import (
    center_box,
    ciou_adaptive,
    ciou_auc,
    ciou_median,
    ciou_success,
    consensus,
    detection_curve,
    map_confidence,
    whole_image,
)
from avblocks.metrics.localize_maps import Rule
from avblocks.viz import outline, overlay, panel, save_figure
from recipes._data import Data
from recipes._distributed import gather_rows
from recipes._mixtures import SOUNDS, heard

SIDE = 224
"""Pixels of the square that maps and boxes are compared on, as in the field."""
CHEATS = ("center_box", "whole_image")
RULES = {"ciou_adaptive": ciou_adaptive, "ciou_median": ciou_median}


class Localization(nn.Module):
    """Front end, encoder, localizer, contrastive loss.

    Args:
        encoder: The encoder.
        head: The localizer.
        data: How the clips are read.
        frozen: Whether the encoder is left as it is.
        joint: Whether it encodes a picture and its sound together. In training that gives the
            answer away: a patch that has heard its sound need not show where it comes from.
    """

    def __init__(
        self,
        encoder: AVEncoder,
        head: Localizer,
        *,
        data: Data,
        frozen: bool,
        joint: bool = False,
    ) -> None:
        super().__init__()
        self.encoder, self.head = encoder.requires_grad_(not frozen), head
        self.front_end = FrontEnd(rate=data.rate, n_mels=data.mels)
        self.joint = joint

    def encode(self, batch: AVBatch) -> dict[str, Tensor]:
        """Tokens of the pictures and of the sounds."""
        image, audio = self.front_end(batch)
        if self.joint:
            tokens = [self.encoder(image=image, audio=audio)] * 2
        else:
            tokens = [
                self.encoder(image=image, audio=None),
                self.encoder(image=None, audio=audio),
            ]
        return {"image": tokens[0].image, "audio": tokens[1].audio}

    def maps(self, batch: AVBatch) -> Tensor:
        """Similarity of each pixel to the sound that is heard with it."""
        image, _ = self.front_end(batch)
        grid = self.encoder.image.grid(image)
        return to_frame(self.head(**self.encode(batch)).float(), grid=grid, size=SIDE)

    def forward(self, batch: AVBatch) -> dict[str, Tensor]:
        """Return the loss of a batch."""
        return {"loss": localization_loss(self.head.pairs(**self.encode(batch)))}


@torch.no_grad()
def localization_scores(
    model: Localization,
    loader: Iterable[AVBatch],
    *,
    rule: Rule,
    on_batch: Callable[[AVBatch], object],
) -> dict[str, dict[str, float]]:
    """Score maps of each sound and both cheats; empty if no clip can be used.

    Args:
        model: In evaluation mode.
        loader: Pairs of clips, the second lending its sound.
        rule: How boxes of several annotators agree.
        on_batch: Called with each batch, for instance to count skipped files.

    Returns:
        Shares in per cent, by whose maps and by metric. With the own sound also average precision
        and max F1 where the silenced pictures, in which nothing sounds, are the negatives.
    """
    rows: dict[str, list[Tensor]] = {}
    for batch in tqdm(loader, "test", unit="batch", leave=False, disable=None):
        on_batch(batch)
        if len(batch):
            for name, values in _rows(model, batch, rule).items():
                rows.setdefault(name, []).append(values.cpu())
    names = [f"{whose} {rule}" for whose in (*SOUNDS, *CHEATS) for rule in RULES]
    names += [f"{sound} confidence" for sound in SOUNDS]
    empty = [torch.zeros(0)]
    found = {name: gather_rows(torch.cat(rows.get(name, empty))) for name in names}
    if not len(found["own confidence"]):
        return {}
    scores = {
        whose: _shares({name: found[f"{whose} {name}"] for name in RULES})
        for whose in (*SOUNDS, *CHEATS)
    }
    ciou = found["own ciou_adaptive"]
    curve = detection_curve(
        torch.cat([ciou, torch.full_like(ciou, torch.nan)]),
        torch.cat([found["own confidence"], found["silenced confidence"]]),
    )
    scores["own"]["average_precision"] = 100 * curve.average_precision()
    scores["own"]["max_f1"] = 100 * curve.max_f1()
    return scores


def _rows(model: Localization, batch: AVBatch, rule: Rule) -> dict[str, Tensor]:
    batch = batch.to(model.encoder.fusion_tokens.device)
    truth = truths(heard(batch, "own"), rule)
    maps = {sound: model.maps(heard(batch, sound)).cpu() for sound in SOUNDS}
    rows = {f"{sound} confidence": map_confidence(values) for sound, values in maps.items()}
    maps["center_box"] = center_box(size=SIDE).expand_as(truth)
    maps["whole_image"] = whole_image(size=SIDE).expand_as(truth)
    return rows | {
        f"{whose} {name}": score(values, truth)
        for whose, values in maps.items()
        for name, score in RULES.items()
    }


def truths(batch: AVBatch, rule: Rule) -> Tensor:
    """Where the annotators say that something sounds."""
    boxes = [torch.zeros(0, 4) if some is None else some for some in batch.boxes]
    return torch.stack([consensus(some, size=SIDE, rule=rule) for some in boxes])


def _shares(rows: dict[str, Tensor]) -> dict[str, float]:
    shares = {name: 100 * ciou_success(ciou) for name, ciou in rows.items()}
    return shares | {f"{name}_auc": 100 * ciou_auc(ciou) for name, ciou in rows.items()}


@torch.no_grad()
def localization_picture(model: Localization, batch: AVBatch, path: Path, *, rule: Rule) -> None:
    """Draw pictures with the edge of the truth, and the maps of each sound over them."""
    batch = batch.to(model.encoder.fusion_tokens.device)
    own = heard(batch, "own")
    image = model.front_end.normalize.undo(model.front_end(own)[0])
    image = nn.functional.interpolate(image, size=(SIDE, SIDE), mode="bilinear")
    edge = truths(own, rule) > 0
    columns = {"image": outline(image, edge)}
    for sound in SOUNDS:
        columns[f"sound {sound}"] = outline(overlay(image, model.maps(heard(batch, sound))), edge)
    save_figure(panel(columns), path)

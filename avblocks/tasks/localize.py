"""A localizer on an encoder as one module, how well it points, and what to look at."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from avblocks import AVEncoder
from avblocks.data import AVBatch, FrontEnd
from avblocks.data.mismatch import SOUNDS, heard
from avblocks.distributed import gather_rows
from avblocks.heads import Localizer, fusion_map, localization_loss, to_frame
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
from recipes.common.train import OnBatch, TaskModel, tested

SIDE = 224
"""Pixels of the square that maps and boxes are compared on, as in the field."""
PICTURE = "maps.png"
CHEATS = ("center_box", "whole_image")
RULES = {"ciou_adaptive": ciou_adaptive, "ciou_median": ciou_median}


class Localization(TaskModel):
    """Front end, encoder, localizer, contrastive loss.

    Args:
        encoder: The encoder.
        head: The localizer.
        front_end: From batches to images and spectrograms.
        frozen: Whether the encoder is left as it is.
        joint: Whether it encodes a picture and its sound together. In training that gives the
            answer away: a patch that has heard its sound need not show where it comes from.
        temperature: What similarities are divided by in the loss.
    """

    def __init__(
        self,
        encoder: AVEncoder,
        head: Localizer,
        *,
        front_end: FrontEnd,
        frozen: bool,
        joint: bool = False,
        temperature: float = 0.03,
    ) -> None:
        super().__init__()
        self.encoder, self.head = encoder.requires_grad_(not frozen), head
        self.front_end = front_end
        self.frozen, self.joint, self.temperature = frozen, joint, temperature

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

    def attention(self, batch: AVBatch) -> Tensor:
        """What the last fusion looks at in each picture: a map that no training has made."""
        image, audio = self.front_end(batch)
        layer = max(int(key) for key in self.encoder.fusion_blocks)
        patches = fusion_map(self.encoder, image=image, audio=audio, layer=layer)
        return to_frame(patches.float(), grid=self.encoder.image.grid(image), size=SIDE)

    def forward(self, batch: AVBatch) -> dict[str, Tensor]:
        """Return the loss of a batch."""
        similarity = self.head.pairs(**self.encode(batch))
        return {"loss": localization_loss(similarity, temperature=self.temperature)}


@torch.no_grad()
def localization_scores(
    model: Localization,
    loader: Iterable[AVBatch],
    on_batch: OnBatch,
    *,
    brief: bool,
    rule: Rule,
) -> dict[str, dict[str, float]]:
    """Score maps of each sound, fusion attention and both cheats; empty if no clip can be used.

    Args:
        model: In evaluation mode.
        loader: Pairs of clips, the second lending its sound.
        on_batch: Called with each batch, for instance to count skipped files.
        brief: Whether to leave out all but the own sound.
        rule: How boxes of several annotators agree.

    Returns:
        Shares in per cent, by whose maps and by metric. With the own sound also average precision
        and max F1 where the silenced pictures, in which nothing sounds, are the negatives.
    """
    looks = model.frozen and len(model.encoder.fusion_blocks) > 0
    names = (*SOUNDS, *(["fusion_attention"] if looks else []), *CHEATS)
    names = names[:1] if brief else names
    rows = {(name, what): [torch.zeros(0)] for name in names for what in (*RULES, "confidence")}
    for batch in tested(model, loader, on_batch):
        truth = truths(heard(batch, "own"), rule)
        for name in names:
            maps = _maps(model, batch, name).cpu().expand_as(truth)
            rows[name, "confidence"].append(map_confidence(maps))
            for what, score in RULES.items():
                rows[name, what].append(score(maps, truth))
    found = {key: gather_rows(torch.cat(parts)) for key, parts in rows.items()}
    if not len(found["own", "confidence"]):
        return {}
    scores = {name: _shares({what: found[name, what] for what in RULES}) for name in names}
    return scores if brief else {**scores, "own": {**scores["own"], **_detection(found)}}


def _maps(model: Localization, batch: AVBatch, name: str) -> Tensor:
    """Maps of a sound, of the fusion's attention, or of a cheat."""
    match name:
        case "fusion_attention":
            return model.attention(heard(batch, "own"))
        case "center_box":
            return center_box(size=SIDE)
        case "whole_image":
            return whole_image(size=SIDE)
        case _:
            return model.maps(heard(batch, name))


def _detection(found: Mapping[tuple[str, str], Tensor]) -> dict[str, float]:
    """How well confidence tells pictures with their sound from silenced ones."""
    ciou = found["own", "ciou_adaptive"]
    curve = detection_curve(
        torch.cat([ciou, torch.full_like(ciou, torch.nan)]),
        torch.cat([found["own", "confidence"], found["silenced", "confidence"]]),
    )
    return {
        "average_precision": 100 * curve.average_precision(),
        "max_f1": 100 * curve.max_f1(),
    }


def truths(batch: AVBatch, rule: Rule) -> Tensor:
    """Where the annotators say that something sounds."""
    boxes = [torch.zeros(0, 4) if some is None else some for some in batch.boxes]
    return torch.stack([consensus(some, size=SIDE, rule=rule) for some in boxes])


def _shares(rows: dict[str, Tensor]) -> dict[str, float]:
    shares = {name: 100 * ciou_success(ciou) for name, ciou in rows.items()}
    return shares | {f"{name}_auc": 100 * ciou_auc(ciou) for name, ciou in rows.items()}


@torch.no_grad()
def localization_picture(model: Localization, batch: AVBatch, folder: Path, *, rule: Rule) -> None:
    """Draw pictures with the edge of the truth, and the maps of each sound over them."""
    own = heard(batch, "own")
    image = model.front_end.normalize.undo(model.front_end(own)[0])
    image = nn.functional.interpolate(image, size=(SIDE, SIDE), mode="bilinear")
    edge = truths(own, rule) > 0
    columns = {"image": outline(image, edge)}
    for sound in SOUNDS:
        columns[f"sound {sound}"] = outline(overlay(image, model.maps(heard(batch, sound))), edge)
    save_figure(panel(columns), folder / PICTURE)

"""Sound localization task: loss, maps and scores of an encoder and a localizer."""

from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.data import NEGATIVE, AVBatch, FrontEnd, white_noise, with_audio
from avblocks.distributed import gather_rows
from avblocks.encoder import AVEncoder
from avblocks.fusion import FusionBlock
from avblocks.heads import (
    Localizer,
    clip_relations,
    diffusion_map,
    fusion_map,
    local_tokens,
    localization_loss,
    to_frame,
)
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
from avblocks.seed import key
from avblocks.shapes import require
from avblocks.tasks.evaluate import HeadTask, Scores, joined
from avblocks.viz import outline, overlay

SIDE = 224
"""Side in pixels of the maps and boxes that are compared, as in published evaluations."""
BASELINES = ("center_box", "whole_image")
HEARD = ("matched", *NEGATIVE)
"""The kinds of audio that are scored."""
_BANK = 64  # signals of noise, and one of silence, that a frozen encoder encodes once
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
        local: Number of layers in which each patch is encoded by itself, see `local_tokens`; 0 to
            encode whole images in all layers.
        patches: Fraction of the patches of each image, drawn anew in each step, in the loss.
        negatives: Silent and noisy audio that is added to the negatives of a batch.
        positives: Share of the pairs of clips whose audio counts as alike, if the batches have
            `codes`, see `relate` and `clip_relations`.

    Raises:
        ValueError: If an argument is out of range, or ``local`` and ``joint`` contradict.
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
        local: int = 0,
        patches: float = 1.0,
        negatives: int = 0,
        positives: float = 0.0,
    ) -> None:
        super().__init__()
        require(
            0 <= local <= encoder.depth, "local", local, "from 0 to the encoder's {}", encoder.depth
        )
        require(not (local and joint), "local", local, "0 with joint: it encodes images alone")
        require(0 < patches <= 1, "patches", patches, "in (0, 1]")
        require(negatives >= 0, "negatives", negatives, "0 or more")
        require(0 <= positives <= 0.5, "positives", positives, "in [0, 0.5]")
        self.encoder, self.head = encoder.requires_grad_(False) if frozen else encoder, head
        self.front_end = front_end
        self.frozen, self.joint, self.temperature = frozen, joint, temperature
        self.local, self.patches = local, patches
        self.negatives, self.positives = negatives, positives
        self._bank: Tensor | None = None

    def settings(self) -> dict[str, Any]:
        """Return the arguments of the constructor that are plain values."""
        names = ("frozen", "joint", "temperature", "local", "patches", "negatives", "positives")
        return {name: getattr(self, name) for name in names}

    def features(self, batch: AVBatch) -> Mapping[str, Tensor]:
        """Image and audio tokens, encoded together or separately."""
        if batch.features is not None:
            return batch.features
        if self.joint:
            both = self.encode(batch)
            tokens = {"image": both.image, "audio": both.audio}
        else:
            image, audio = self.front_end(batch)
            if self.local:
                patches = local_tokens(self.encoder, image, depth=self.local)
            else:
                patches = self.encoder(image=image, audio=None).image
            tokens = {"image": patches, "audio": self.encoder(image=None, audio=audio).audio}
        return {name: value for name, value in tokens.items() if value is not None}

    def relate(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add `codes` to the features of all training clips: whose audio is alike, without labels.

        They compare mean and deviation of the audio tokens, see `diffusion_map`.
        """
        if not self.positives:
            return dict(features)
        audio = features["audio"]
        parts = [torch.cat((x.mean(1), x.std(1)), 1) for x in audio.float().split(1024)]
        neighbors = min(40, max(len(audio) // 8, 1))
        return {**features, "codes": diffusion_map(torch.cat(parts), neighbors=neighbors)}

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
        features = self.features(batch)
        image, audio, codes = features["image"], features["audio"], features.get("codes")
        generator = torch.Generator().manual_seed(key("localize", *batch.seeds))
        if self.training and self.patches < 1:
            image = _some_patches(image, share=self.patches, generator=generator)
        if self.negatives:
            audio = torch.cat((audio, self._silence_and_noise(generator).to(audio)))
        sounds = self.head.embed_audio(audio)
        if self.training and self.negatives:
            self.head.track(sounds[: len(image)], sounds[len(image) :])
        similarity = torch.einsum("ind,jd->ijn", self.head.embed_image(image), sounds)
        alike = None if codes is None else clip_relations(codes, positives=self.positives)
        loss = localization_loss(similarity, temperature=self.temperature, relations=alike)
        return {"loss": loss}

    def _silence_and_noise(self, generator: torch.Generator) -> Tensor:
        """Audio tokens of a quarter silence and three quarters noise, by a frozen encoder once."""
        count = max(self.negatives // 4, 1)
        if not self.frozen:
            first = int(torch.randint(2**62, (), generator=generator))
            return self._encode_noise([*range(first, first + self.negatives)], silent=count)
        if self._bank is None:
            with torch.no_grad():
                self._bank = self._encode_noise([*range(_BANK)], silent=1)
        drawn = 1 + torch.randint(_BANK - 1, (self.negatives - count,), generator=generator)
        return self._bank[torch.cat((torch.zeros(count, dtype=torch.long), drawn))]

    def _encode_noise(self, seeds: Sequence[int], *, silent: int) -> Tensor:
        """Audio tokens of white noise; the first ones of silence."""
        waves = white_noise(seeds, samples=self.front_end.format.samples)
        waves[:silent] = 0
        audio = self.encoder(image=None, audio=self.front_end.spectrogram(waves.to(self.device)))
        return cast(Tensor, audio.audio)


def _some_patches(
    image: Float[Tensor, "b n d"], *, share: float, generator: torch.Generator
) -> Float[Tensor, "b k d"]:
    """Draw patches of each image."""
    b, n, _ = image.shape
    order = torch.rand(b, n, generator=generator).argsort(dim=1)[:, : max(round(share * n), 1)]
    return image.gather(1, order.to(image.device)[..., None].expand(-1, -1, image.shape[2]))


class LocalizationScorer:
    """Success rates in percent, with matched and mismatched audio, silence, noise, and baselines.

    Fusion attention is scored too. With matched audio, average precision and max F1 are added, with
    silenced images as negatives; and the shares of clips with and without a region above the
    universal threshold (`sounding_found`, `silent_refused`, in percent): the third quartile of the
    maxima of all maps with negative audio (arXiv 2410.01020).

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
        names = (*HEARD, *(["fusion_attention"] if looks else []), *BASELINES)
        self.names = names[:1] if brief else names
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
        if not len(found["matched", "confidence"]):
            return {}
        scores = {name: _shares({what: found[name, what] for what in RULES}) for name in self.names}
        if not self.brief:
            scores["matched"] |= _detection(found) | _universal(found)
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


def _universal(found: dict[tuple[str, str], Tensor]) -> dict[str, float]:
    """Shares of clips on the right side of a threshold on all maps, from negative audio."""
    peaks = {name: found[name, "peak"].double() for name in HEARD}
    threshold = torch.cat([peaks[name] for name in NEGATIVE]).quantile(0.75)
    return {
        "sounding_found": 100 * (peaks["matched"] > threshold).double().mean().item(),
        "silent_refused": 100 * (peaks["silenced"] <= threshold).double().mean().item(),
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
    for audio in HEARD:
        maps = task.maps(with_audio(batch, audio))
        columns[f"{audio} audio"] = outline(overlay(image, maps), edge)
    return columns

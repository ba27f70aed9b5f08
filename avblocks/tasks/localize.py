"""Sound localization task: loss and maps of an encoder and a localizer."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from jaxtyping import Float, Int8
from torch import Tensor, nn

from avblocks.data import AVBatch, FrontEnd
from avblocks.heads import (
    Localizer,
    Starts,
    clip_relations,
    diffusion_map,
    fusion_map,
    local_tokens,
    localization_loss,
    to_frame,
)
from avblocks.nn.mask import gather_tokens
from avblocks.seed import key
from avblocks.shapes import require, require_above_zero, require_count
from avblocks.tasks.evaluate import HeadTask, require_one_image, with_parts
from avblocks.tasks.silence import SilenceAndNoise

SIDE = 224
"""Side in pixels of the maps and boxes that are compared, as in published evaluations."""


class Localization(HeadTask):
    """Front end, encoder, localizer and contrastive loss.

    Args:
        encoder: Encoder. One of your own is called as `AVEncoder` is, returns `AVTokens`, and has
            `image.grid`; ``local`` is for encoders of avblocks only.
        head: Localizer, or several `Starts` of one.
        front_end: Front end, from batches to images and spectrograms.
        frozen: Whether to freeze ``encoder`` itself; its drop path does not change.
        joint: Whether to encode image and audio together. Training then has a shortcut: a patch
            that has attended to the audio identifies its clip from any location in the image.
        temperature: Divisor of the similarities in the loss.
        local: Number of layers in which each patch is encoded by itself, see `local_tokens`; 0 to
            encode whole images in all layers.
        patches: Fraction of the patches of each image, drawn anew in each step, in the loss.
        negatives: Number of signals of silence and noise added to the negatives of a batch.
        positives: Share of the pairs of clips whose audio counts as alike. The batches then need
            `codes`, see `relate` and `clip_relations`.
        mirror: Whether `maps` are the mean of the map of an image and that of its mirror image.
            Training on features draws one of the two.

    Raises:
        ValueError: If an argument is out of range, the encoder lacks a part, the clips are videos,
            or ``joint`` is set with ``local`` or ``mirror``.
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: Localizer | Starts,
        *,
        front_end: FrontEnd,
        frozen: bool = False,
        joint: bool = False,
        temperature: float = 0.03,
        local: int = 0,
        patches: float = 1.0,
        negatives: int = 0,
        positives: float = 0.0,
        mirror: bool = False,
    ) -> None:
        super().__init__()
        require_one_image(front_end)
        require_above_zero(temperature=temperature)
        require_count(local=local, negatives=negatives)
        parts = ("image.grid", "depth", "embed", "layer") if local else ("image.grid",)
        self.encoder = with_parts("encoder", encoder, *parts, like="AVEncoder")
        if local:
            depth = self.encoder.depth
            require(local <= depth, "local", local, "from 0 to the encoder's {}", depth)
        require(not (local and joint), "local", local, "0 with joint: it encodes images alone")
        require(
            not (mirror and joint), "mirror", mirror, "False with joint: it encodes images alone"
        )
        require(0 < patches <= 1, "patches", patches, "in (0, 1]")
        require(0 <= positives <= 0.5, "positives", positives, "in [0, 0.5]")
        if frozen:
            self.encoder.requires_grad_(False)
        self.head, self.front_end = head, front_end
        for one in self._heads:
            with_parts("head", one, "embed_image", "embed_audio", like="Localizer")
        self.frozen, self.joint, self.temperature = frozen, joint, temperature
        self.local, self.patches = local, patches
        self.negatives, self.positives = negatives, positives
        self.mirror = mirror
        self._silence = SilenceAndNoise(negatives, kept=frozen)

    @property
    def _heads(self) -> Any:
        return getattr(self.head, "heads", (self.head,))

    def settings(self) -> dict[str, Any]:
        """Return the arguments of the constructor that are plain values."""
        names = ("frozen", "joint", "temperature", "local", "patches", "negatives", "positives")
        return {name: getattr(self, name) for name in (*names, "mirror")}

    def features(self, batch: AVBatch) -> Mapping[str, Tensor]:
        """Image and audio tokens, encoded together or separately.

        With `mirror`, those of the mirror image are in `mirrored`.
        """
        return self._features(batch, mirror=self.mirror)

    def _features(self, batch: AVBatch, *, mirror: bool) -> Mapping[str, Tensor]:
        if batch.features is not None:
            return batch.features
        if self.joint:
            both = self.encode(batch)
            tokens = {"image": both.image, "audio": both.audio}
        else:
            image, audio = self.front_end(batch)
            tokens = {"image": self._patches(image)}
            tokens["audio"] = self.encoder(image=None, audio=audio).audio
            if mirror:
                tokens["mirrored"] = self._patches(image.flip(-1))
        return {name: value for name, value in tokens.items() if value is not None}

    def _patches(self, image: Tensor) -> Tensor:
        if self.local:
            return local_tokens(self.encoder, image, depth=self.local)
        return self.encoder(image=image, audio=None).image

    def relate(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add `codes` to the features of all training clips, from which similar audio is found.

        They are the `diffusion_map` of mean and standard deviation of the audio tokens.
        """
        if not self.positives:
            return dict(features)
        audio = features["audio"]
        one = min(1, audio.shape[1] - 1)  # the deviation of a single token is 0
        halves = [(x.mean(1), x.std(1, correction=one)) for x in audio.float().split(1024)]
        codes = torch.cat([torch.cat(pair, 1) for pair in halves])
        neighbors, components = (min(40, max(len(audio) // share, 2)) for share in (8, 20))
        codes = diffusion_map(codes, neighbors=neighbors, components=components)
        return {**features, "codes": codes}

    def maps(self, batch: AVBatch) -> Tensor:
        """Similarity of each pixel to the audio of the clip.

        Raises:
            ValueError: With `mirror`, if the batch has features of a task without it.
        """
        features, grid = self.features(batch), self._grid(batch)
        found = self._map(features["image"], features["audio"], grid)
        if self.mirror:
            if "mirrored" not in features:
                raise ValueError(
                    "these features lack `mirrored`: encode the clips with mirror=True"
                )
            found = (found + self._map(features["mirrored"], features["audio"], grid).flip(-1)) / 2
        return found

    def _map(self, image: Tensor, audio: Tensor, grid: tuple[int, ...]) -> Tensor:
        return to_frame(self.head(image=image, audio=audio).float(), grid=grid, size=SIDE)

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
        """Return the loss of a batch; with several starts, the mean and the lowest of theirs."""
        features = self._features(batch, mirror=False)  # of clips that are augmented themselves
        image, audio, codes = features["image"], features["audio"], features.get("codes")
        if self.positives and codes is None:
            raise ValueError("positives need `codes`: encode all clips once, and see `relate`")
        generator = torch.Generator().manual_seed(key("localize", *batch.seeds))
        if self.training and self.mirror and "mirrored" in features:
            turned = torch.rand(len(image), generator=generator) < 0.5
            image = torch.where(turned.to(image.device)[:, None, None], features["mirrored"], image)
        if self.training and self.patches < 1:
            image = _some_patches(image, share=self.patches, generator=generator)
        if self.negatives:
            negatives = self._silence.tokens(self.encoder, self.front_end, generator=generator)
            audio = torch.cat((audio, negatives.to(audio)))
        alike = None if codes is None else clip_relations(codes, positives=self.positives)
        if isinstance(self.head, Localizer):
            return {"loss": self._loss(self.head, image, audio, alike)}
        losses = torch.stack([self._loss(head, image, audio, alike) for head in self._heads])
        if self.training:
            self.head.track(losses)
        return {"loss": losses.mean(), "least_loss": losses.detach().min()}

    def _loss(
        self,
        head: nn.Module,
        image: Float[Tensor, "b n_v d"],
        audio: Float[Tensor, "b_a n_a d"],
        alike: Int8[Tensor, "b b"] | None,
    ) -> Float[Tensor, ""]:
        """Loss of one localizer; the audio after that of the images has no source."""
        head = cast(Localizer, head)
        sounds = head.embed_audio(audio)
        if self.training and self.negatives:
            head.track(sounds[: len(image)], sounds[len(image) :])
        similarity = torch.einsum("ind,jd->ijn", head.embed_image(image), sounds)
        return localization_loss(similarity, temperature=self.temperature, relations=alike)


def _some_patches(
    image: Float[Tensor, "b n d"], *, share: float, generator: torch.Generator
) -> Float[Tensor, "b k d"]:
    """Draw patches of each image."""
    b, n, _ = image.shape
    order = torch.rand(b, n, generator=generator).argsort(dim=1)[:, : max(round(share * n), 1)]
    return gather_tokens(image, order.to(image.device))

"""Sound separation task: loss, audio and scores of an encoder and a separator."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from einops import rearrange
from torch import Tensor, nn

from avblocks.audio import LogMel, MelMasking
from avblocks.data import AVBatch, FrontEnd, mix, swap, write_wave
from avblocks.distributed import gather_lists
from avblocks.encoder import AVEncoder
from avblocks.heads import (
    Separator,
    binary_mask,
    dominant_mask,
    ratio_mask,
    separation_loss,
)
from avblocks.log_frequency import LogFrequency, LogFrequencyMasking
from avblocks.metrics import SeparationScores, join_scores, separation_scores
from avblocks.metrics.separate import Dropped
from avblocks.shapes import require
from avblocks.tasks.evaluate import HeadTask, Scores
from avblocks.viz import panel, save_figure

IMAGES = ("matched", "mismatched", "blank")
"""The image that guides separation: matched, of the next clip in the mixture, or black."""
Masks = Literal["ratio", "binary", "dominant"]
_TARGETS = {"ratio": ratio_mask, "binary": binary_mask, "dominant": dominant_mask}


class Separation(HeadTask):
    """Front end, encoder, separator and loss; the clips of a mixture are consecutive.

    Args:
        encoder: Encoder.
        head: Separator.
        front_end: Front end, from batches to images and spectrograms.
        masks: Target of each bin: a ratio mask, a binary mask, or `dominant_mask` as in the Sound
            of Pixels, whose separated audio is cut where it exceeds the range of the sources.
        sources: Number of clips in a mixture.
        masking: Module that applies a mask over the bins of a spectrogram to a waveform;
            `MelMasking` of the format, or `LogFrequencyMasking`, if not given.

    Raises:
        ValueError: If the front end has a custom `log_mel` and no `masking` is given.
    """

    def __init__(
        self,
        encoder: AVEncoder,
        head: Separator,
        *,
        front_end: FrontEnd,
        masks: Masks = "ratio",
        sources: int = 2,
        masking: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.front_end = front_end
        self.masking = _masking(front_end) if masking is None else masking
        require(masks in get_args(Masks), "masks", masks, f"one of {get_args(Masks)}")
        self.masks: Masks = masks
        self.sources = sources

    def settings(self) -> dict[str, Any]:
        """Return the arguments of the constructor that are plain values."""
        return {"masks": self.masks, "sources": self.sources}

    def logits(self, batch: AVBatch) -> Tensor:
        """Logits of the mask over the mel bins of ``batch.audio``, which is the mixture."""
        image, _ = self.front_end(batch)
        audio = self.front_end.spectrogram(batch.audio)
        layers = self.encoder.intermediates(image=image, audio=audio)
        return self.head(layers, grid=self.encoder.audio.grid(audio)).float()

    def separate(self, batch: AVBatch) -> Tensor:
        """Separate the audio of each image from ``batch.audio``, the mixture."""
        share = self.logits(batch).sigmoid()
        if self.masks == "ratio":  # the ratio is 0.5 where only the source is active
            share = (2 * share).clamp(max=1)
        found = self.masking(batch.audio, mask=share)
        return found.clamp(-self.sources, self.sources) if self.masks == "dominant" else found

    def forward(self, batch: AVBatch) -> dict[str, Tensor]:
        """Mix the clips of a batch and return the loss."""
        mixed = mix(batch, size=self.sources)
        mixture, source = (self.front_end.spectrogram(x) for x in (mixed.audio, mixed.sources))
        target = _TARGETS[self.masks](mixture, source)
        logits = self.logits(replace(batch, audio=mixed.audio))
        return {"loss": separation_loss(logits, target, mixture=mixture)}

    def guided(self, batch: AVBatch, image: str) -> Tensor:
        """Mix a batch, and separate it guided by one of `IMAGES`."""
        given = replace(batch, audio=mix(batch, size=self.sources).audio)
        if image == "mismatched":
            turned = given.map(partial(swap, size=self.sources))
            given = replace(turned, audio=given.audio)
        elif image == "blank":
            given = replace(given, image=torch.zeros_like(given.image))
        return self.separate(given)


def _masking(front_end: FrontEnd) -> nn.Module:
    match front_end.log_mel:
        case LogMel():
            return MelMasking(**front_end.format.mel_settings)
        case LogFrequency(n_fft=n_fft, hop=hop, bins=bins):
            return LogFrequencyMasking(n_fft=n_fft, hop=hop, bins=bins)
    raise ValueError("masking must be given, as the front end has its own log_mel, got None")


class SeparationScorer:
    """Separation scores in dB with each guiding image, and numbers of scored and silent sources.

    Args:
        task: Separation task; its batches are mixtures.
        brief: Whether to score only matched images.
        dropped: What is left out if it is silent, see `separation_scores`.
    """

    def __init__(
        self, task: Separation, *, brief: bool = False, dropped: Dropped = "estimates"
    ) -> None:
        self.task = task
        self.dropped: Dropped = dropped
        self.images = IMAGES[:1] if brief else IMAGES
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self.parts: dict[str, list[SeparationScores]] = {image: [] for image in self.images}

    def update(self, batch: AVBatch) -> None:
        """Separate a batch of mixtures, and score it."""
        size = self.task.sources
        mixed = mix(batch, size=size)
        sources = rearrange(mixed.sources, "(b k) s -> b k s", k=size).cpu()
        mixture = mixed.audio[::size].cpu()
        for image, scores in self.parts.items():
            found = rearrange(self.task.guided(batch, image), "(b k) s -> b k s", k=size)
            given: dict[str, Any] = {"sources": sources, "mixture": mixture}
            scores.append(separation_scores(found.cpu(), dropped=self.dropped, **given))

    def compute(self) -> Scores:
        """Return the means over all mixtures."""
        whole = {image: gather_lists(scores) for image, scores in self.parts.items()}
        return {
            image: dict(join_scores(scores).summary()) for image, scores in whole.items() if scores
        }


@dataclass(frozen=True)
class SeparationExamples:
    """Examples of mixtures and separated audio.

    Attributes:
        image: RGB images in [0, 1], one per clip.
        audio: Waveforms by name: "mixture", "truth", and those guided by each of `IMAGES`.
        spectrograms: Log-mel spectrograms of the waveforms.
        rate: Samples per second.
    """

    image: Tensor
    audio: dict[str, Tensor]
    spectrograms: dict[str, Tensor]
    rate: int

    def columns(self) -> dict[str, Tensor]:
        """Return images and spectrograms by title, one row per clip, for `avblocks.viz.panel`."""
        titles = {image: f"separated, {image} image" for image in IMAGES}
        columns = {titles.get(name, name): x for name, x in self.spectrograms.items()}
        return {"image": self.image, **columns}

    def write(self, folder: Path) -> None:
        """Write ``separation.png`` and ``wavs/ROW-NAME.wav``; needs the extra ``viz``."""
        save_figure(panel(self.columns()), folder / "separation.png")
        for name, audio in self.audio.items():
            for row, samples in enumerate(audio):
                write_wave(folder / "wavs" / f"{row}-{name}.wav", samples, rate=self.rate)


@torch.no_grad()
def separation_examples(task: Separation, batch: AVBatch) -> SeparationExamples:
    """Mix and separate a batch, in evaluation mode."""
    mixed = mix(batch, size=task.sources)
    audio = {"mixture": mixed.audio, "truth": mixed.sources}
    audio |= {image: task.guided(batch, image) for image in IMAGES}
    image = task.front_end.to_rgb(task.front_end(batch)[0])
    return SeparationExamples(
        image=image.cpu(),
        audio={name: samples.cpu() for name, samples in audio.items()},
        spectrograms={name: task.front_end.spectrogram(x).cpu() for name, x in audio.items()},
        rate=task.front_end.format.rate,
    )

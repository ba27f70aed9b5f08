"""A separator on an encoder as one module, how well it separates, and what to listen to."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor

from avblocks import AVEncoder
from avblocks.audio import MelMasking
from avblocks.data import AVBatch, FrontEnd, mix, swap, write_wave
from avblocks.distributed import gather_lists
from avblocks.heads import Separator, binary_mask, ratio_mask, separation_loss
from avblocks.metrics import SeparationScores, join_scores, separation_scores
from avblocks.viz import panel, save_figure
from recipes.common.train import OnBatch, TaskModel, tested

GUIDES = ("own", "swapped", "blank")
"""The picture that asks for a sound: its own, that of the next clip in the mixture, none."""
Masks = Literal["ratio", "binary"]


class Separation(TaskModel):
    """Front end, encoder, separator, loss; the clips of a mixture stand in a row.

    Args:
        encoder: The encoder.
        head: The separator.
        front_end: From batches to images and spectrograms.
        masks: What is learnt for each bin: the share of the picture's sound, or whether it is the
            louder one.
        sources: Clips in a mixture.
    """

    def __init__(
        self,
        encoder: AVEncoder,
        head: Separator,
        *,
        front_end: FrontEnd,
        masks: Masks,
        sources: int,
    ) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.front_end = front_end
        self.masking = MelMasking(
            rate=front_end.format.rate,
            n_fft=front_end.format.rate // 20,
            hop=front_end.format.hop,
            n_mels=front_end.format.mels,
        )
        self.masks: Masks = masks
        self.sources = sources

    def logits(self, batch: AVBatch) -> Tensor:
        """Logits of the mask over the mel bins of ``batch.audio``, which is the mixture."""
        image, _ = self.front_end(batch)
        audio = self.front_end.log_mel(batch.audio)
        layers = self.encoder.intermediates(image=image, audio=audio)
        return self.head(layers, grid=self.encoder.audio.grid(audio)).float()

    def separate(self, batch: AVBatch) -> Tensor:
        """What of ``batch.audio``, the mixture, belongs to each picture."""
        share = self.logits(batch).sigmoid()
        if self.masks == "ratio":  # of a source that sounds alone the ratio is a half
            share = (2 * share).clamp(max=1)
        return self.masking(batch.audio, mask=share)

    def forward(self, batch: AVBatch) -> dict[str, Tensor]:
        """Mix a batch and return its loss."""
        mixed = mix(batch, size=self.sources)
        mixture, source = (self.front_end.log_mel(x) for x in (mixed.audio, mixed.sources))
        target = ratio_mask if self.masks == "ratio" else binary_mask
        logits = self.logits(replace(batch, audio=mixed.audio))
        return {"loss": separation_loss(logits, target(mixture, source), mixture=mixture)}

    def guided(self, batch: AVBatch, guide: str) -> Tensor:
        """Mix a batch, and separate it by the pictures that are to guide."""
        given = replace(batch, audio=mix(batch, size=self.sources).audio)
        if guide == "swapped":
            turned = given.map(partial(swap, size=self.sources))
            given = replace(turned, audio=given.audio)
        elif guide == "blank":
            given = replace(given, image=torch.zeros_like(given.image))
        return self.separate(given)


@torch.no_grad()
def separation_rows(
    model: Separation, loader: Iterable[AVBatch], on_batch: OnBatch, *, brief: bool
) -> dict[str, dict[str, float]]:
    """Score what comes out of all test mixtures against each picture's own sound.

    Args:
        model: In evaluation mode.
        loader: Mixtures.
        on_batch: Called with each batch, for instance to count skipped files.
        brief: Whether to leave out all but the own pictures.

    Returns:
        Scores in dB by the picture that guides, and how many sources were scored and were silent;
        empty if no mixture can be used.
    """
    parts: dict[str, list[SeparationScores]] = {
        guide: [] for guide in (GUIDES[:1] if brief else GUIDES)
    }
    for batch in tested(model, loader, on_batch):
        mixed = mix(batch, size=model.sources)
        sources = rearrange(mixed.sources, "(b k) s -> b k s", k=model.sources).cpu()
        mixture = mixed.audio[:: model.sources].cpu()
        for guide, scores in parts.items():
            found = rearrange(model.guided(batch, guide), "(b k) s -> b k s", k=model.sources)
            scores.append(separation_scores(found.cpu(), sources=sources, mixture=mixture))
    joined = {guide: gather_lists(scores) for guide, scores in parts.items()}
    return {
        guide: dict(join_scores(scores).summary()) for guide, scores in joined.items() if scores
    }


@torch.no_grad()
def separation_files(model: Separation, batch: AVBatch, folder: Path) -> None:
    """Draw spectrograms of mixtures and of what comes out of them, and write both as wav files."""
    batch = batch.map(lambda rows: rows[: 3 * model.sources])  # as many mixtures as one can look at
    mixed = mix(batch, size=model.sources)
    image, _ = model.front_end(batch)
    sounds = {
        "mixture": mixed.audio,
        "its sound": mixed.sources,
        **{f"separated, {guide} picture": model.guided(batch, guide) for guide in GUIDES},
    }
    columns = {"image": model.front_end.normalize.undo(image).cpu()}
    columns |= {name: model.front_end.log_mel(sound).cpu() for name, sound in sounds.items()}
    save_figure(panel(columns), folder / "separation.png")
    rate = model.front_end.log_mel.mel.sample_rate
    for name, sound in zip(("mixture", "truth", *GUIDES), sounds.values(), strict=True):
        for row, samples in enumerate(sound.cpu()):
            write_wave(folder / "wavs" / f"{row}-{name}.wav", samples, rate=rate)

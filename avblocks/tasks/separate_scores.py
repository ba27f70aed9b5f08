"""Scores, figures and audio of the separation task."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import torch
from einops import rearrange
from torch import Tensor

from avblocks.checkpoint.whole import Wrapped, unwrapped
from avblocks.data import AVBatch, mix, write_wave
from avblocks.distributed import gather_lists
from avblocks.metrics import SeparationEvaluator, SeparationScores, join_scores
from avblocks.metrics.separate import Dropped
from avblocks.shapes import require_choice
from avblocks.tasks.evaluate import Scores
from avblocks.tasks.separate import IMAGES, Separation
from avblocks.viz import panel, save_figure


class SeparationScorer:
    """Separation scores in dB with each guiding image, and numbers of scored and silent sources.

    The row ``ideal`` is separated with the true masks: what a perfect prediction of them reaches.

    Args:
        task: Separation task; its batches are mixtures.
        brief: Whether to score only matched images.
        dropped: What is left out if it is silent, see `separation_scores`.

    Raises:
        ValueError: If ``dropped`` is unknown.
    """

    def __init__(
        self, task: Separation | Wrapped, *, brief: bool = False, dropped: Dropped = "estimates"
    ) -> None:
        self.task: Separation = unwrapped(task)
        require_choice(*get_args(Dropped), dropped=dropped)
        self.dropped: Dropped = dropped
        guided = {image: partial(self.task.guided, image=image) for image in IMAGES}
        rows = {**guided, "ideal": self.task.ideal}
        self.rows = {"matched": rows["matched"]} if brief else rows
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self.parts: dict[str, list[SeparationScores]] = {row: [] for row in self.rows}

    def update(self, batch: AVBatch) -> None:
        """Separate a batch of mixtures, and score it."""
        size = self.task.sources
        mixed = mix(batch, size=size)
        sources = rearrange(mixed.sources, "(b k) s -> b k s", k=size).cpu()
        mixture = mixed.audio[::size].cpu()
        score = SeparationEvaluator(sources=sources, mixture=mixture, dropped=self.dropped)
        for row, separate in self.rows.items():
            found = rearrange(separate(batch), "(b k) s -> b k s", k=size)
            self.parts[row].append(score(found.cpu()))

    def compute(self) -> Scores:
        """Return the means over all mixtures."""
        whole = {row: gather_lists(scores) for row, scores in self.parts.items()}
        return {row: dict(join_scores(scores).summary()) for row, scores in whole.items() if scores}


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
        titles = {image: f"separated,\n{image} image" for image in IMAGES}
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

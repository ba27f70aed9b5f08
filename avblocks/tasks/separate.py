"""Sound separation task: loss and audio of an encoder and a separator."""

from dataclasses import replace
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from avblocks.audio import LogMel, MelMasking
from avblocks.data import AVBatch, FrontEnd, Mixture, mix, swap
from avblocks.heads import (
    Separator,
    binary_mask,
    dominant_mask,
    ratio_mask,
    separation_loss,
)
from avblocks.log_frequency import LogFrequency, LogFrequencyMasking
from avblocks.shapes import require, require_choice, require_positive
from avblocks.tasks.evaluate import HeadTask, with_parts

IMAGES = ("matched", "mismatched", "blank")
"""The image that guides separation: matched, of the next clip in the mixture, or black."""
Masks = Literal["ratio", "binary", "dominant"]
_TARGETS = {"ratio": ratio_mask, "binary": binary_mask, "dominant": dominant_mask}


class Separation(HeadTask):
    """Front end, encoder, separator and loss; the clips of a mixture are consecutive.

    Args:
        encoder: Encoder. One of your own has `intermediates` and `audio.grid`, as `AVEncoder` has.
        head: Separator.
        front_end: Front end, from batches to images and spectrograms.
        masks: Target of each bin: a ratio mask, a binary mask, or `dominant_mask` as in the Sound
            of Pixels. With the last, bins whose mask exceeds 0.5 are kept whole and others removed,
            and the separated audio is cut where it exceeds the range of the sources.
        sources: Number of clips in a mixture.
        masking: Module that applies a mask over the bins of a spectrogram to a waveform;
            `MelMasking` with the numbers of `LogMel`, or `LogFrequencyMasking`, if not given.
            `save_task` stores no other.

    Raises:
        ValueError: If an argument is out of range, the encoder lacks a part, or the front end has a
            `log_mel` of its own and no `masking` is given, or that is not known to be of log10:
            true masks are of powers, or magnitudes, relative to each other.
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: Separator,
        *,
        front_end: FrontEnd,
        masks: Masks = "ratio",
        sources: int = 2,
        masking: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder = with_parts(
            "encoder", encoder, "intermediates", "audio.grid", like="AVEncoder"
        )
        self.head = head
        self.front_end = front_end
        require_choice(*get_args(Masks), masks=masks)
        self.masking = _masking(front_end, masks) if masking is None else masking
        log_mel = front_end.log_mel
        known = isinstance(log_mel, LogMel | LogFrequency) or getattr(log_mel, "log10", False)
        takes = (
            "LogMel, LogFrequency, or a module of log10 of power or magnitude with `log10 = True`"
        )
        require(known, "log_mel", type(log_mel).__name__, takes)
        require_positive(sources=sources)
        self.masks: Masks = masks
        self.sources = sources

    def settings(self) -> dict[str, Any]:
        """Return the arguments of the constructor that are plain values.

        Raises:
            ValueError: If `masking` is another than that of `masks` and the front end.
        """
        usual = _usual_masking(self.front_end, self.masks)
        if usual is not None and _numbers(self.masking) != _numbers(usual):
            raise ValueError(
                f"{type(self.masking).__name__} is not the masking that {self.masks!r} masks build "
                "for this front end, so load_task could not build it: leave masking out, or save "
                "the weights by safetensors.torch.save_file(task.state_dict(), FILE)"
            )
        return {"masks": self.masks, "sources": self.sources}

    def logits(self, batch: AVBatch) -> Tensor:
        """Logits of the mask over the mel bins of ``batch.audio``, which is the mixture."""
        image, _ = self.front_end(batch)
        audio = self.front_end.spectrogram(batch.audio)
        layers = self.encoder.intermediates(image=image, audio=audio)
        return self.head(layers, grid=self.encoder.audio.grid(audio)).float()

    def separate(self, batch: AVBatch) -> Tensor:
        """Separate the audio of each image from ``batch.audio``, the mixture."""
        return self._masked(batch.audio, mask=self.logits(batch).sigmoid())

    def _masked(self, mixture: Tensor, *, mask: Tensor) -> Tensor:
        """Apply a mask, predicted or true, to the waveform of the mixture."""
        if self.masks == "ratio":  # the ratio is 0.5 where only the source is active
            mask = (2 * mask).clamp(max=1)
        found = self.masking(mixture, mask=mask)
        return found.clamp(-self.sources, self.sources) if self.masks == "dominant" else found

    def forward(self, batch: AVBatch) -> dict[str, Tensor]:
        """Mix the clips of a batch and return the loss."""
        mixed = mix(batch, size=self.sources)
        mixture, target = self._target(mixed)
        logits = self.logits(replace(batch, audio=mixed.audio))
        return {"loss": separation_loss(logits, target, mixture=mixture)}

    def _target(self, mixed: Mixture) -> tuple[Tensor, Tensor]:
        """Return the spectrogram of the mixture and the true mask of each source."""
        mixture, source = (self.front_end.spectrogram(x) for x in (mixed.audio, mixed.sources))
        return mixture, _TARGETS[self.masks](mixture, source)

    def ideal(self, batch: AVBatch) -> Tensor:
        """Mix a batch, and separate it with the true masks, as a perfect prediction would."""
        mixed = mix(batch, size=self.sources)
        return self._masked(mixed.audio, mask=self._target(mixed)[1])

    def guided(self, batch: AVBatch, image: str) -> Tensor:
        """Mix a batch, and separate it guided by one of `IMAGES`."""
        given = replace(batch, audio=mix(batch, size=self.sources).audio)
        if image == "mismatched":
            turned = given.map(partial(swap, size=self.sources))
            given = replace(turned, audio=given.audio)
        elif image == "blank":
            given = replace(given, image=torch.zeros_like(given.image))
        return self.separate(given)


def _usual_masking(front_end: FrontEnd, masks: Masks) -> nn.Module | None:
    """Build the masking of a front end; None if it has a `log_mel` of its own."""
    threshold = 0.5 if masks == "dominant" else None
    match front_end.log_mel:
        case LogMel(rate=rate, n_fft=n_fft, hop=hop, n_mels=n_mels):
            numbers = {"rate": rate, "n_fft": n_fft, "hop": hop, "n_mels": n_mels}
            return MelMasking(**numbers, threshold=threshold)
        case LogFrequency(n_fft=n_fft, hop=hop, bins=bins):
            return LogFrequencyMasking(n_fft=n_fft, hop=hop, bins=bins, threshold=threshold)
    return None


def _masking(front_end: FrontEnd, masks: Masks) -> nn.Module:
    usual = _usual_masking(front_end, masks)
    if usual is None:
        raise ValueError("masking must be given, as the front end has its own log_mel, got None")
    return usual


def _numbers(masking: nn.Module) -> tuple[type, dict[str, Any]]:
    """Return the class and the plain attributes of a module."""
    public = {name: x for name, x in vars(masking).items() if not name.startswith("_")}
    return type(masking), {**public, "training": None}

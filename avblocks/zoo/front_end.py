"""Front ends of published models: their spectrograms and their sizes."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchaudio.compliance.kaldi import fbank

from avblocks.audio import check_waveform
from avblocks.data import ClipFormat, FrontEnd, Normalize
from avblocks.encoder import AVEncoder
from avblocks.nn.stream import Stream, usual_size
from avblocks.shapes import require, require_positive
from avblocks.zoo.preprocessing import Statistics

_RATE, _HOP = 16000, 160
_AUDIOSET = (-4.2677393, 2 * 4.5689974)
_CAVMAE = (-5.081, 4.4849)
STATISTICS = {
    "ast": _AUDIOSET,
    "mae": _AUDIOSET,
    "eat": (-4.268, 2 * 4.569),
    "cavmae": _CAVMAE,
    "cavmae_classifier": _CAVMAE,
}
"""Mean and divisor of each kind's spectrograms, as its authors' scripts have them for AudioSet."""
_UNKNOWN = {
    "mbt": "its spectrograms are made within its authors' input pipeline",
    "cavmae_sync": "the statistics of its spectrograms are in no published file that we know",
}
_OURS = (
    "its tensors do not say the rate and the hop of its clips: the paper's files take FrontEnd(), "
    "and a run brings its own once python -m recipes.export has made a folder of it"
)


class KaldiMel(nn.Module):
    """Kaldi's log-mel filter banks, normalized: 16 kHz, windows of 25 ms every 10 ms.

    The mean is subtracted, and the result divided by the divisor. Frames after the last whole
    window are zeros before the normalization, as where the authors pad a spectrogram.

    Args:
        mean: mean over a data set.
        divisor: standard deviation over the data set, or twice that.
        n_mels: mel bins.

    Raises:
        ValueError: if a number is not positive.

    Source: ``dataloader.py`` of YuanGongND/ast and YuanGongND/cav-mae, ``dataset.py`` of
    facebookresearch/AudioMAE.

    Example:
        >>> KaldiMel(mean=-4.2677393, divisor=9.1379948)(torch.zeros(2, 16000)).shape
        torch.Size([2, 1, 128, 100])
    """

    def __init__(self, *, mean: float, divisor: float, n_mels: int = 128) -> None:
        super().__init__()
        require_positive(n_mels=n_mels)
        require(divisor > 0, "divisor", divisor, "above 0")
        self.mean, self.divisor, self.n_mels = mean, divisor, n_mels

    def forward(self, audio: Float[Tensor, "b s"]) -> Float[Tensor, "b 1 m t"]:
        """Spectrograms of a batch, of ``t = s // 160`` frames.

        Raises:
            ValueError: if the waveforms are shorter than a window.
        """
        check_waveform(audio, n_fft=2 * (_RATE // 40 - 1))
        with torch.autocast(audio.device.type, enabled=False):
            mel = torch.stack([self._banks(x.float()) for x in audio])
        mel = F.pad(mel, (0, audio.shape[1] // _HOP - mel.shape[2]))
        return ((mel - self.mean) / self.divisor).unsqueeze(1)

    def _banks(self, audio: Float[Tensor, " s"]) -> Float[Tensor, "m t"]:
        banks = fbank(  # takes the mean off each window, so off the whole too, as the authors do
            audio[None],
            htk_compat=True,
            sample_frequency=_RATE,
            use_energy=False,
            window_type="hanning",
            num_mel_bins=self.n_mels,
            dither=0.0,
            frame_shift=1000 * _HOP / _RATE,
        )
        return banks.T


def front_end_of(
    kind: str, encoder: AVEncoder | Stream, *, statistics: Statistics | None = None
) -> FrontEnd:
    """Return the front end that an encoder was trained with, for clips of its usual sizes.

    Args:
        kind: the kind of file, as in `Loaded`.
        encoder: its encoder; for an encoder of one modality, the front end of the other modality is
            the paper's.
        statistics: statistics of its inputs, if they are not those of `STATISTICS` and ImageNet.

    Raises:
        ValueError: if the front end is not known; the message gives the reason.
    """
    whole: Any = encoder
    streams = (
        {"image": whole.image, "audio": whole.audio}
        if isinstance(encoder, AVEncoder)
        else {"audio" if whole.channels == 1 else "image": whole}
    )
    known: dict[str, Any] = {"audio": STATISTICS.get(kind), **(statistics or {})}
    if "audio" in streams and known["audio"] is None:
        raise ValueError(f"{kind}: no front end: {_UNKNOWN.get(kind, _OURS)}")
    numbers: dict[str, Any] = {}
    if "image" in streams:
        *frames, height, width = usual_size(streams["image"])
        require(height == width, "image", (height, width), "square")
        numbers |= {"size": width, "frames": frames[0] if frames else 1}
    normalize = None
    if "image" in streams and "image" in known:
        mean, std = known["image"]
        normalize = Normalize(mean=mean, std=std)
    if "audio" not in streams:
        return FrontEnd(ClipFormat(**numbers), normalize=normalize)
    mels, columns = usual_size(streams["audio"])
    numbers |= {"mels": mels, "seconds": columns * _HOP / _RATE, "rate": _RATE, "hop": _HOP}
    mean, divisor = known["audio"]
    log_mel = KaldiMel(mean=mean, divisor=divisor, n_mels=mels)
    return FrontEnd(ClipFormat(**numbers), log_mel=log_mel, normalize=normalize)

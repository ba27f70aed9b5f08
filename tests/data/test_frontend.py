"""The front end: what it does to a batch, in full precision whatever is around it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torchaudio.transforms import MelSpectrogram

from avblocks.audio import LogMel
from avblocks.data import AVBatch, ClipFormat, FrontEnd

FORMAT = ClipFormat(mels=64)


def batch() -> AVBatch:
    random = torch.Generator().manual_seed(0)
    return AVBatch(
        image=torch.randint(0, 256, (2, 3, 16, 16), generator=random, dtype=torch.uint8),
        audio=0.1 * torch.randn(2, 8000, generator=random),
        flip=torch.tensor([False, True]),
        gain=torch.tensor([0.0, 6.0]),
        target=torch.zeros(2, 0),
        seeds=(1, 2),
        paths=("a.mp4", "b.mp4"),
    )


def test_flips_gains_and_normalises_the_marked_ones() -> None:
    given = batch()
    image, audio = FrontEnd(FORMAT)(given)
    plain, _ = FrontEnd(FORMAT)(replace(given, flip=torch.zeros(2, dtype=torch.bool)))
    assert_close(image[0], plain[0])
    assert_close(image[1], plain[1].flip(-1))
    louder = torch.stack([given.audio[0], given.audio[1] * 10 ** (6 / 20)])
    assert_close(audio, LogMel(n_mels=64)(louder))


def test_cuts_before_it_flips() -> None:
    given = batch()
    box = torch.tensor([[0.0, 0.0, 16.0, 16.0], [2.0, 4.0, 10.0, 12.0]])
    image, _ = FrontEnd(FORMAT)(replace(given, crop=box, size=8))
    part = replace(given, image=given.image[:, :, 4:12, 2:10])
    assert_close(image[1], FrontEnd(FORMAT)(part)[0][1])
    assert image.shape == (2, 3, 8, 8)


def test_keeps_full_precision_under_autocast() -> None:
    given = batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        image, audio = FrontEnd(FORMAT)(given)
    assert image.dtype == audio.dtype == torch.float32
    assert_close(audio, FrontEnd(FORMAT)(given)[1])


class InTorchaudio(nn.Module):
    """A log-mel spectrogram that does not switch autocast off."""

    def __init__(self) -> None:
        super().__init__()
        self.mel = MelSpectrogram(16000, n_fft=800, hop_length=250, n_mels=64)

    def forward(self, audio: Tensor) -> Tensor:
        return (self.mel(audio)[..., : audio.shape[1] // 250] + 1e-7).log10()[:, None]


def test_spectrograms_of_your_own_keep_full_precision_too() -> None:
    front_end = FrontEnd(FORMAT, log_mel=InTorchaudio())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = front_end.spectrogram(batch().audio)
    assert torch.equal(found, front_end.spectrogram(batch().audio))


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_batch_of_clips_is_named() -> None:
    given, front_end = batch(), FrontEnd(FORMAT, color=0.3)
    with pytest.raises(ValueError, match=r"batch must be at least one clip: skip .*, got 0"):
        front_end(given[:0])
    with pytest.raises(ValueError, match=r"audio must be \(b, s\) of floats in \[-1, 1\], .*int16"):
        front_end(replace(given, audio=(32767 * given.audio).short()))
    with pytest.raises(ValueError, match=r"image must be \(b, 3, .* encoder itself.*float32"):
        front_end(replace(given, image=given.image / 255))


@pytest.mark.cuda
def test_a_gpu_makes_what_the_cpu_makes(device: str) -> None:
    box = torch.tensor([[0.0, 0.0, 16.0, 16.0], [2.0, 4.0, 10.0, 12.0]])
    given = replace(batch(), crop=box, size=8)
    for found, wanted in zip(
        FrontEnd(FORMAT).to(device)(given.to(device)), FrontEnd(FORMAT)(given), strict=True
    ):
        assert found.device.type == device
        assert_close(found.cpu(), wanted, rtol=1e-3, atol=1e-3)


def test_colors_change_in_training_alone() -> None:
    given, front_end = batch(), FrontEnd(FORMAT, color=0.5)
    changed, _ = front_end(given)
    assert_close(changed[1:], front_end(given[1:])[0])
    plain = FrontEnd(FORMAT)(given)[0]
    assert not torch.allclose(changed, plain)
    assert torch.equal(front_end.eval()(given)[0], plain)
    with pytest.raises(ValueError, match="color must be in"):
        FrontEnd(FORMAT, color=1.0)

"""The front end with other people's parts, other rates and hops."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torchaudio.compliance import kaldi

from avblocks import RandomMask, av_mae, av_vit
from avblocks.audio import LogMel
from avblocks.data import AVBatch, ClipFormat, FrontEnd
from avblocks.heads import separator
from avblocks.tasks import Pretraining, Separation
from avblocks.tasks.pretrain import reconstruction_examples


class Fbank(nn.Module):
    """Kaldi's filter banks, as CAV-MAE and AST read them."""

    log10 = True  # of another base, which is enough here

    def forward(self, audio: Tensor) -> Tensor:
        options = {"sample_frequency": 22050.0, "num_mel_bins": 32, "frame_shift": 10.0}
        return torch.stack([kaldi.fbank(wave[None], **options).T[None, :, :96] for wave in audio])


class Halves(nn.Module):
    """Images with values from -1 to 1."""

    def forward(self, image: Tensor) -> Tensor:
        return image / 127.5 - 1


class Gray(nn.Module):
    """Images of one channel, too small."""

    def forward(self, image: Tensor) -> Tensor:
        return image[:, :1, :17, :17] / 255


def batch(format: ClipFormat) -> AVBatch:
    return AVBatch(
        image=torch.full((2, 3, 32, 32), 255, dtype=torch.uint8),
        audio=torch.sin(torch.arange(2.0 * format.samples)).view(2, -1),
        flip=torch.zeros(2, dtype=torch.bool),
        gain=torch.zeros(2),
        target=torch.zeros(2, 0),
        seeds=(1, 2),
        paths=("a.mp4", "b.mp4"),
    )


def pretraining(front_end: FrontEnd) -> Pretraining:
    encoder = av_vit(
        32, depth=1, num_heads=2, image_size=32, audio_size=(32, 96), patch=16, num_tokens=(4, 2, 2)
    )
    mask = RandomMask(0.5)
    mae = av_mae(encoder, dim=16, depth=1, num_heads=2)
    return Pretraining(mae, front_end=front_end, image_mask=mask, audio_mask=mask)


def test_parts_of_ones_own_train() -> None:
    form = ClipFormat(seconds=1.0, rate=22050, size=32, mels=32)
    front_end = FrontEnd(form, log_mel=Fbank(), normalize=Halves())
    clips = batch(form)
    image, audio = front_end(clips)
    assert_close(image, torch.ones_like(image))
    assert_close(audio, Fbank()(clips.audio))
    model = pretraining(front_end)
    assert model(clips)["loss"].isfinite()
    with pytest.raises(ValueError, match=r"figures need Halves.undo"):
        reconstruction_examples(model, clips)


@pytest.mark.parametrize(("rate", "hop"), [(22050, 220), (44100, 441), (16000, 160), (48000, 500)])
def test_any_rate_and_hop(rate: int, hop: int) -> None:
    form = ClipFormat(seconds=96 * hop / rate, rate=rate, size=32, mels=32, hop=hop)
    assert form.audio_size == (32, 96)
    _, audio = FrontEnd(form)(batch(form))
    plain = LogMel(rate=rate, n_fft=rate // 20, hop=hop, n_mels=32)
    assert audio.shape == (2, 1, 32, 96)
    assert_close(audio, plain(batch(form).audio))


def test_misfitting_parts_are_named() -> None:
    form = ClipFormat(seconds=1.0, rate=22050, size=32, mels=64)
    with pytest.raises(ValueError, match=r"log_mel returned \(2, 1, 32, 96\) .* \(b, 1, 64, t\)"):
        FrontEnd(form, log_mel=Fbank())(batch(form))
    with pytest.raises(ValueError, match=r"normalize returned \(2, 1, 17, 17\)"):
        FrontEnd(form, normalize=Gray())(batch(form))


def test_separation_with_a_mel_of_ones_own_needs_its_inverse() -> None:
    form = ClipFormat(seconds=1.0, rate=22050, size=32, mels=32)
    encoder = av_vit(
        32, depth=1, num_heads=2, image_size=32, audio_size=(32, 96), patch=16, num_tokens=(4, 2, 2)
    )
    head, front_end = separator(32, patch=16, num_layers=1), FrontEnd(form, log_mel=Fbank())
    with pytest.raises(ValueError, match="masking must be given"):
        Separation(encoder, head, front_end=front_end)
    masking = nn.Identity()
    assert Separation(encoder, head, front_end=front_end, masking=masking).masking is masking


class ScaledByType(nn.Module):
    """As `ToDtype(torch.float32, scale=True)` of torchvision: bytes are scaled, floats are not."""

    def forward(self, image: Tensor) -> Tensor:
        return (image if image.is_floating_point() else image / 255) / 0.225


@pytest.mark.parametrize("cropped", [False, True])
def test_images_that_are_not_scaled_are_refused(cropped: bool) -> None:
    images = torch.full((1, 3, 32, 32), 200, dtype=torch.uint8)
    box = torch.tensor([[0.0, 0.0, 16.0, 16.0]]) if cropped else None
    front_end = FrontEnd(ClipFormat(seconds=0.5, size=32), normalize=ScaledByType())
    given = AVBatch(
        image=images,
        audio=torch.zeros(1, 8000),
        flip=torch.zeros(1, dtype=torch.bool),
        gain=torch.zeros(1),
        target=torch.zeros(1, 2),
        seeds=(0,),
        paths=("a.mp4",),
        crop=box,
        size=32,
    )
    with pytest.raises(ValueError, match=r"up to 889: it is given floats .* divide them by 255"):
        front_end(given)

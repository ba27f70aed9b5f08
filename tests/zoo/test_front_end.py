"""Spectrograms of other people's models, against Kaldi's definition written out in numpy."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from origins import part
from published import cavmae_state, dinov2_state, mae_state
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from avblocks import av_vit
from avblocks.checkpoint import save_pretrained
from avblocks.data import AVBatch, ClipFormat, FrontEnd
from avblocks.nn.stream import usual_size
from avblocks.zoo import KaldiMel, ast, front_end_of, load, mbt

GOLDEN = Path(__file__).parents[1] / "golden/zoo"
RATE, WINDOW, HOP, MELS = 16000, 400, 160, 24


def mel(hertz: np.ndarray | float) -> np.ndarray:
    return 1127 * np.log(1 + np.asarray(hertz) / 700)


def kaldi(audio: np.ndarray) -> np.ndarray:
    """Log-mel filter banks (mel bins, frames), in double precision."""
    audio = audio - audio.mean()
    edges = np.linspace(mel(20), mel(RATE / 2), MELS + 2)
    at = mel(np.arange(256) * RATE / 512)
    rising = (at - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - at) / np.diff(edges)[1:, None]
    filters = np.clip(np.minimum(rising, falling), 0, None)
    frames = []
    for start in range(0, len(audio) - WINDOW + 1, HOP):
        x = audio[start : start + WINDOW]
        x = x - x.mean()
        x = x - 0.97 * np.concatenate((x[:1], x[:-1]))
        power = np.abs(np.fft.rfft(x * np.hanning(WINDOW), 512)) ** 2
        frames.append(np.log(np.maximum(filters @ power[:256], np.finfo(np.float32).eps)))
    return np.stack(frames, axis=1)


def test_filter_banks_are_kaldis() -> None:
    audio = torch.randn(2, 1700, generator=torch.Generator().manual_seed(0)) + 0.5
    found = KaldiMel(mean=-4.0, divisor=9.0, n_mels=MELS)(audio)
    assert found.shape == (2, 1, MELS, 10)  # of which the last two windows are not whole
    for ours, x in zip(found[:, 0], audio, strict=True):
        wanted = (kaldi(x.double().numpy()) + 4) / 9
        assert_close(ours[:, :9].double(), torch.from_numpy(wanted), rtol=1e-3, atol=1e-3)
        assert_close(ours[:, 9], torch.full((MELS,), 4 / 9))


def test_short_waveforms_are_refused() -> None:
    KaldiMel(mean=0.0, divisor=1.0)(torch.zeros(1, WINDOW))
    with pytest.raises(ValueError, match="longer than 399 samples"):
        KaldiMel(mean=0.0, divisor=1.0)(torch.zeros(1, WINDOW - 1))


@pytest.mark.parametrize(
    ("name", "mean", "divisor"),
    [("audiomae", -4.2677393, 9.1379948), ("cavmae", -5.081, 4.4849)],
)
def test_the_front_end_of_a_file_fits_its_encoder(
    name: str, mean: float, divisor: float, tmp_path: Path
) -> None:
    state = cavmae_state() if name == "cavmae" else mae_state(channels=1, patches=24, dim=64)
    save_file(state, tmp_path / "file.safetensors")
    loaded = load(tmp_path / "file.safetensors")
    made = loaded.front_end
    form = made.format
    assert (form.rate, form.hop, form.mels) == (16000, 160, 128)
    audio = torch.rand(1, form.samples) - 0.5
    batch = AVBatch(
        image=torch.zeros(1, 3, form.size, form.size, dtype=torch.uint8),
        audio=audio,
        flip=torch.zeros(1, dtype=torch.bool),
        gain=torch.zeros(1),
        target=torch.zeros(1, 2),
        seeds=(1,),
        paths=("a.mp4",),
    )
    image, spectrogram = made(batch)
    assert_close(spectrogram, KaldiMel(mean=mean, divisor=divisor)(audio))
    if name == "cavmae":
        loaded.encoder(image=image, audio=spectrogram)
    else:
        assert loaded.encoder(spectrogram).shape == (1, 25, 64)


def test_overlapping_patches_and_images_alone(tmp_path: Path) -> None:
    stream = ast(64, depth=1, num_heads=1, size=(36, 56))
    assert front_end_of("ast", stream).format.audio_size == (36, 56)
    del stream.built  # a model of parts has no builder
    assert usual_size(stream) == (36, 56)
    whole = front_end_of("ast", ast(64, depth=1, num_heads=1)).format
    assert whole.audio_size == (128, 1024)  # 126 and 1016 have as many patches
    save_file(dinov2_state(dim=64, side=3), tmp_path / "dinov2.safetensors")
    assert load(tmp_path / "dinov2.safetensors").front_end.format.size == 42


def test_published_lengths_of_ast(tmp_path: Path) -> None:
    state = part(load_file(GOLDEN / "ast.safetensors"), "state.")
    count = state[next(n for n in state if n.endswith("position_embeddings"))].shape[1] - 2
    save_file(state, tmp_path / "ast.safetensors")
    known = {"num_heads": 4, "mels": 48}
    fewest = load(tmp_path / "ast.safetensors", **known).front_end.format.audio_size[1]
    assert (fewest - 16) // 10 + 1 == count // 4
    longer = load(tmp_path / "ast.safetensors", frames=fewest + 9, **known)
    assert longer.front_end.format.audio_size == (48, fewest + 9)
    with pytest.raises(ValueError, match=rf"frames must be {fewest} to {fewest + 9}"):
        load(tmp_path / "ast.safetensors", frames=fewest + 10, **known)


def test_statistics_beside_the_weights(tmp_path: Path) -> None:
    """As transformers and timm write them; models of one kind have others."""
    half, files = {"mean": [0.5] * 3, "std": [0.5, 0.25, 0.5]}, tmp_path / "model.safetensors"
    save_file(dinov2_state(dim=64, side=3), files)
    image = torch.full((1, 3, 42, 42), 255.0)
    images = {f"image_{name}": value for name, value in half.items()}
    for name, content, values in (
        ("preprocessor_config.json", images, [1, 2, 1]),
        ("preprocessor_config.json", images | {"do_normalize": False}, [1, 1, 1]),
        ("config.json", {"architecture": "x", "pretrained_cfg": half}, [1, 2, 1]),
    ):
        (tmp_path / name).write_text(json.dumps(content))
        found = load(files).front_end.normalize(image)
        (tmp_path / name).unlink()
        assert_close(found[0, :, 0, 0], torch.tensor(values).float())
    state = part(load_file(GOLDEN / "ast.safetensors"), "state.")
    save_file(state, files)
    content = {"num_mel_bins": 48, "mean": -6.0, "std": 5.0}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    made = load(files, num_heads=4, mels=48).front_end.log_mel
    assert (made.mean, made.divisor) == (-6.0, 10.0)


def test_an_export_brings_its_own(tmp_path: Path) -> None:
    encoder = av_vit(8, depth=1, num_heads=2, patch=4, image_size=8, audio_size=(8, 12))
    form = ClipFormat(seconds=0.3, rate=8000, size=8, mels=8, hop=200)
    save_pretrained(encoder, tmp_path, front_end=FrontEnd(form))
    assert load(tmp_path).front_end.format == form


def test_what_is_not_known_is_said_in_a_line() -> None:
    numbers = {"depth": 1, "num_heads": 1, "fusion_layer": 0, "num_classes": 2}
    model = mbt(64, image_size=(1, 32, 32), audio_size=(32, 48), **numbers)
    with pytest.raises(ValueError, match="mbt: no front end: its spectrograms are made within"):
        front_end_of("mbt", model.encoder)
    encoder = av_vit(8, depth=1, num_heads=2, patch=4, image_size=8, audio_size=(8, 12))
    with pytest.raises(ValueError, match=r"avblocks: no front end: .* take FrontEnd\(\)"):
        front_end_of("avblocks", encoder)

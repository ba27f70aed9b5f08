"""Positions, the audio front end and the schedule against the reference: ``small*``."""

from pathlib import Path

import pytest
import torch
from golden import assert_near, golden_files, read

from avblocks import sincos_position
from avblocks.audio import LogMel, pad_repeat
from avblocks.optim import cosine_lr, pretrained_multiplier


@pytest.mark.parametrize("file", golden_files("small"))
def test_positions(file: Path) -> None:
    tensors, _ = read(file)
    tables = {k: v for k, v in tensors.items() if k.startswith("pos")}
    assert tables
    for name, table in tables.items():
        _, dim, size = name.split(".")
        grid = tuple(int(side) for side in size.split("x"))
        assert_near(sincos_position(int(dim), grid), table, f"positions, {len(grid)}-D")


@pytest.mark.parametrize("file", golden_files("small"))
def test_audio(file: Path) -> None:
    tensors, _ = read(file)
    padded = tensors["audio.padded"]
    assert_near(pad_repeat(tensors["audio.wave"], 16000), padded, "padded waveform")
    assert_near(LogMel()(padded).squeeze(1), tensors["audio.logmel"], "log-mel spectrogram")


@pytest.mark.parametrize("file", golden_files("small"))
def test_schedule(file: Path) -> None:
    tensors, _ = read(file)
    for epoch, expected in zip(tensors["sched.epoch"], tensors["sched.lr"], strict=True):
        lr = cosine_lr(epoch.item(), lr=1.5e-4, epochs=200, warmup=40)
        scale = pretrained_multiplier(epoch.item(), epochs=100)
        ours = torch.tensor([lr, 0.5 * lr, scale * lr], dtype=torch.float64)
        assert_near(ours, expected, "rates, three groups", rtol=1e-6, atol=1e-12)

"""Weights of a run: the encoder, a part of it, or the whole autoencoder."""

import pytest
import torch

from avblocks import av_mae, av_vit
from avblocks.checkpoint import from_run, load_weights


def models() -> tuple:
    sizes = {"image_size": 8, "audio_size": (8, 12), "num_tokens": (2, 1, 1)}
    encoder = av_vit(8, depth=2, num_heads=2, patch=4, **sizes)
    return encoder, av_mae(encoder, dim=8, depth=1, num_heads=2)


def test_parts_of_a_run_load_strictly() -> None:
    (_, run), (encoder, whole) = models(), models()
    state = {f"model.mae.{name}": value for name, value in run.state_dict().items()}
    load_weights(encoder.image, from_run(state, part="encoder.image."), strict=True)
    assert torch.equal(encoder.image.norm.weight, run.encoder.image.norm.weight)
    load_weights(encoder, from_run(state), strict=True)
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, run.encoder.state_dict()[name])
    report = load_weights(whole, from_run(state, part=""), strict=True)
    assert not report.dropped and len(report.loaded) == len(state)


def test_other_files_are_refused() -> None:
    with pytest.raises(ValueError, match="not a checkpoint of a run"):
        from_run({"encoder.fusion_tokens": torch.zeros(1)})

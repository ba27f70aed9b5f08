"""Separation, against tensors of the reference; see `test_parity` for the folder."""

from pathlib import Path

import pytest
import torch
from golden import FUSIONS, assert_near, fusion_layers, golden_files, part, read
from torch import Tensor, nn

from avblocks import av_vit
from avblocks.audio import MelMasking
from avblocks.checkpoint import from_deepavfusion_separator, load_weights
from avblocks.heads import binary_mask, ratio_mask, separation_loss, separator
from avblocks.metrics import bss_eval

TARGETS = {"ratio": ratio_mask, "binary": binary_mask}
each_separation = pytest.mark.parametrize("file", golden_files("separation"))
each_small = pytest.mark.parametrize("file", golden_files("small"))


def logits(file: Path) -> tuple[Tensor, dict[str, Tensor]]:
    """Of the model that the file's config describes; what that leaves out, its tensors tell."""
    tensors, config = read(file)
    state = part(tensors, "sep.state.")
    image, audio = tensors["input.image"], tensors["input.audio"]
    patch = state["encoder.audio.patch_embed.proj.weight"].shape[-1]
    encoder = av_vit(
        config["dim"],
        depth=config["depth"],
        num_heads=config["heads"],
        image_size=tuple(image.shape[2:]),
        audio_size=tuple(audio.shape[2:]),
        patch=patch,
        fusion=FUSIONS[config.get("fusion", "factorized_mmi")],
        fusion_layers=fusion_layers({"fusion_layers": "all"} | config),
        num_tokens=tuple(config["fusion_tokens"]),
        attn_ratio=config["attn_ratio"],
        mlp_ratio=config["mlp_ratio"],
    )
    head = separator(config["dim"], patch=patch, num_layers=config["depth"])
    model = nn.ModuleDict({"encoder": encoder, "head": head}).eval()
    load_weights(model, from_deepavfusion_separator(state), strict=True)
    with torch.no_grad():
        layers = encoder.intermediates(image=image, audio=audio)
        return head(layers, grid=encoder.audio.grid(audio)), tensors


@each_separation
def test_separation(file: Path) -> None:
    out, tensors = logits(file)
    mixture, source = tensors["input.audio"], tensors["input.audio_target"]
    for name, target in TARGETS.items():
        expected = part(tensors, f"sep.{name}.")
        mask = target(mixture, source)
        loss = separation_loss(out, mask, mixture=mixture)
        assert_near(out, expected["logits"], "logits of the mask")
        assert_near(mask, expected["gt_mask"], f"{name} mask to learn")
        assert_near(loss, expected["loss"], f"loss, {name} mask")


@each_separation
def test_separation_changed_by_one_percent_is_noticed(file: Path) -> None:
    out, tensors = logits(file)
    source = tensors["input.audio_target"]
    mask = ratio_mask(tensors["input.audio"], source)
    loss = separation_loss(out, mask, mixture=tensors["input.audio"])
    for ours, name in ((out, "logits"), (mask, "gt_mask"), (loss, "loss")):
        with pytest.raises(AssertionError):
            assert_near(ours, tensors[f"sep.ratio.{name}"] * 1.01)


@each_small
def test_masking(file: Path) -> None:
    tensors, _ = read(file)
    found = part(tensors, "masking.")
    masking = MelMasking(n_mels=found["logits"].shape[-2])
    wave = masking(found["mix"], mask=found["logits"].sigmoid()[:, None])
    assert_near(wave, found["wave"], "waveform of a masked mixture")
    with pytest.raises(AssertionError):
        assert_near(wave * 1.01, found["wave"])


@each_small
def test_bss_eval(file: Path) -> None:
    tensors, _ = read(file)
    found = bss_eval(tensors["bss.est"][None], sources=tensors["bss.ref"][None])
    ours = torch.cat((found.sdr, found.sir, found.sar))
    assert_near(ours, tensors["bss.sdr_sir_sar"].to(ours), "SDR, SIR, SAR, dB")
    with pytest.raises(AssertionError):
        assert_near(ours, tensors["bss.sdr_sir_sar"].to(ours) * 1.001)

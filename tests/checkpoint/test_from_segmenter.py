"""The reference's names, written out here the other way round; its own tensors: the parity test."""

import pytest
import torch
from torch import Tensor, nn

from avblocks import AVTokens, av_vit
from avblocks.checkpoint import from_deepavfusion_segmenter, load_weights
from avblocks.heads import Segmenter, segmenter

BEGINNINGS = {
    "norm_image.": "normv.",
    "project_audio.": "proja.",
    "norm_audio.": "norma.",
    "pyramid.top.": "top.double_conv.",
    "pyramid.laterals.": "lat.",
    "pyramid.rises.": "up.",
    "hidden.": "predictor.0.",
    "pred.": "predictor.2.",
}
CONVOLUTIONS = {"conv1": "0", "norm1": "1", "conv2": "3", "norm2": "4"}


def make() -> Segmenter:
    head = segmenter(16, num_classes=3, num_layers=4, min_width=4, hidden=6)
    for value in head.state_dict().values():
        if value.is_floating_point():
            nn.init.uniform_(value, 0.5, 1.5)
    return head


def renamed(name: str) -> str:
    """What the reference calls a weight of the head."""
    ours = next(begin for begin in BEGINNINGS if name.startswith(begin))
    name = BEGINNINGS[ours] + name.removeprefix(ours)
    for mine, theirs in CONVOLUTIONS.items():
        name = name.replace(f".conv.{mine}.", f".conv.double_conv.{theirs}.")
        name = name.replace(f"double_conv.{mine}.", f"double_conv.{theirs}.")
    return name


def in_reference(head: Segmenter) -> dict[str, Tensor]:
    state = {renamed(name): value for name, value in head.state_dict().items()}
    assert len(state) == len(head.state_dict())
    return state


def logits(head: Segmenter) -> Tensor:
    seeds = torch.Generator().manual_seed(1)
    image, audio = (torch.randn(2, n, 16, generator=seeds) for n in (6, 4))
    with torch.no_grad():
        layers = [AVTokens(image=image, audio=audio, fusion=audio)] * 4
        return head.eval()(layers, grid=(2, 3))


def test_a_decoder_alone() -> None:
    source, model = make(), make()
    converted = from_deepavfusion_segmenter(in_reference(source))
    load_weights(nn.ModuleDict({"head": model}), converted, strict=True)
    assert torch.equal(logits(model), logits(source))


def test_a_whole_model() -> None:
    numbers = {"depth": 2, "num_heads": 2, "patch": 4, "num_tokens": (2, 1, 1)}
    encoder = av_vit(16, fusion="token", image_size=8, audio_size=(8, 12), **numbers)
    for parameter in encoder.parameters():
        nn.init.normal_(parameter)
    source = make()
    names = {"norm_fusion": "norm1_mm", "norm_mlp": "norm2", "interaction.attn.": "attn."}
    # In token fusion the reference's image passes the norm named for audio, and the other way.
    names |= {"norm_image": "norm1_aud", "norm_audio": "norm1_img"}
    state = in_reference(source)
    for name, value in encoder.state_dict().items():
        if name.startswith("fusion_blocks."):
            for ours, theirs in names.items():
                name = name.replace(f".{ours}", f".{theirs}")
        state[f"encoder.{name}"] = value
    state["encoder.image.pos_embed"] = torch.zeros(1, 4, 16)
    model = nn.ModuleDict(
        {
            "encoder": av_vit(16, fusion="token", image_size=8, audio_size=(8, 12), **numbers),
            "head": make(),
        }
    )
    report = load_weights(model, from_deepavfusion_segmenter(state), strict=True)
    assert report.dropped == ("encoder.image.pos_embed",)
    assert torch.equal(logits(model["head"]), logits(source))
    for ours, theirs in zip(model["encoder"].parameters(), encoder.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_another_checkpoint_is_refused() -> None:
    with pytest.raises(ValueError, match="not a DeepAVFusion segmenter"):
        from_deepavfusion_segmenter({"encoder.fusion_tokens": torch.zeros(1, 4, 8)})

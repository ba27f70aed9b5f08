import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from avblocks import (
    AVEncoder,
    RandomMask,
    av_mae,
    av_vit,
    av_vit_base,
    av_vit_large,
    fusion_block,
)
from avblocks.flops import encoder_flops, fusion_flops, mae_flops

FUSIONS = ("token", "dense", "factorized")
each = pytest.mark.parametrize("fusion", FUSIONS)
depths = pytest.mark.parametrize("depth", [2, (3, 1)], ids=str)


def make(fusion: str, **changes: object) -> AVEncoder:
    numbers = {"depth": 2, "num_heads": 2, "patch": 4, "image_size": 16, "audio_size": (16, 24)}
    numbers |= {"num_tokens": (3, 2, 1), "fusion": fusion, "attn_ratio": 0.5, "mlp_ratio": 2.0}
    return av_vit(16, **(numbers | changes))


def counted(model: nn.Module, *, training: bool, **inputs: object) -> int:
    """Operations that torch sees; its fused attention is taken apart, since it counts it not."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        out = model(**inputs)
        if training:
            parts = [out.loss] if hasattr(out, "loss") else [out.image, out.audio, out.fusion]
            sum(part.sum() for part in parts if part is not None).backward()
    return counter.get_total_flops()


@each
@depths
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("layers", ["all", "none", [1]], ids=str)
def test_an_encoder_is_what_torch_counts(
    fusion: str, depth: object, layers: object, training: bool
) -> None:
    encoder = make(fusion, depth=depth, fusion_layers=layers)
    given = {"image": torch.randn(1, 3, 16, 16), "audio": torch.randn(1, 1, 16, 24)}
    told = encoder_flops(encoder, image=16, audio=24, training=training)
    assert told == counted(encoder, training=training, **given)


@each
@depths
@pytest.mark.parametrize("training", [False, True])
def test_a_masked_autoencoder_is_what_torch_counts(
    fusion: str, depth: object, training: bool
) -> None:
    model = av_mae(make(fusion, depth=depth), dim=8, depth=2, num_heads=2)
    masks = RandomMask(0.75)((4, 4), batch=1), RandomMask(0.8)((4, 6), batch=1)
    given = {"image": torch.randn(1, 3, 16, 16), "audio": torch.randn(1, 1, 16, 24)}
    given |= {"image_mask": masks[0], "audio_mask": masks[1]}
    told = mae_flops(model, image=(4, 12), audio=(4, 20), training=training)
    assert told == counted(model, training=training, **given)


@each
@pytest.mark.parametrize("missing", ["image", "audio"])
def test_a_missing_modality_costs_nothing(fusion: str, missing: str) -> None:
    given = {"image": torch.randn(1, 3, 16, 16), "audio": torch.randn(1, 1, 16, 24)}
    tokens = {"image": 16, "audio": 24} | {missing: 0}
    encoder = make(fusion)
    told = encoder_flops(encoder, **tokens)
    assert told == counted(encoder, training=False, **(given | {missing: None}))


@each
@given(image=st.integers(1, 300), audio=st.integers(1, 300))
def test_every_fusion_is_linear_in_image_plus_audio_tokens(
    fusion: str, image: int, audio: int
) -> None:
    block = fusion_block(16, fusion=fusion, num_heads=2, num_tokens=(2, 2, 2), attn_ratio=0.5)

    def cost(image: int, audio: int) -> int:
        return fusion_flops(block, fusion=6, image=image, audio=audio)

    steps = cost(image + 1, audio) - cost(image, audio), cost(image, audio + 1) - cost(image, audio)
    assert steps == (cost(2, 1) - cost(1, 1), cost(1, 2) - cost(1, 1))
    assert steps[0] == steps[1] > 0


def test_the_papers_step() -> None:
    """ "About 110 GFLOP a sample" for ViT-B, factorized, forward and backward."""
    with torch.device("meta"):
        model = av_mae(av_vit_base())
    told = mae_flops(model, image=(49, 147), audio=(19, 77), training=True)
    assert 105e9 < told < 115e9


def test_larger_models_without_building_them() -> None:
    with torch.device("meta"):
        encoder = av_vit_large()
    assert encoder_flops(encoder, image=196, audio=96) > 150e9


def test_a_fusion_of_ones_own_cannot_be_counted() -> None:
    block = fusion_block(16, num_heads=2)
    block.interaction = nn.Identity()
    with pytest.raises(
        ValueError, match=r"Identity is not of avblocks: .* flops\(fusion, image, audio\)"
    ):
        fusion_flops(block, fusion=32, image=4, audio=4)

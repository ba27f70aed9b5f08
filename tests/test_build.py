import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from avblocks import (
    AVMAE,
    DropPath,
    RandomMask,
    av_mae,
    av_vit,
    av_vit_base,
    av_vit_huge,
    av_vit_large,
    av_vit_small,
    av_vit_tiny,
)
from avblocks.checkpoint import from_pretrained, save_pretrained
from avblocks.fusion import BottleneckLayer

SIZES = {"image_size": 8, "audio_size": (8, 12)}
FUSIONS = ("token", "dense", "factorized")


def small(fusion: str = "factorized", **changes: object) -> AVMAE:
    numbers = {"depth": 2, "num_heads": 2, "patch": 4, "num_tokens": (2, 1, 1)}
    encoder = av_vit(8, fusion=fusion, **SIZES, **(numbers | changes))
    return av_mae(encoder, dim=8, depth=1, num_heads=2)


def run(model: AVMAE) -> torch.Tensor:
    seeds = torch.Generator().manual_seed(1)
    image = torch.randn(2, 3, 8, 8, generator=seeds)
    audio = torch.randn(2, 1, 8, 12, generator=seeds)
    image_mask = RandomMask(0.5)((2, 2), batch=2, generator=seeds)
    audio_mask = RandomMask(0.5)((2, 3), batch=2, generator=seeds)
    with torch.no_grad():
        return model(image=image, audio=audio, image_mask=image_mask, audio_mask=audio_mask).loss


@pytest.mark.parametrize(
    ("build", "dim", "depth", "heads"),
    [
        (av_vit_tiny, 192, 12, 3),
        (av_vit_small, 384, 12, 6),
        (av_vit_base, 768, 12, 12),
        (av_vit_large, 1024, 24, 16),
        (av_vit_huge, 1280, 32, 16),
    ],
    ids=["tiny", "small", "base", "large", "huge"],
)
def test_named_sizes_on_the_meta_device(build: Callable, dim: int, depth: int, heads: int) -> None:
    with torch.device("meta"):
        encoder = build()
    for stream in (encoder.image, encoder.audio):
        assert (stream.dim, len(stream.blocks)) == (dim, depth)
        assert {block.attn.num_heads for block in stream.blocks} == {heads}
    assert len(encoder.fusion_blocks) == depth
    assert encoder.fusion_tokens.shape == (1, 32, dim)


def test_the_papers_numbers() -> None:
    with torch.device("meta"):
        model = av_mae(av_vit_base())
    encoder, fuse = model.encoder, model.encoder.fusion_blocks["0"]
    assert encoder.image.pos_embed.grid == (14, 14) and encoder.audio.pos_embed.grid == (8, 12)
    assert fuse.interaction.num_tokens == (16, 8, 8)
    assert fuse.interaction.pairs.q.out_features == 768 // 4
    assert fuse.mlp.fc1.out_features == 768
    assert (encoder.image.norm.eps, encoder.fusion_norm.eps) == (1e-6, 1e-5)
    for decoder, values in ((model.image_decoder, 768), (model.audio_decoder, 256)):
        assert len(decoder.blocks) == 8 and decoder.blocks[0].attn.num_heads == 16
        assert (decoder.pred.in_features, decoder.pred.out_features) == (512, values)
    assert model.normalize_targets


@pytest.mark.parametrize(
    ("layers", "depth", "wanted"),
    [("all", (2, 3), "012"), ("none", 2, ""), ([1], 2, "1"), ({0, 2}, (3, 1), "02"), ([], 2, "")],
    ids=str,
)
def test_fusion_layers(layers: object, depth: object, wanted: str) -> None:
    encoder = small(fusion_layers=layers, depth=depth).encoder
    assert "".join(encoder.fusion_blocks) == wanted


def test_drop_path_reaches_all_blocks_of_the_encoder() -> None:
    encoder = small(drop_path=0.2).encoder
    rates = [module.rate for module in encoder.modules() if isinstance(module, DropPath)]
    assert rates == [0.2] * 6


@pytest.mark.parametrize("fusion", FUSIONS)
def test_copies(fusion: str) -> None:
    model, other = small(fusion), small(fusion)
    assert run(model) == run(model) != run(other)
    other.load_state_dict(model.state_dict())
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), other):
        assert torch.equal(run(twin), run(model))


def test_one_seed_one_model() -> None:
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(run(small()))
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_model_from_the_meta_device_can_be_initialised(fusion: str) -> None:
    def reset(module: nn.Module) -> None:
        getattr(module, "reset_parameters", lambda: None)()

    with torch.device("meta"):
        model = small(fusion)
    model.to_empty(device="cpu")
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data.fill_(float("nan"))
    usual = small(fusion)
    for one in (model, usual):
        torch.manual_seed(0)
        one.apply(reset)
    assert torch.equal(run(model), run(usual))
    assert not any(p.any() for name, p in model.named_parameters() if name.endswith("bias"))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_bfloat16_whole(fusion: str) -> None:
    model = small(fusion).bfloat16()
    out = model.encoder(
        image=torch.randn(2, 3, 12, 8).bfloat16(), audio=torch.randn(2, 1, 8, 8).bfloat16()
    )
    assert out.fusion.dtype == torch.bfloat16 and out.fusion.isfinite().all()


@pytest.mark.parametrize(
    ("patch", "size"), [(4, (2, 8, 8)), ((2, 4, 4), (8, 8)), ((4, 4), (8,)), (4, 0)]
)
def test_an_image_size_that_does_not_suit_the_patch_is_named(patch: Any, size: Any) -> None:
    numbers: dict[str, Any] = {"depth": 1, "num_heads": 2, "audio_size": (8, 12)}
    with pytest.raises(ValueError, match=r"image_size must be a positive"):
        av_vit(8, patch=patch, image_size=size, **numbers)


def test_bottlenecks_by_name_are_saved(tmp_path: Path) -> None:
    numbers = {"depth": 2, "num_heads": 2, "patch": 4, "num_tokens": (3,), "fusion_layers": [1]}
    named = av_vit(8, fusion="bottleneck", **SIZES, **numbers).eval()
    of_class = av_vit(8, fusion=BottleneckLayer, **SIZES, **numbers).eval()
    of_class.load_state_dict(named.state_dict())
    save_pretrained(named, tmp_path)
    clips = {"image": torch.rand(1, 3, 8, 8), "audio": torch.rand(1, 1, 8, 12)}
    tokens = [m(**clips).fusion for m in (named, of_class, from_pretrained(tmp_path).encoder)]
    assert tokens[0].shape == (1, 3, 8)
    assert torch.equal(tokens[0], tokens[1]) and torch.equal(tokens[0], tokens[2])

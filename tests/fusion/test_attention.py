"""What the fusion tokens look at: with these shares of the values, the outputs come out again."""

import pytest
import slow
import torch
from hypothesis import given
from hypothesis import strategies as st
from slow import randomize
from torch import Tensor, nn
from torch.testing import assert_close

from avblocks import DenseFusion, FactorizedFusion, FusionBlock, TokenFusion, av_vit
from avblocks.heads import fusion_map
from avblocks.nn import attend, attention_weights

COUNTS = (3, 2, 1)
INTERACTIONS = {
    "token": lambda: TokenFusion(8, num_heads=2),
    "dense": lambda: DenseFusion(8, num_heads=2),
    "factorized": lambda: FactorizedFusion(8, num_heads=2, num_tokens=COUNTS),
}
each = pytest.mark.parametrize("name", INTERACTIONS)
small = st.integers(1, 5)


def tokens(n: int) -> Tensor:
    return torch.randn(2, n, 8, dtype=torch.float64)


def read(weights: Tensor, values: Tensor) -> Tensor:
    """Heads side by side, each reading its own part of the values."""
    heads = values.chunk(weights.shape[1], dim=-1)
    parts = [torch.einsum("bij,bje->bie", weights[:, h], part) for h, part in enumerate(heads)]
    return torch.cat(parts, dim=-1)


@given(small, small, st.sampled_from((None, 0.3)))
def test_weights_are_those_of_attend(n_q: int, n_k: int, scale: float | None) -> None:
    q, k, v = tokens(n_q), tokens(n_k), tokens(n_k)
    weights = attention_weights(q, k, num_heads=2, scale=scale)
    assert_close(read(weights, v), attend(q, k, v, num_heads=2, scale=scale))


@given(small, small, small)
def test_token(n_f: int, n_v: int, n_a: int) -> None:
    fuse = randomize(TokenFusion(8, num_heads=2))
    fusion, image, audio = tokens(n_f), tokens(n_v), tokens(n_a)
    seen = fuse.attention(fusion, image=image, audio=audio)
    values = fuse.attn.kv(torch.cat((image, audio), dim=1)).chunk(2, dim=-1)[1]
    weights = torch.cat((seen.image, seen.audio), dim=-1)
    wanted = slow.fuse(fuse, fusion, image, audio)
    assert_close(fuse.attn.proj(read(weights, values)), wanted)
    assert_close(weights.sum(-1), torch.ones(2, 2, n_f, dtype=torch.float64))


@given(small, small, small, st.sampled_from((None, 1.0)))
def test_dense_gives_the_marginals_of_all_pairs(
    n_f: int, n_v: int, n_a: int, value_ratio: float | None
) -> None:
    fuse = randomize(DenseFusion(8, num_heads=2, value_ratio=value_ratio))
    fusion, image, audio = tokens(n_f), tokens(n_v), tokens(n_a)
    seen = fuse.attention(fusion, image=image, audio=audio)
    pairs = torch.cat(
        (
            image[:, :, None].expand(-1, -1, n_a, -1),
            audio[:, None].expand(-1, n_v, -1, -1),
        ),
        dim=-1,
    )
    k = fuse.k_image(pairs[..., :8]) + fuse.k_audio(pairs[..., 8:])
    q, k = fuse.q(fusion).chunk(2, dim=-1), k.chunk(2, dim=-1)
    for head in range(2):
        logits = torch.einsum("bie,bvae->biva", q[head], k[head]) * 4**-0.5
        shares = logits.flatten(2).softmax(-1).view_as(logits)
        assert_close(seen.image[:, head], shares.sum(3))
        assert_close(seen.audio[:, head], shares.sum(2))
    out = (
        read(seen.image, fuse.v_image(image)) + read(seen.audio, fuse.v_audio(audio)) + fuse.v_bias
    )
    assert_close(fuse.proj(out), slow.fuse(fuse, fusion, image, audio))


@given(small, small)
def test_factorized_reads_through_its_aggregates(n_v: int, n_a: int) -> None:
    fuse = randomize(FactorizedFusion(8, num_heads=2, num_tokens=COUNTS))
    fusion, image, audio = tokens(6), tokens(n_v), tokens(n_a)
    seen = fuse.attention(fusion, image=image, audio=audio)
    wanted = slow.fuse(fuse, fusion, image, audio)
    for weights, source, reader, own in (
        (seen.image, image, fuse.image_aggregator.attn, slice(3, 5)),
        (seen.audio, audio, fuse.audio_aggregator.attn, slice(5, 6)),
    ):
        values = reader.kv(source).chunk(2, dim=-1)[1]
        assert_close(reader.proj(read(weights[:, :, own], values)), wanted[:, own])
        others = [row for row in range(3, 6) if not own.start <= row < own.stop]
        assert not weights[:, :, others].any()
        aggregates = fuse.pairs.attention(fusion[:, :3], image=wanted[:, 3:5], audio=wanted[:, 5:])
        of_pairs = aggregates.image if source is image else aggregates.audio
        mixed = weights[:, :, own].mean(1)
        for head in range(2):
            assert_close(weights[:, head, :3], torch.bmm(of_pairs[:, head], mixed))
        assert_close(weights[:, :, :3].sum(-1), torch.ones(2, 2, 3, dtype=torch.float64))


@each
def test_the_block_looks_through_its_norms(name: str) -> None:
    block = randomize(FusionBlock(8, interaction=INTERACTIONS[name]()))
    fusion, image, audio = tokens(6), tokens(4), tokens(3)
    seen = block.attention(fusion, image=image, audio=audio)
    wanted = block.interaction.attention(
        slow.layer_norm(block.norm_fusion, fusion),
        image=slow.layer_norm(block.norm_image, image),
        audio=slow.layer_norm(block.norm_audio, audio),
    )
    assert_close(seen.image, wanted.image)
    assert_close(seen.audio, wanted.audio)


@each
def test_order_of_patches_moves_their_shares(name: str) -> None:
    fuse, order = randomize(INTERACTIONS[name]()), torch.tensor([2, 0, 3, 1])
    fusion, image, audio = tokens(6), tokens(4), tokens(3)
    seen = fuse.attention(fusion, image=image, audio=audio)
    moved = fuse.attention(fusion, image=image[:, order], audio=audio.flip(1))
    assert_close(moved.image, seen.image[..., order])
    assert_close(moved.audio, seen.audio.flip(-1))


@each
def test_of_a_missing_modality_nothing_is_read(name: str) -> None:
    block, fusion, one = (
        randomize(FusionBlock(8, interaction=INTERACTIONS[name]())),
        tokens(6),
        tokens(4),
    )
    seen = block.attention(fusion, image=one, audio=None)
    assert seen.audio is None
    rows = slice(None) if name != "factorized" else slice(0, 5)
    assert_close(seen.image[:, :, rows].sum(-1), torch.ones_like(seen.image[:, :, rows, 0]))
    assert block.attention(fusion, image=None, audio=one).image is None
    nothing = block.attention(fusion, image=None, audio=None)
    assert nothing.image is None and nothing.audio is None


@pytest.mark.usefixtures("unchecked")
@each
def test_misfits_raise(name: str) -> None:
    fuse, right = INTERACTIONS[name](), torch.zeros(2, 6, 8)
    one = right[:1]
    for wrong in ({"image": one}, {"audio": one}, {"image": one, "audio": one}):
        both = {"image": right, "audio": right} | wrong
        with pytest.raises((ValueError, RuntimeError)):
            fuse.attention(right, **both)


def test_an_interaction_without_attention_is_refused_by_name() -> None:
    class Mean(nn.Module):
        def forward(self, fusion: Tensor, *, image: Tensor, audio: Tensor) -> Tensor:
            return fusion

    block, x = FusionBlock(8, interaction=Mean()), torch.zeros(2, 3, 8)
    with pytest.raises(ValueError, match="Mean has no method `attention`"):
        block.attention(x, image=x, audio=x)


@pytest.mark.usefixtures("unchecked")
@each
def test_compiles_as_one_graph(name: str) -> None:
    block, x = FusionBlock(8, interaction=INTERACTIONS[name]()), torch.randn(2, 6, 8)
    compiled = torch.compile(block.attention, backend="eager", fullgraph=True)
    wanted = block.attention(x, image=x, audio=x)
    assert_close(compiled(x, image=x, audio=x).image, wanted.image)


def test_maps_of_compiled_modules() -> None:
    """Their methods are those of the module inside, which `isinstance` of Python 3.12 misses."""
    block = FusionBlock(8, interaction=TokenFusion(8, num_heads=2))
    given = {"image": torch.randn(1, 5, 8), "audio": torch.randn(1, 3, 8)}
    wanted = block.attention(fusion := torch.randn(1, 4, 8), **given)
    block.interaction = torch.compile(block.interaction, backend="eager")
    assert_close(block.attention(fusion, **given).image, wanted.image)
    encoder = av_vit(16, depth=1, num_heads=2, image_size=32, audio_size=(32, 32)).eval()
    whole = {"image": torch.randn(1, 3, 32, 32), "audio": None}
    before = fusion_map(encoder, **whole, layer=0)
    encoder.fusion_blocks["0"] = torch.compile(encoder.fusion_blocks["0"], backend="eager")
    assert_close(fusion_map(encoder, **whole, layer=0), before)

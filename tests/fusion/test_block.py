import pytest
import slow
import torch
from slow import assert_same, randomize
from torch import Tensor
from torch.testing import assert_close

from avblocks import DenseFusion, FactorizedFusion, FusionBlock, TokenFusion

INTERACTIONS = {
    "token": lambda: TokenFusion(8, num_heads=2),
    "dense": lambda: DenseFusion(8, num_heads=2),
    "factorized": lambda: FactorizedFusion(8, num_heads=2, num_tokens=(2, 2, 1)),
}
each = pytest.mark.parametrize("name", INTERACTIONS)


def tokens(n: int) -> Tensor:
    return torch.randn(2, n, 8, dtype=torch.float64, requires_grad=True)


def make(name: str, **numbers: float) -> FusionBlock:
    return randomize(FusionBlock(8, interaction=INTERACTIONS[name](), **numbers))


@each
def test_the_residual_starts_at_the_normalised_tokens(name: str) -> None:
    block, fusion, image, audio = make(name, mlp_ratio=2.0), tokens(5), tokens(4), tokens(3)
    wanted = slow.fusion_block(block, fusion, image, audio)
    leaves = [fusion, image, audio, *block.parameters()]
    # The factorized one norms twice over small numbers: rounding grows past 1e-12 in gradients.
    assert_same(block(fusion, image=image, audio=audio), wanted, leaves, atol=1e-11)


@each
def test_a_missing_modality_changes_nothing_by_its_norm(name: str) -> None:
    block, fusion, audio = make(name), tokens(5), tokens(3)
    before = block(fusion, image=None, audio=audio)
    torch.nn.init.normal_(block.norm_image.weight)
    assert torch.equal(block(fusion, image=None, audio=audio), before)


@each
def test_order_of_the_batch(name: str) -> None:
    block, fusion, image, audio = make(name), tokens(5), tokens(4), tokens(3)
    out = block(fusion, image=image, audio=audio)
    assert_close(block(fusion.flip(0), image=image.flip(0), audio=audio.flip(0)), out.flip(0))


@each
def test_dropped_branches_leave_the_normalised_tokens(name: str) -> None:
    block = FusionBlock(8, interaction=INTERACTIONS[name](), drop_path=0.5)
    fusion, other = torch.randn(64, 5, 8), torch.randn(64, 3, 8)
    out = block(fusion, image=other, audio=other)
    same = (out == block.norm_fusion(fusion)).flatten(1).all(dim=1)
    assert 4 < same.sum() < 32


def test_anyones_interaction_will_do() -> None:
    class Mean(torch.nn.Module):
        def forward(self, fusion: Tensor, *, image: Tensor, audio: Tensor) -> Tensor:
            return (image.mean(dim=1) + audio.mean(dim=1))[:, None].expand_as(fusion)

    block = FusionBlock(8, interaction=Mean()).double()
    assert block(tokens(5), image=tokens(4), audio=tokens(3)).shape == (2, 5, 8)

"""The shape checker must really check under pytest and on demand, and not exist otherwise."""

import os

import pytest
import torch
from fresh import Fresh
from jaxtyping import TypeCheckError

from avblocks import AVTokens, Block, TokenFusion, patchify

CODE = """
import sys, torch, avblocks
heavy = {"beartype", "torchvision", "torchaudio", "av", "lightning", "tyro", "matplotlib"}
print(*sorted(heavy & set(sys.modules)))
try:
    avblocks.masked_mse(torch.zeros(2, 3), torch.zeros(2, 3))
except Exception as error:
    print(type(error).__name__)
"""


def test_wrong_shapes_are_found_under_pytest() -> None:
    with pytest.raises(TypeCheckError):
        patchify(torch.zeros(3), patch=(4, 4))
    with pytest.raises(TypeCheckError):
        Block(8, num_heads=2)(torch.zeros(5, 8))
    with pytest.raises(TypeCheckError):
        AVTokens(image=torch.zeros(2, 3), audio=None, fusion=torch.zeros(2, 3, 4))


def test_axes_of_one_name_are_compared_under_pytest() -> None:
    tokens = torch.zeros(2, 3, 8)
    with pytest.raises(TypeCheckError):
        TokenFusion(8, num_heads=2)(tokens, image=tokens, audio=torch.zeros(3, 3, 8))


@pytest.mark.usefixtures("unchecked")
def test_the_fixture_switches_it_off() -> None:
    assert AVTokens(image=torch.zeros(2, 3), audio=None, fusion=torch.zeros(2, 3, 4)).audio is None
    with pytest.raises(ValueError, match="size must be"):
        patchify(torch.zeros(3), patch=(4, 4))


@pytest.mark.parametrize(
    ("value", "imported", "error"), [("1", "beartype", "TypeCheckError"), (None, "", "ValueError")]
)
def test_a_user_has_it_on_demand_only(
    fresh: Fresh, value: str | None, imported: str, error: str
) -> None:
    env = {name: v for name, v in os.environ.items() if name != "AVBLOCKS_TYPECHECK"}
    env |= {"AVBLOCKS_TYPECHECK": value} if value else {}
    done = fresh(CODE, env=env)
    assert done.stdout.splitlines() == [imported, error]

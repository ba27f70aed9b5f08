"""State dicts of earlier versions, timm and MAE load by their own names."""

import pytest
import torch
from joint import joint
from public_models import MODELS, encoder, tensors
from slow import randomize

from avblocks import Attention, DenseFusion
from avblocks.checkpoint import load_weights
from avblocks.nn.older import renamed, split_qkv


@pytest.mark.parametrize("name", ["dense", "factorized", "masked autoencoder"])
def test_older_names_load(name: str) -> None:
    torch.manual_seed(1)
    model, other, given = MODELS[name].build(), MODELS[name].build(), MODELS[name].inputs(2)
    state = joint(model.state_dict())
    before = list(state)
    assert len(state) < len(model.state_dict()) and any("qkv" in n for n in state)
    other.load_state_dict(state)
    for mine, own in zip(tensors(other(**given)), tensors(model(**given)), strict=True):
        assert torch.equal(mine, own)
    assert list(state) == before
    again = MODELS[name].build()
    report = load_weights(again, state, strict=True)
    assert set(report.loaded) == set(model.state_dict())
    assert renamed(model, state).keys() == model.state_dict().keys()


def test_what_an_older_layer_computed() -> None:
    """``qkv(x)`` and ``k([image; audio])``, as they were written."""
    attn, x = randomize(Attention(8, num_heads=2)), torch.randn(2, 3, 8, dtype=torch.float64)
    weight, bias = torch.randn(24, 8).double(), torch.randn(24).double()
    attn.load_state_dict(
        {"qkv.weight": weight, "qkv.bias": bias, **attn.proj.state_dict(prefix="proj.")}
    )
    q, k, v = (x @ weight.T + bias).chunk(3, dim=-1)
    torch.testing.assert_close(
        torch.cat((attn.q(x), attn.kv(x)), dim=-1), torch.cat((q, k, v), dim=-1)
    )
    dense = randomize(DenseFusion(8, num_heads=2, attn_ratio=1.0))
    pairs = torch.randn(2, 3, 16, dtype=torch.float64)
    weight, bias = torch.randn(8, 16).double(), torch.randn(8).double()
    layer = {f"{n}.{kind}": x for n in "kv" for kind, x in (("weight", weight), ("bias", bias))}
    kept = {n: x for n, x in dense.state_dict().items() if n.startswith(("q.", "proj."))}
    dense.load_state_dict(layer | kept)
    image, audio = pairs.chunk(2, dim=-1)
    wanted = pairs @ weight.T + bias
    torch.testing.assert_close(dense.k_image(image) + dense.k_audio(audio), wanted)
    torch.testing.assert_close(dense.v_image(image) + dense.v_audio(audio) + dense.v_bias, wanted)


def test_names_that_only_end_alike_stay() -> None:
    state = {"fqkv.weight": torch.zeros(3), "qkv.other": torch.zeros(3)}
    assert split_qkv(state) == state


def test_weights_of_a_seed_are_those_of_the_joint_layers() -> None:
    """As versions until 0.1 drew them: one Xavier-uniform matrix for queries, keys and values."""
    torch.manual_seed(3)
    attn = Attention(8, num_heads=2)
    torch.manual_seed(3)
    qkv, proj = torch.nn.Linear(8, 24), torch.nn.Linear(8, 8)
    for layer in (qkv, proj):
        torch.nn.init.xavier_uniform_(layer.weight)
    assert torch.equal(torch.cat((attn.q.weight, attn.kv.weight)), qkv.weight)
    assert torch.equal(attn.proj.weight, proj.weight)
    bound = (6 / (16 + 4)) ** 0.5
    torch.manual_seed(3)
    dense = DenseFusion(16, num_heads=1)
    assert dense.k_image.weight.abs().max() <= (6 / (32 + 4)) ** 0.5 < bound
    assert encoder().fusion_tokens.std() < 0.04

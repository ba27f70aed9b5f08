"""Activation checkpointing: the same losses and gradients, with fewer tensors kept."""

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from avblocks import AVMAE, RandomMask, av_mae, av_vit

SIZES = {"image_size": 16, "audio_size": (16, 24), "patch": 4, "num_tokens": (2, 1, 1)}


def make(fusion: str, *, checkpointing: bool, depth: int = 3, drop_path: float = 0.0) -> AVMAE:
    torch.manual_seed(0)
    encoder = av_vit(16, depth=depth, num_heads=2, fusion=fusion, drop_path=drop_path, **SIZES)
    model = av_mae(encoder, dim=16, depth=depth, num_heads=2)
    for part in (encoder, model.image_decoder, model.audio_decoder):
        part.checkpointing = checkpointing
    return model


def step(model: AVMAE) -> tuple[Tensor, list[Tensor | None], int]:
    """Loss, gradients and how many values the backward pass is given to keep."""
    torch.manual_seed(1)
    kept = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    masks = RandomMask(0.75)((4, 4), batch=2), RandomMask(0.8)((4, 6), batch=2)
    image, audio = torch.randn(2, 3, 16, 16), torch.randn(2, 1, 16, 24)
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(image=image, audio=audio, image_mask=masks[0], audio_mask=masks[1]).loss
    loss.backward()
    return loss, [p.grad for p in model.parameters()], sum(kept.values())


@pytest.mark.parametrize("drop_path", [0.0, 0.5])
@pytest.mark.parametrize("fusion", ["token", "dense", "factorized"])
def test_losses_and_gradients_stay_and_memory_shrinks(fusion: str, drop_path: float) -> None:
    (loss, gradients, kept), (again, same, fewer) = (
        step(make(fusion, checkpointing=on, drop_path=drop_path)) for on in (False, True)
    )
    assert torch.equal(loss, again)
    for gradient, other in zip(gradients, same, strict=True):
        assert (gradient is None and other is None) or torch.equal(gradient, other)
    assert fewer < kept / 3


def test_intermediates_are_the_same() -> None:
    given = {"image": torch.randn(2, 3, 16, 16), "audio": torch.randn(2, 1, 16, 24)}
    layers = [
        make("dense", checkpointing=on).encoder.intermediates(**given) for on in (False, True)
    ]
    for one, other in zip(*layers, strict=True):
        assert torch.equal(one.fusion, other.fusion) and torch.equal(one.image, other.image)


@pytest.mark.usefixtures("unchecked")
def test_compiles_as_one_graph() -> None:
    model = make("factorized", checkpointing=True, depth=1)
    wanted = step(model)
    model.zero_grad()
    model.compile(fullgraph=True, backend="aot_eager")
    loss, gradients, _ = step(model)
    torch.testing.assert_close(loss, wanted[0])
    torch.testing.assert_close(gradients, wanted[1])
    torch._dynamo.reset()


def test_it_changes_no_name() -> None:
    names = [list(make("token", checkpointing=on).state_dict()) for on in (False, True)]
    assert names[0] == names[1]

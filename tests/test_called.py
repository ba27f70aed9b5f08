"""Every layer with weights is called: what wraps a layer, such as an adapter, is heard."""

from collections.abc import Iterator

import pytest
import torch
from public_models import MODELS, tensors, total
from torch import Tensor, nn
from torch.testing import assert_close

LAYERS = (nn.Linear, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)
each = pytest.mark.parametrize("name", MODELS)


class LowRank(nn.Module):
    """A layer and a term of rank two beside it: ``W + B A``, as a layer of that weight would do.

    It has nothing of a layer but ``forward``: no ``weight``, no ``in_features``.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        weight = layer.weight
        rows, columns = weight.shape[0], weight[0].numel()
        self.a = nn.Parameter(torch.randn(2, columns, dtype=weight.dtype))
        self.b = nn.Parameter(torch.randn(rows, 2, dtype=weight.dtype) * 0.05)

    def change(self) -> Tensor:
        return (self.b @ self.a).view(self.layer.weight.shape)

    def forward(self, x: Tensor) -> Tensor:
        plain = self.layer(x)
        weights = {"weight": self.change()}
        if self.layer.bias is not None:
            weights["bias"] = torch.zeros_like(self.layer.bias)
        return plain + torch.func.functional_call(self.layer, weights, (x,))

    def merged(self) -> nn.Module:
        with torch.no_grad():
            self.layer.weight += self.change()
        return self.layer


def wrapped(model: nn.Module) -> Iterator[tuple[nn.Module, str, LowRank]]:
    """Wrap each layer of a model; yields the owner, the attribute and the wrapper."""
    for owner in list(model.modules()):
        for key, child in list(owner.named_children()):
            if isinstance(child, LAYERS):
                setattr(owner, key, LowRank(child))
                yield owner, key, getattr(owner, key)


@each
def test_an_adapter_on_each_layer_trains_and_merges_exactly(name: str) -> None:
    model, given = MODELS[name].build().double().eval(), MODELS[name].inputs(2)
    given = {k: x.double() if isinstance(x, Tensor) else x for k, x in given.items()}
    before = model(**given)
    adapters = list(wrapped(model))
    assert adapters
    out = model(**given)
    assert not torch.allclose(total(out), total(before))
    total(out).backward()
    unused = [m for n, m in model.named_modules() if n.startswith(tuple(MODELS[name].unused))]
    silent = {
        f"{type(owner).__name__}.{key}"
        for owner, key, adapter in adapters
        if owner not in unused
        for x in (adapter.a, adapter.b)
        if x.grad is None or not x.grad.any()
    }
    assert not silent
    for owner, key, adapter in adapters:
        setattr(owner, key, adapter.merged())
    assert not [m for m in model.modules() if isinstance(m, LowRank)]
    for merged, own in zip(tensors(model(**given)), tensors(out), strict=True):
        assert_close(merged, own, rtol=1e-9, atol=1e-9)


@each
def test_every_module_with_parameters_is_called(name: str) -> None:
    """Norms and tokens included: quantization and FSDP act in a module's own call."""
    model, given, called = MODELS[name].build(), MODELS[name].inputs(2), set()
    for path, module in model.named_modules():
        module.register_forward_hook(lambda *_, path=path: called.add(path))
    total(model(**given)).backward()
    owners = {n.rpartition(".")[0] for n, _ in model.named_parameters()}
    # A stream's own parameters are its encoder's to read, through `embed`.
    streams = {path for path, m in model.named_modules() if type(m).__name__ == "ViT"}
    unused = MODELS[name].unused or ("-",)
    if unused[0] == "encoder.image.norm":  # `intermediates` are read, which is no `forward`
        owners.remove("encoder")
    assert not [n for n in owners - called - streams if not n.startswith(unused)]
    silent = [n for n, p in model.named_parameters() if p.grad is None]
    assert not [n for n in silent if not n.startswith(unused)]


@each
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*quantiz.*:UserWarning")
def test_dynamic_quantization_runs(name: str) -> None:
    model, given = MODELS[name].build().eval(), MODELS[name].inputs(2)
    quantized = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    linears = sum(isinstance(m, nn.Linear) for m in model.modules())
    replaced = [m for m in quantized.modules() if "quantized" in type(m).__module__]
    assert linears and len([m for m in replaced if hasattr(m, "scale")]) == linears
    for mine, exact in zip(tensors(quantized(**given)), tensors(model(**given)), strict=True):
        if exact.is_floating_point():
            assert_close(mine, exact, rtol=0.2, atol=0.2)

"""What only a GPU can show: compiled steps, CUDA graphs, half precision, kernels of attention.

`AVBLOCKS_TEST_DEVICE=cpu python -m pytest -m cuda` rehearses these tests on the CPU.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters
from torch.testing import assert_close

from avblocks import AVMAE, RandomMask, av_mae, av_vit
from avblocks.nn import attend

pytestmark = [
    pytest.mark.cuda,
    # torch recommends TF32 where it is off.
    pytest.mark.filterwarnings("ignore:TensorFloat32"),
]


@pytest.fixture(autouse=True)
def full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions of float32 in float32: by default they are in TF32 on a GPU."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def make(device: str) -> AVMAE:
    sizes = {"image_size": 32, "audio_size": (32, 48), "patch": 8, "num_tokens": (2, 2, 2)}
    encoder = av_vit(64, depth=1, num_heads=4, **sizes)
    return av_mae(encoder, dim=32, depth=1, num_heads=2).to(device)


def inputs(device: str, seed: int = 0) -> dict[str, Any]:
    random = torch.Generator(device).manual_seed(seed)
    options: dict[str, Any] = {"device": device, "generator": random}
    return {
        "image": torch.randn(4, 3, 32, 32, **options),
        "audio": torch.randn(4, 1, 32, 48, **options),
        "image_mask": RandomMask(0.75)((4, 4), batch=4, generator=random),
        "audio_mask": RandomMask(0.8)((4, 6), batch=4, generator=random),
    }


def gradients(model: AVMAE) -> list[Tensor]:
    found = [torch.zeros(()) if w.grad is None else w.grad.clone() for w in model.parameters()]
    model.zero_grad()
    return found


@pytest.mark.usefixtures("unchecked")
def test_a_compiled_step_is_the_eager_one(device: str) -> None:
    model, batch = make(device), inputs(device)
    loss = model(**batch).loss
    loss.backward()
    wanted = gradients(model)
    # The CPU's own kernels would be another test, and take minutes to compile.
    model.compile(fullgraph=True, backend="inductor" if device == "cuda" else "aot_eager")
    compiled = model(**batch).loss
    compiled.backward()
    assert_close(compiled, loss, rtol=1e-4, atol=0)
    assert_close(gradients(model), wanted, rtol=1e-3, atol=1e-5)
    torch._dynamo.reset()


@pytest.mark.usefixtures("unchecked")
def test_steps_replayed_from_graphs_are_the_eager_ones(device: str) -> None:
    if device != "cuda":
        pytest.skip("needs a GPU: CUDA graphs")
    model = make(device)
    batches = [inputs(device, seed) for seed in range(5)]
    wanted = []
    for batch in batches:
        loss = model(**batch).loss
        loss.backward()
        wanted.append((loss.item(), gradients(model)))
    counters.clear()
    model.compile(mode="reduce-overhead")
    for batch, (loss, wanted_gradients) in zip(batches, wanted, strict=True):
        torch.compiler.cudagraph_mark_step_begin()
        found = model(**batch).loss
        found.backward()
        assert found.item() == pytest.approx(loss, rel=1e-4)
        assert_close(gradients(model), wanted_gradients, rtol=1e-3, atol=1e-5)
    assert counters["inductor"]["cudagraph_skips"] == 0
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("dtype", "of_loss", "of_gradient"),
    [(torch.bfloat16, 5e-3, 3e-2), (torch.float16, 1e-3, 5e-3)],
    ids=str,
)
def test_half_precision_is_near_float32(
    dtype: torch.dtype, of_loss: float, of_gradient: float, device: str
) -> None:
    model, batch = make(device), inputs(device)
    exact = model(**batch).loss
    exact.backward()
    wanted = torch.cat([g.flatten() for g in gradients(model) if g.ndim])
    with torch.autocast(device, dtype):
        half = model(**batch).loss
    (1024 * half).backward()  # small gradients would be zero in float16
    found = torch.cat([g.flatten() for g in gradients(model) if g.ndim]) / 1024
    assert half.item() == pytest.approx(exact.item(), rel=of_loss)
    assert 0 < (found - wanted).norm() < of_gradient * wanted.norm()


ATTENTIONS = {  # queries, keys, width of a head's keys, width of its values
    "values wider than keys": (16, 8, 16, 64),
    "heads of 16": (32, 49, 16, 16),
    "as wide": (49, 81, 64, 64),
    "one query": (1, 96, 64, 64),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("sizes", ATTENTIONS.values(), ids=ATTENTIONS)
@pytest.mark.parametrize("expanded", [False, True], ids=["of each", "expanded"])
def test_attention_is_the_formula(
    sizes: tuple[int, int, int, int], expanded: bool, dtype: torch.dtype, device: str
) -> None:
    n_q, n_k, width, values = sizes
    shapes = (1 if expanded else 3, n_q, 2 * width), (3, n_k, 2 * width), (3, n_k, 2 * values)
    given = [torch.randn(shape, device=device).to(dtype).requires_grad_() for shape in shapes]
    exact = [x.detach().double().requires_grad_() for x in given]

    def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend(q.expand(3, -1, -1), k, v, num_heads=2, scale=0.125)

    pairs = zip(both(fused, given), both(written_out, exact), strict=True)
    tolerance = 5e-5 if dtype == torch.float32 else 2e-2
    for found, wanted in pairs:
        assert (found.double() - wanted).norm() < tolerance * wanted.norm()


def both(function: Callable[..., Tensor], given: list[Tensor]) -> list[Tensor]:
    """What a function returns, and the gradients of the sum of its squares."""
    out = function(*given)
    return [out, *torch.autograd.grad(out.square().sum(), given)]


def written_out(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The heads one by one, from the definition."""
    heads = [x.chunk(2, dim=-1) for x in (q, k, v)]
    read = [
        (0.125 * one @ two.transpose(-2, -1)).softmax(dim=-1) @ three
        for one, two, three in zip(*heads, strict=True)
    ]
    return torch.cat(read, dim=-1)

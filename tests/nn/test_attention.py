from pathlib import Path

import pytest
import slow
import torch
from hypothesis import given
from hypothesis import strategies as st
from slow import assert_same, randomize
from torch import Tensor
from torch.testing import assert_close

from avblocks import Attention, CrossAttention
from avblocks.nn import attend


def tokens(b: int, n: int, d: int) -> Tensor:
    return torch.randn(b, n, d, dtype=torch.float64, requires_grad=True)


@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(1, 3))
def test_attend_is_the_formula(b: int, n_q: int, n_k: int, heads: int) -> None:
    q, k, v = tokens(b, n_q, 2 * heads), tokens(b, n_k, 2 * heads), tokens(b, n_k, 5 * heads)
    plain = slow.attention(q, k, v, heads=heads, scale=2**-0.5)
    scaled = slow.attention(q, k, v, heads=heads, scale=0.3)
    assert_same(attend(q, k, v, num_heads=heads), plain, [q, k, v])
    assert_same(attend(q, k, v, num_heads=heads, scale=0.3), scaled, [q, k, v])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_trained_in_float32_on_a_cpu(autocast: bool, dtype: torch.dtype) -> None:
    given = [tokens(4, n, 32).detach().to(dtype).requires_grad_() for n in (24, 40, 40)]
    exact = [x.detach().double().requires_grad_() for x in given]
    read = slow.attention(*exact, heads=2, scale=0.25)
    with torch.autocast("cpu", dtype, enabled=autocast):
        out = attend(*given, num_heads=2)
    weight = torch.randn(out.shape).to(dtype)
    out.backward(weight)
    read.backward(weight.double())
    rounded = {"rtol": torch.finfo(dtype).eps, "atol": 1e-6}  # once, at the end
    assert_close(out.double(), read, **rounded)
    for x, y in zip(given, exact, strict=True):
        assert_close(x.grad.double(), y.grad, **rounded)


def test_mixed_types_are_refused() -> None:
    q, k = torch.zeros(1, 2, 4).bfloat16(), torch.zeros(1, 2, 4)
    with pytest.raises(RuntimeError, match="dtype"):
        attend(q, k, k, num_heads=1)


@given(st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_context_is_the_tail_of_attention_over_both(n: int, n_c: int, bias: bool) -> None:
    attn = randomize(Attention(12, num_heads=3, qkv_bias=bias))
    x, context = tokens(2, n, 12), tokens(2, n_c, 12)
    both = slow.self_attention(attn, torch.cat((context, x), dim=1))[:, n_c:]
    assert_same(attn(x, context=context), both, [x, context, *attn.parameters()])
    assert_same(attn(x), slow.self_attention(attn, x), [x, *attn.parameters()])


@given(st.integers(1, 5), st.integers(1, 5), st.sampled_from((0.25, 0.5, 1.0)))
def test_cross_attention_is_the_formula(n: int, n_s: int, ratio: float) -> None:
    attn = randomize(CrossAttention(16, num_heads=2, attn_ratio=ratio))
    x, source = tokens(2, n, 16), tokens(2, n_s, 16)
    wanted = slow.cross_attention(attn, x, source)
    assert_same(attn(x, source), wanted, [x, source, *attn.parameters()])
    assert attn.q.out_features == int(16 * ratio)


@pytest.mark.parametrize("bias", [True, False])
def test_names_are_timms(bias: bool) -> None:
    own = set(Attention(8, num_heads=2, qkv_bias=bias).state_dict())
    cross = set(CrossAttention(8, num_heads=2, qkv_bias=bias).state_dict())
    always = {"proj.weight", "proj.bias"}
    biases = {"q.bias", "kv.bias"} if bias else set()
    assert own == cross == always | {"q.weight", "kv.weight"} | biases


def test_order_of_batch_tokens_and_context() -> None:
    attn, x, context = randomize(Attention(8, num_heads=2)), tokens(3, 5, 8), tokens(3, 4, 8)
    batch, order, others = torch.randperm(3), torch.randperm(5), torch.randperm(4)
    out = attn(x, context=context)
    assert_close(attn(x[batch], context=context[batch]), out[batch])
    assert_close(attn(x[:, order], context=context[:, others]), out[:, order])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("x", "context"),
    [
        ((2, 5, 6), None),
        ((2, 5, 8), (1, 4, 8)),
        ((1, 5, 8), (2, 4, 8)),
        ((2, 5, 8), (2, 4, 6)),
        ((2, 5, 8), (4, 8)),
        ((5, 8), (2, 4, 8)),
        ((5, 8), (4, 8)),
    ],
)
@pytest.mark.parametrize("num_heads", [1, 2])
def test_misfits(x: tuple[int, ...], context: tuple[int, ...] | None, num_heads: int) -> None:
    attn = Attention(8, num_heads=num_heads)
    with pytest.raises((ValueError, RuntimeError)):
        attn(torch.zeros(x), context=None if context is None else torch.zeros(context))
    if context is not None:
        across = CrossAttention(8, num_heads=num_heads)
        for read in (across, across.attention):
            with pytest.raises((ValueError, RuntimeError)):
                read(torch.zeros(x), torch.zeros(context))


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.filterwarnings("ignore")  # of the exporter and what it imports
@pytest.mark.parametrize("opset", [18, 23])
def test_padded_keys_in_onnx(opset: int, tmp_path: Path) -> None:
    import onnxruntime

    class Reader(torch.nn.Module):
        def forward(self, q: Tensor, k: Tensor, valid: Tensor) -> Tensor:
            return attend(q, k, k, num_heads=2, valid=valid)

    valid = torch.tensor([[True, True, False], [True, False, False], [False, False, False]])
    given = (torch.randn(3, 5, 8), torch.randn(3, 3, 8), valid)
    written = torch.onnx.export(Reader(), given, dynamo=True, opset_version=opset, verbose=False)
    written.save(tmp_path / "reader.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "reader.onnx")
    names = [node.name for node in session.get_inputs()]
    found = session.run(None, dict(zip(names, (x.numpy() for x in given), strict=True)))[0]
    assert_close(torch.from_numpy(found), Reader()(*given), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("num_heads", [1, 2])
def test_tokens_without_a_batch(num_heads: int) -> None:
    attn, x = randomize(Attention(8, num_heads=num_heads)), tokens(1, 5, 8)
    assert_close(attn(x[0]), attn(x)[0])

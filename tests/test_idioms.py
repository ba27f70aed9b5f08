"""What people do with PyTorch models, done with every public model."""

import copy
import inspect
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from public_models import MODELS, clips, encoder, masked, tensors, total
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.parallel import scatter_gather
from torch.testing import assert_close
from torch.utils._pytree import tree_leaves, tree_map_only

import avblocks
from avblocks import AVTokens, Mask, av_mae
from avblocks.heads import Localizer
from avblocks.nn import SinCosPosition

each = pytest.mark.parametrize("name", MODELS)
QUICK = ("vit", "factorized")
heavy = pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in MODELS]
)
missing = pytest.mark.parametrize(
    "name",
    [
        n if n in QUICK else pytest.param(n, marks=pytest.mark.slow)
        for n in MODELS
        if MODELS[n].missing
    ],
)


def made(name: str, *, batch: int = 2) -> tuple[nn.Module, dict[str, Any]]:
    return MODELS[name].build().eval(), MODELS[name].inputs(batch)


def assert_equal(one: Any, other: Any, **tolerance: float) -> None:
    for mine, theirs in zip(tensors(one), tensors(other), strict=True):
        assert_close(mine, theirs, **tolerance)


def moved(given: dict[str, Any], function: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """Inputs with a function applied to the float tensors."""
    return {
        k: function(x) if isinstance(x, Tensor) and x.is_floating_point() else x
        for k, x in given.items()
    }


@each
def test_copies(name: str) -> None:
    model, given = made(name)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert_equal(twin(**given), model(**given))
        (twin_parameter, *_), (own, *_) = twin.parameters(), model.parameters()
        assert twin_parameter.data_ptr() != own.data_ptr()


@each
def test_a_state_dict_is_all_there_is(name: str) -> None:
    torch.manual_seed(1)
    model, given = made(name)
    other = MODELS[name].build().eval()
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert_equal(other(**given), model(**given), rtol=0, atol=0)


@each
@pytest.mark.parametrize("how", ["assign", "to_empty"])
def test_built_on_meta(name: str, how: str) -> None:
    model, given = made(name)
    with torch.device("meta"):
        empty = MODELS[name].build().eval()
    assert {p.device.type for p in empty.parameters()} == {"meta"}
    if how == "to_empty":
        empty = empty.to_empty(device="cpu")
        for buffer in empty.buffers():
            buffer.fill_(7)  # whatever the memory held
    empty.load_state_dict(model.state_dict(), assign=how == "assign")
    assert_equal(empty(**given), model(**given), rtol=0, atol=0)


@heavy
@pytest.mark.usefixtures("unchecked")
def test_few_graphs_over_batch_sizes(name: str) -> None:
    """At most two over six batch sizes, and one for size 1; each one graph without a break."""
    model, _ = made(name)
    graphs: list[int] = []

    def count(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., Any]:
        graphs.append(1)
        return graph.forward

    compiled = torch.compile(model, fullgraph=True, backend=count)
    for batch in (2, 3, 5, 4, 7, 6):
        given = MODELS[name].inputs(batch)
        assert_equal(compiled(**given), model(**given))
    assert len(graphs) <= 2
    given = MODELS[name].inputs(1)
    assert_equal(compiled(**given), model(**given))
    assert len(graphs) <= 3
    torch._dynamo.reset()


@missing
@pytest.mark.usefixtures("unchecked")
def test_compiles_without_a_modality(name: str) -> None:
    model, given = made(name)
    given |= MODELS[name].missing or {}
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    assert_equal(compiled(**given), model(**given))
    torch._dynamo.reset()


def dynamic(given: dict[str, Any]) -> dict[str, Any]:
    """The same nesting, with the first axis of each tensor a batch of any size."""
    batch = torch.export.Dim("batch", min=2, max=64)
    return {
        k: [{0: batch}, {0: batch}] if isinstance(x, Mask) else {0: batch} for k, x in given.items()
    }


@heavy
@pytest.mark.usefixtures("unchecked")
def test_exports_for_any_batch(name: str, tmp_path: Path) -> None:
    model, given = made(name)
    program = torch.export.export(model, (), given, dynamic_shapes=dynamic(given))
    torch.export.save(program, tmp_path / "model.pt2")
    other = MODELS[name].inputs(5)
    for again in (program, torch.export.load(tmp_path / "model.pt2")):
        assert_equal(again.module()(**other), model(**other))


@each
@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.filterwarnings("ignore")  # of the exporter and what it imports
def test_exports_to_onnx(name: str, tmp_path: Path) -> None:
    import onnxruntime

    model, given = made(name)
    torch.onnx.export(model, (), tmp_path / "model.onnx", **onnx_options(given))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    names = [node.name for node in session.get_inputs()]
    for batch in (2, 5):
        given = MODELS[name].inputs(batch)
        values = [x.numpy() for x in tree_leaves(list(given.values()))]
        outputs = session.run(None, dict(zip(names, values, strict=True)))
        for found, wanted in zip(outputs, tensors(model(**given)), strict=True):
            assert_close(torch.from_numpy(found), wanted.detach(), rtol=1e-4, atol=1e-5)


def onnx_options(given: dict[str, Any]) -> dict[str, Any]:
    return {"kwargs": given, "dynamic_shapes": dynamic(given), "dynamo": True, "verbose": False}


@each
def test_functional_call(name: str) -> None:
    model, given = made(name)
    changed = {n: p + 0.1 for n, p in model.named_parameters()}
    out = functional_call(model, changed, kwargs=given)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1
    assert_equal(out, model(**given))


@each
@pytest.mark.usefixtures("unchecked")
@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of the fused CPU kernel
def test_gradients_of_each_sample(name: str) -> None:
    model, given = made(name)
    weights = dict(model.named_parameters())

    def loss(weights: dict[str, Tensor], one: dict[str, Any]) -> Tensor:
        batch = tree_map_only(Tensor, lambda x: x[None], one)
        return total(functional_call(model, weights, kwargs=batch))

    each_sample = vmap(grad(loss), in_dims=(None, 0))(weights, given)
    for index in range(2):
        alone = tree_map_only(Tensor, lambda x, i=index: x[i], given)
        for key, value in grad(loss)(weights, alone).items():
            assert_close(each_sample[key][index], value, rtol=1e-3, atol=1e-4)


@each
def test_accumulated_gradients_are_those_of_the_whole_batch(name: str) -> None:
    model, given = made(name, batch=4)
    halves = [{k: _rows(x, slice(start, start + 2)) for k, x in given.items()} for start in (0, 2)]
    if isinstance(getattr(model, "head", None), Localizer):
        model(**given)  # its batch norm is in evaluation mode

    def mean(out: Any) -> Tensor:
        return sum((x.float().square().mean() for x in tensors(out)), start=torch.zeros(()))

    mean(model(**given)).backward()
    whole = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    losses = name == "masked autoencoder"  # means over the batch, squared above
    for half in halves:
        out = model(**half)
        (mean([out.pred_image, out.pred_audio] if losses else out) / 2).backward()
    if not losses:
        for key, value in whole.items():
            grad = model.get_parameter(key).grad
            assert_close(grad, value, rtol=1e-3, atol=1e-5)


def _rows(x: Any, rows: slice) -> Any:
    return Mask(x.ids_keep[rows], x.ids_masked[rows]) if isinstance(x, Mask) else x[rows]


@each
def test_moving_averages_of_the_weights(name: str) -> None:
    model, given = made(name)
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.5)
    )
    average.update_parameters(model)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    torch.optim.SGD(model.parameters(), lr=0.1).zero_grad()
    total(model(**given)).backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    average.update_parameters(model)
    for key, value in model.named_parameters():
        assert_close(average.module.get_parameter(key), (before[key] + value) / 2)
    assert tensors(average(**given))


@each
def test_channels_last(name: str) -> None:
    model, given = made(name)
    videos = any(isinstance(x, Tensor) and x.ndim == 5 for x in given.values())
    layout = torch.channels_last_3d if videos else torch.channels_last
    last = moved(given, lambda x: x.to(memory_format=layout))
    wanted = model(**given)
    assert_equal(model.to(memory_format=layout)(**last), wanted, rtol=1e-4, atol=1e-5)


@each
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_number_formats(name: str, dtype: torch.dtype) -> None:
    model, given = made(name)
    wanted, model = model(**given), model.to(dtype)
    out = tensors(model(**moved(given, lambda x: x.to(dtype))))
    assert {x.dtype for x in out} == {dtype}
    tolerance = 0.2 if dtype is torch.bfloat16 else 1e-3
    for mine, own in zip(out, tensors(wanted), strict=True):
        assert_close(mine.float(), own, rtol=tolerance, atol=tolerance)


@each
def test_fixed_positions_of_another_format(name: str) -> None:
    """FSDP casts parameters and no buffers, and ``torch.set_default_dtype`` no constants."""
    model, given = made(name)
    model, given = model.bfloat16(), moved(given, Tensor.bfloat16)
    wanted = model(**given)
    for module in model.modules():
        if isinstance(module, SinCosPosition):
            module.table = module.formula(module.dim, module.grid)
            assert module.table.dtype is torch.float32
    assert_equal(model(**given), wanted)


@each
def test_autocast(name: str) -> None:
    model, given = made(name)
    with torch.autocast("cpu", torch.bfloat16):
        out = model(**given)
    for mine, own in zip(tensors(out), tensors(model(**given)), strict=True):
        assert_close(mine.float(), own, rtol=0.2, atol=0.2)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["vit", "factorized", "masked autoencoder"])
def test_inputs_of_another_number_format(name: str) -> None:
    """Converted where that keeps the values, refused in one line where it does not."""
    model, given = made(name)
    argument = "input" if name == "vit" else "image"
    with torch.no_grad():
        halves = moved(given, lambda x: x.bfloat16())
        assert_equal(model(**halves), model(**moved(halves, lambda x: x.float())))
        doubles = moved(given, lambda x: x.double())
        with pytest.raises(ValueError, match=f"{argument} is torch.float64 .* torch.float32"):
            model(**doubles)
        pixels = moved(given, lambda x: x.to(torch.uint8))
        with pytest.raises(ValueError, match=f"{argument} is torch.uint8 .* torch.float32: scale"):
            model(**pixels)
        with pytest.raises(ValueError, match=f"{argument} is torch.float32 .* torch.bfloat16"):
            model.bfloat16()(**given)


def test_records_of_tensors_move_and_iterate() -> None:
    out = encoder()(**clips(2), audio_valid=torch.tensor([True, False]))
    assert [name for name, _ in out][:3] == ["image", "audio", "fusion"]
    assert dict(out)["fusion"] is out.fusion
    half = out.to(torch.bfloat16)
    assert half.image.dtype is torch.bfloat16 and half.audio_valid.dtype is torch.bool
    assert half.image_valid is None and isinstance(half, AVTokens)
    assert not out.detach().fusion.requires_grad and out.cpu().fusion.device.type == "cpu"
    mae = av_mae(encoder(), dim=16, depth=1, num_heads=2)(**masked(2))
    assert not mae.detach().loss.requires_grad and dict(mae)["loss_image"] is mae.loss_image


def test_data_parallel_gathers_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own code, on the CPU: what copies tensors between GPUs is a concatenation here."""

    class Concatenation:
        @staticmethod
        def apply(target: str, dim: int, *tensors: Tensor) -> Tensor:
            return torch.cat(
                [tensor.unsqueeze(0) if tensor.ndim == 0 else tensor for tensor in tensors]
            )

    monkeypatch.setattr(scatter_gather, "Gather", Concatenation)
    model, given = encoder().eval(), clips(3)
    parts = [model(**moved(given, lambda x, rows=rows: x[rows])) for rows in ([0, 1], [2])]
    joined, whole = scatter_gather.gather(parts, "cpu"), model(**given)
    assert isinstance(joined, AVTokens) and joined.image_valid is None
    for name in ("image", "audio", "fusion"):
        assert_close(getattr(joined, name), getattr(whole, name), rtol=1e-5, atol=1e-6)


BUILDERS = [f for n, f in vars(avblocks).items() if n.startswith(("vit", "av_")) and callable(f)]


@pytest.mark.parametrize("build", BUILDERS, ids=lambda f: f.__name__)
def test_builders_are_functions_with_signatures(build: Callable[..., nn.Module]) -> None:
    assert inspect.isfunction(build) and build.__doc__
    parameters = inspect.signature(build).parameters
    assert {"device", "dtype"} <= set(parameters)
    assert not [p for p in parameters.values() if p.kind is p.VAR_KEYWORD]
    if build is av_mae:
        model = build(encoder(), device="meta", dtype=torch.bfloat16)
        assert model.image_decoder.pred.weight.is_meta
    else:
        sizes = (
            {}
            if "depth" in parameters and parameters["depth"].default is not inspect._empty
            else {"dim": 8, "num_heads": 2}
        )
        model = build(**sizes, depth=1, device="meta", dtype=torch.bfloat16)
        assert all(p.is_meta for p in model.parameters())
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}

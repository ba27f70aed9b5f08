"""A step never waits for the device: nothing on the host asks what a tensor's values are.

The forward passes run on a GPU that is not there (tensors without values): whatever needs a value
raises, and so does mixing devices by mistake. Forward and backward pass and optimiser then run on
the CPU under an eye on the operations that would wait.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import engine_toy
import pytest
import torch
from tiny_model import TINY
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import AdamW
from torch.utils._python_dispatch import TorchDispatchMode

from avblocks import RandomMask
from avblocks.data import AVBatch, FrontEnd
from avblocks.heads import classifier
from avblocks.tasks.classify import Classification
from avblocks.tasks.pretrain import Pretraining
from recipes.common.data import Data
from recipes.common.model import build_autoencoder, build_encoder
from recipes.engine import loop as _engine_loop
from recipes.engine import readings as _engine_readings
from recipes.engine.log import read_rows

DATA = Data(name="scenes", seconds=0.5, size=32, mels=32)
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "bincount"}


class NoWaiting(TorchDispatchMode):
    """Raises at what makes the host wait: a value that is read or that is copied while it waits,
    a size that hangs on values."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        home = isinstance(out, Tensor) and out.device.type == "cpu"
        comes = name == "_to_copy" and on_gpu(out) and not on_gpu(args[0]) and args[0].ndim
        blocks = comes and not (kwargs or {}).get("non_blocking")
        if name in WAITS or blocks or (home and any(on_gpu(x) for x in args)):
            raise AssertionError(f"{name} waits for the device")
        return out


def on_gpu(value: object) -> bool:
    return isinstance(value, Tensor) and value.device.type == "cuda"


def batch() -> AVBatch:
    return AVBatch(
        image=torch.randint(256, (2, 3, 50, 60), dtype=torch.uint8),
        audio=torch.randn(2, 8000),
        flip=torch.tensor([True, False]),
        gain=torch.randn(2),
        target=torch.eye(5)[:2],
        seeds=(1, 2),
        paths=("a.mp4", "b.mp4"),
        crop=torch.tensor([[3.0, 4.0, 40.0, 41.0], [0.0, 0.0, 50.0, 50.0]]),
        size=32,
    )


def pretraining() -> nn.Module:
    return Pretraining(
        build_autoencoder(TINY, DATA),
        front_end=FrontEnd(DATA.format),
        image_mask=RandomMask(0.75),
        audio_mask=RandomMask(0.8),
    )


def classification() -> nn.Module:
    return Classification(
        build_encoder(TINY, DATA, drop_path=0.5),
        classifier(TINY.dim, num_classes=5, batch_norm=False),
        front_end=FrontEnd(DATA.format),
        frozen=False,
        mixup=1.0,
        smoothing=0.1,
        frequency=torch.full((5,), 0.2),
    )


def to_fake_gpu(model: nn.Module) -> None:
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(torch.empty_like(parameter, device="cuda")))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty_like(buffer, device="cuda"))


models = pytest.mark.parametrize("make", [pretraining, classification])


@pytest.mark.usefixtures("unchecked")
@models
def test_a_forward_pass_asks_for_no_value(
    make: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make()
    monkeypatch.setattr(Tensor, "pin_memory", lambda x: x)  # which takes a GPU that is there
    with FakeTensorMode(allow_non_fake_inputs=True):
        to_fake_gpu(model)
        given = batch().to("cuda")
        with NoWaiting():
            losses = model(given)
        assert all(loss.device.type == "cuda" for loss in losses.values())


@models
def test_a_step_asks_for_no_value(make: Callable[[], nn.Module]) -> None:
    model = make()
    optimizer = AdamW(model.parameters(), fused=True)
    given, losses = batch(), []
    for _ in range(2):
        with NoWaiting():
            losses.append(model(given)["loss"])
            losses[-1].backward()
            optimizer.step()
            optimizer.zero_grad()
    assert losses[0].isfinite() and losses[0] != losses[1]


@pytest.mark.cuda
# torch says so, once, where it is asked to look.
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@models
def test_a_step_on_a_gpu_waits_for_nothing(make: Callable[[], nn.Module], device: str) -> None:
    if device != "cuda":
        pytest.skip("needs a GPU: nothing waits for the CPU")
    model = make().cuda()
    optimizer = AdamW(model.parameters(), fused=True)
    given = batch().to("cuda")
    for mode in ("default", "error"):  # the first step allocates
        torch.cuda.set_sync_debug_mode(mode)
        try:
            loss = model(given)["loss"]
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert loss.isfinite()


def test_the_engine_asks_for_no_value_of_the_step_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a device that is read late; on the CPU it is not, as nothing is waited for there."""
    asked, begun = [], []
    home = _engine_readings._home

    def watched(*values: Tensor) -> Callable[[], list[Any]]:
        read, step = home(*values), len(begun)

        def noted() -> list[Any]:
            asked.append((step, len(begun)))
            return read()

        return noted

    def begin(batch: engine_toy.Batch) -> None:
        if not begun:  # Lightning looks at a few values before the first batch
            steps.enter_context(NoWaiting())
        begun.append(batch)

    monkeypatch.setattr(_engine_readings, "_home", watched)
    monkeypatch.setattr(_engine_loop, "LATE", {"cpu"})
    folder = tmp_path / "late"
    settings = {"evaluates": False, "clip_grad": 1.0, "length": 60, "save_every": 7}
    with ExitStack() as steps:  # of one epoch, as a new one draws a number for its workers
        engine_toy.train(folder, log=begin, max_steps=15, **settings)
    at_once = {7, 14, 15}  # where the run saves
    assert asked == [(step, step if step in at_once else step + 1) for step in range(1, 16)]
    monkeypatch.undo()
    engine_toy.train(tmp_path / "plain", max_steps=15, **settings)
    assert engine_toy.losses(folder) == engine_toy.losses(tmp_path / "plain")


def test_a_late_reading_tells_the_speed_of_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device takes 50 ms a step, the host 1 ms to ask for it, and a clock of our own counts."""
    clock = SimpleNamespace(now=1.0, device=0.0)
    home = _engine_readings._home

    def slow(*values: Tensor) -> Callable[[], list[Any]]:
        ready = clock.device = max(clock.now, clock.device) + 0.05

        def read() -> list[Any]:
            clock.now = max(clock.now, ready)
            return home(*values)()

        return read

    def ask(batch: engine_toy.Batch) -> None:
        clock.now += 0.001

    monkeypatch.setattr(_engine_readings, "_home", slow)
    fake = SimpleNamespace(perf_counter=lambda: clock.now, process_time=lambda: clock.now)
    monkeypatch.setattr(_engine_loop, "time", fake)
    for late in (set(), {"cpu"}):
        monkeypatch.setattr(_engine_loop, "LATE", late)
        folder = tmp_path / str(len(late))
        engine_toy.train(folder, log=ask, evaluates=False, length=80, max_steps=20)
        speeds = [row["samples_per_s"] for row in read_rows(folder / "metrics.csv")]
        assert median(speeds) == pytest.approx(engine_toy.BATCH / 0.05, rel=0.05)


@pytest.mark.parametrize(
    "ask",
    [
        float,
        Tensor.tolist,
        bool,
        Tensor.cpu,
        lambda x: x[x > 0],
        lambda x: torch.unique(x),
        lambda x: torch.zeros(2).to(x),
    ],
)
def test_what_waits_is_noticed(ask: Callable[[Tensor], object]) -> None:
    # torch says it in many words, each of its own kind.
    told = pytest.raises(Exception, match=r"waits|_local_scalar|tolist|dynamic|unique|nonzero")
    with FakeTensorMode(allow_non_fake_inputs=True):
        loss = torch.ones(1, device="cuda")
        with told, NoWaiting():
            ask(loss)

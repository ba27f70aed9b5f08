"""What all tests share: small hypothesis runs, a fixed seed, a way to switch type checks off."""

import os
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass

import pytest
import quick_checks
import torch
from fresh import Fresh
from hypothesis import settings
from jaxtyping import config

quick_checks.install()
for form in ("mae", "small", "classify", "separate", "segment"):
    pytest.register_assert_rewrite(f"parity_{form}")
settings.register_profile("small", max_examples=15, deadline=None, derandomize=True)
settings.load_profile("small")
# Tiny tensors are fastest on one thread, above all where pytest-xdist or others share the cores.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed() -> None:
    """Make every test repeat itself."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def fresh() -> Iterator[Fresh]:
    """Run code where torch is imported and nothing of ours."""
    server = Fresh()
    yield server
    server.close()


@pytest.fixture
def device() -> str:
    """A GPU, for tests marked `cuda`; they are rehearsed on the CPU with AVBLOCKS_TEST_DEVICE=cpu.

    The marks of what has no meaning on the CPU, such as waits for the device, skip it there too.
    """
    wanted = os.environ.get("AVBLOCKS_TEST_DEVICE", "cuda")
    if wanted == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    return wanted


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch jaxtyping off: for tests that compile, or that want the source's own errors."""
    torch._dynamo.reset()  # What other tests have compiled counts towards a limit.
    monkeypatch.setattr(config, "jaxtyping_disable", True)
    # A wrapped dataclass cannot be traced even so: it gets its own `__init__` back.
    modules = [module for name, module in sys.modules.items() if name.startswith("avblocks")]
    for thing in [thing for module in modules for thing in vars(module).values()]:
        if isinstance(thing, type) and is_dataclass(thing):
            plain = getattr(thing.__init__, "__wrapped__", thing.__init__)
            monkeypatch.setattr(thing, "__init__", plain)

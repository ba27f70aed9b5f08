"""Toy tensors train fastest on one thread; sums may differ in the last bit on another number."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from toy_runs import make_root


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def toy_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenes that toy runs train on, made once."""
    return make_root(tmp_path_factory.mktemp("scenes"))

"""Toy tensors train fastest on one thread; sums may differ in the last bit on another number."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from toy_runs import ToyRun, make_root, short_filters, train


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def toy_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenes that toy runs train on, made once; nothing is written beside them."""
    return make_root(tmp_path_factory.mktemp("scenes"))


@pytest.fixture(scope="session")
def toy_run(toy_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ToyRun]:
    """Train a recipe for two steps, once in all tests; who changes its folder copies it before."""

    @cache
    def trained(name: str) -> ToyRun:
        with short_filters():
            return train(name, toy_scenes, tmp_path_factory.mktemp(name))

    return trained

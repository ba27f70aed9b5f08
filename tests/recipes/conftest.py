"""Toy tensors train fastest on one thread; sums may differ in the last bit on another number."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from matplotlib.figure import Figure
from toy_runs import ToyRun, make_root, short_filters, train


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


_DRAWN: dict[tuple[str, int], bytes] = {}


@pytest.fixture(autouse=True, scope="module")
def drawn_once() -> Iterator[None]:
    """Draw each kind of picture once, and write those bytes for all others of its kind.

    A kind is the file's name and the number of its axes. To lay out and draw a loss curve takes
    three quarters of the time of a toy run.
    """
    draw = Figure.savefig

    def savefig(figure: Figure, path: Path, **options: Any) -> None:
        kind = Path(path).name, len(figure.axes)
        if kind not in _DRAWN:
            draw(figure, path, **options)
            _DRAWN[kind] = Path(path).read_bytes()
        Path(path).write_bytes(_DRAWN[kind])

    with patch.object(Figure, "savefig", savefig):
        yield


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

"""Other people's models, number for number: every file of golden tensors in a folder is compared.

The files are those of `tests/golden/zoo`, or of the folder in the environment variable
AVBLOCKS_ZOO. `tests/zoo/NAME.py` has a function `compare(tensors, config)` for the files whose
names begin with NAME: it builds the model of the file's sizes, loads the published names, and
yields the name of each tensor, ours and the tolerance (rtol, atol).
"""

import json
import os
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor
from torch.testing import assert_close

FOLDER = Path(os.environ.get("AVBLOCKS_ZOO") or Path(__file__).parent / "golden/zoo")
FILES = sorted(FOLDER.glob("*.safetensors"))
ZOO = Path(__file__).parent / "zoo"
MODELS = sorted(path.stem for path in ZOO.glob("[a-z]*.py"))
USUAL = (1e-4, 1e-5)
Compare = Callable[[dict[str, Tensor], dict[str, Any]], Iterator[tuple[str, Tensor, float, float]]]


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a file and its configuration."""
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["config"])
        return {name: file.get_tensor(name) for name in file.keys()}, config  # noqa: SIM118


def comparison(path: Path) -> Compare:
    """The function for a file: that of the longest name that the file's name begins with."""
    fitting = [name for name in MODELS if path.stem.startswith(name)]
    assert fitting, f"no tests/zoo/NAME.py for {path.name}: there are {MODELS}"
    # By its path: pytest may have made an empty package of the folder's name.
    name = max(fitting, key=len)
    spec = spec_from_file_location(f"zoo_parity_{name}", ZOO / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.compare


def mismatches(tensors: dict[str, Tensor], config: dict[str, Any], compare: Compare) -> list[str]:
    """Names of the compared tensors that differ."""
    wrong = []
    for name, ours, rtol, atol in compare(tensors, config):
        try:
            assert_close(ours, tensors[name], rtol=rtol, atol=atol)
        except AssertionError as error:
            wrong.append(f"{name}: {error}")
    return wrong


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_is_the_published_model(path: Path) -> None:
    tensors, config = read(path)
    compare = comparison(path)
    names = {name for name, *_ in compare(tensors, config)}
    left = [
        n
        for n in tensors
        if n not in names and not n.startswith(("input", "mask")) and "state." not in n
    ]
    assert names and not left, f"not compared: {left}"
    assert mismatches(tensors, config, compare) == []


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_spoiled_tensor_is_noticed(path: Path) -> None:
    tensors, config = read(path)
    found = list(comparison(path)(tensors, config))
    for name, ours, rtol, atol in found:
        if not bool(tensors[name].any()):
            continue
        spoiled = tensors[name] * 1.01
        assert not torch.allclose(ours, spoiled.to(ours.dtype), rtol=rtol, atol=atol), name

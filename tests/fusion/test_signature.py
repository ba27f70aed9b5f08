"""The call signature of a fusion is written once for callers, and once for the package."""

import ast
import inspect
from pathlib import Path

import pytest

import avblocks
from avblocks import DenseFusion, FactorizedFusion, FusionBlock, TokenFusion

MODALITIES = ["image", "audio"]


def test_the_signature_stands_three_times() -> None:
    places = []
    for path in sorted(Path(avblocks.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                first = [arg.arg for arg in node.args.args if arg.arg != "self"]
                named = [arg.arg for arg in node.args.kwonlyargs]
                if first == ["fusion"] and named[:2] == MODALITIES:
                    places.append((path.name, node.name))
    assert places == [("block.py", name) for name in ("__call__", "forward", "attention")]


@pytest.mark.parametrize("kind", [TokenFusion, DenseFusion, FactorizedFusion, FusionBlock])
@pytest.mark.parametrize("method", ["forward", "attention"])
def test_modalities_are_keyword_only_and_required(kind: type, method: str) -> None:
    _, fusion, *others = inspect.signature(getattr(kind, method)).parameters.values()
    assert fusion.kind is fusion.POSITIONAL_OR_KEYWORD
    assert [p.name for p in others] == [*MODALITIES, "valid"]
    assert all(p.kind is p.KEYWORD_ONLY for p in others)
    assert [p.default is p.empty for p in others] == [True, True, False]

"""Legends have a place of their own: matplotlib's search for the best one warns when it is slow."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [path for part in ("avblocks", "recipes", "docs") for path in (ROOT / part).rglob("*.py")]


def legends(path: Path) -> list[ast.Call]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    return [c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr == "legend"]


def test_every_legend_has_a_fixed_place() -> None:
    found = {path: legends(path) for path in FILES}
    for path, calls in found.items():
        for call in calls:
            places = [ast.literal_eval(word.value) for word in call.keywords if word.arg == "loc"]
            assert places and places != ["best"], f"{path}:{call.lineno}"
    assert any(found.values())

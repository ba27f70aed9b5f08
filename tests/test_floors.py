"""The floors of the house: a file imports only from lower floors, or from its own folder.

New files are entered in `FLOORS`; whoever may see less than his floor allows, in `SEES_ONLY`.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS: dict[str, int] = {
    "avblocks.shapes": 0,
    "avblocks.files": 0,
    "avblocks.seed": 0,
    "avblocks.distributed": 0,
    "avblocks.audio": 1,
    "avblocks.optim": 1,
    "avblocks.nn": 1,
    "avblocks.metrics": 1,
    "avblocks.fusion": 2,
    "avblocks.data": 2,
    "avblocks.viz": 2,
    "avblocks.encoder": 3,
    "avblocks.decoder": 3,
    "avblocks.video": 3,
    "avblocks.mae": 4,
    "avblocks.heads": 4,
    "avblocks.build": 5,
    "avblocks.flops": 5,
    "avblocks.diagram": 5,
    "avblocks.checkpoint": 6,
    "avblocks.tasks": 7,
    "avblocks": 8,
    "recipes.engine": 9,
    "recipes.common": 10,
    "recipes": 11,
}
SEES_ONLY: dict[str, set[str]] = {
    "avblocks.data": {"avblocks.shapes", "avblocks.files", "avblocks.audio", "avblocks.seed"}
}

# Who may import what from outside; nobody else does.
RESERVED: dict[str, tuple[str, ...]] = {
    "lightning": ("recipes.engine",),
    "pytorch_lightning": (),
    "tyro": ("recipes.",),
    "tensorboard": ("recipes.",),
    "matplotlib": ("avblocks.viz", "recipes."),
    "huggingface_hub": ("avblocks.checkpoint.hub",),
    "recipes": ("recipes",),
}

FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("avblocks", "recipes")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def room(module: str) -> str:
    """The longest entry of the table that a module belongs to."""
    parts = module.split(".")
    names = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    found = next((name for name in names if name in FLOORS), "")
    if found == "avblocks" and module in FILES and module != "avblocks":
        return ""  # A file that nobody entered; only the package's own `__init__` is `avblocks`.
    return found


def imports(path: Path) -> Iterator[str]:
    """The modules a file imports, inside its functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in FILES else str(node.module)


@pytest.mark.parametrize("module", FILES)
def test_a_file_imports_from_lower_floors(module: str) -> None:
    own = room(module)
    assert own, f"{module} has no floor yet: enter it in FLOORS"
    for imported in imports(FILES[module]):
        theirs = room(imported)
        if imported.split(".")[0] not in ("avblocks", "recipes") or theirs == own:
            continue
        assert FLOORS[theirs] < FLOORS[own], f"{module} imports {imported}"
        allowed = SEES_ONLY.get(own)
        assert allowed is None or theirs in allowed, f"{module} imports {imported}"


@pytest.mark.parametrize("module", FILES)
def test_a_file_imports_what_is_reserved_to_others_never(module: str) -> None:
    for imported in imports(FILES[module]):
        owners = RESERVED.get(imported.split(".")[0])
        assert owners is None or module.startswith(owners), f"{module} imports {imported}"


def test_annotations_stay_visible() -> None:
    tests = {str(path): path for path in (ROOT / "tests").rglob("*.py")}
    for path in (FILES | tests).values():
        assert "__future__" not in list(imports(path)), path


def test_the_table_names_what_there_is() -> None:
    planned: set[str] = set()
    assert {name for name in FLOORS if name not in FILES} <= planned

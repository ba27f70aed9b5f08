"""The layers of the house: a file imports only from lower layers, or from its own room.

New rooms are entered in `LAYERS`; a room that may see less than its layer allows, in `SEES_ONLY`.
There is no circle of imports, and private names stay in the file that defines them.
"""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pages
import pytest

ROOT = Path(__file__).parents[1]

# Rooms, the lowest layer first. A module belongs to the room with the longest matching name.
LAYERS = (
    "avblocks.shapes avblocks.tokens avblocks.builder avblocks.files avblocks.seed "
    "avblocks.distributed avblocks.extras avblocks.progress avblocks.constants avblocks.wrappers",
    "avblocks.audio avblocks.csvlog avblocks.jsonfile avblocks.locks avblocks.optim avblocks.nn "
    "avblocks.metrics",
    "avblocks.data.clip avblocks.data.format avblocks.data.batch avblocks.data.resize "
    "avblocks.data.write",
    "avblocks.data.datasets",
    "avblocks.data.decode",
    "avblocks.data",
    "avblocks.data.scenes avblocks.data.shards",
    "avblocks.fusion avblocks.log_frequency avblocks.viz",
    "avblocks.encoder avblocks.decoder avblocks.reading avblocks.reconstruction avblocks.video",
    "avblocks.mae avblocks.heads",
    "avblocks.build avblocks.flops avblocks.diagram",
    "avblocks.checkpoint",
    "avblocks.zoo",
    "avblocks.tasks",
    "avblocks",
    "recipes.engine",
    "recipes.common",
    "recipes",
)
FLOORS = {name: floor for floor, names in enumerate(LAYERS) for name in names.split()}
# What a room and the rooms below its name see of the lower layers, where that is not all of them.
SEES_ONLY: dict[str, tuple[str, ...]] = {
    "avblocks.data": (
        "avblocks.data",
        "avblocks.shapes",
        "avblocks.csvlog",
        "avblocks.files",
        "avblocks.jsonfile",
        "avblocks.locks",
        "avblocks.progress",
        "avblocks.audio",
        "avblocks.seed",
        "avblocks.constants",
    ),
}

# The only modules that may import a package from outside.
RESERVED: dict[str, tuple[str, ...]] = {
    "lightning": ("recipes.engine",),
    "pytorch_lightning": (),
    "tyro": ("recipes.",),
    "tensorboard": ("recipes.",),
    "gradio": ("recipes.demo",),
    "matplotlib": ("avblocks.viz", "recipes."),
    "huggingface_hub": ("avblocks.checkpoint.hub",),
    "recipes": ("recipes",),
}

FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("avblocks", "recipes")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
DOCS = [*sorted((ROOT / "docs").glob("*.py")), *pages.written(ROOT / "docs")]


def room(module: str) -> str:
    """The longest entry of the table that a module belongs to."""
    parts = module.split(".")
    names = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    found = next((name for name in names if name in FLOORS), "")
    if found == "avblocks" and module in FILES and module != "avblocks":
        return ""  # A file that is not in the table; only the package's `__init__` is `avblocks`.
    return found


def import_nodes(tree: ast.AST, *, functions: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """The import statements of a file, those inside functions only if asked for."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from import_nodes(node, functions=functions)


def imports(path: Path, *, functions: bool = True) -> Iterator[str]:
    """The modules a file imports."""
    for node in import_nodes(ast.parse(path.read_text()), functions=functions):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in FILES else str(node.module)


def import_graph(*, functions: bool) -> Mapping[str, set[str]]:
    """The files of ours that each file imports."""
    return {
        module: {name for name in imports(path, functions=functions) if name in FILES}
        for module, path in FILES.items()
    }


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of a circle in a graph, the first one twice; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1][::-1]
    return []


def is_private(name: str) -> bool:
    """Whether a dotted name has a part with a leading underscore, `__main__` and the like apart."""
    parts = name.split(".")
    return any(part.startswith("_") and not part.startswith("__") for part in parts)


def private_names(code: str) -> Iterator[str]:
    """Private modules and names of ours that some code imports, or takes from what it imports."""
    tree, ours = ast.parse(code), set[str]()
    for node in import_nodes(tree, functions=True):
        module = node.module if isinstance(node, ast.ImportFrom) else None
        for alias in node.names:
            name = f"{module}.{alias.name}" if module else alias.name
            if name.split(".")[0] in ("avblocks", "recipes"):
                ours.add(alias.asname or alias.name)
                if is_private(name):
                    yield name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = ast.unparse(node.value)
            if owner in ours:
                yield f"{owner}.{node.attr}"


@pytest.mark.parametrize("module", FILES)
def test_a_file_imports_from_lower_floors(module: str) -> None:
    own = room(module)
    assert own, f"{module} has no layer yet: enter it in LAYERS"
    for imported in imports(FILES[module]):
        theirs = room(imported)
        if imported.split(".")[0] not in ("avblocks", "recipes") or theirs == own:
            continue
        assert FLOORS[theirs] < FLOORS[own], f"{module} imports {imported}"
        for name, allowed in SEES_ONLY.items():
            fits = not own.startswith(name) or theirs.startswith(allowed)
            assert fits, f"{module} imports {imported}"


@pytest.mark.parametrize("module", FILES)
def test_a_file_imports_what_is_reserved_to_others_never(module: str) -> None:
    for imported in imports(FILES[module]):
        owners = RESERVED.get(imported.split(".")[0])
        assert owners is None or module.startswith(owners), f"{module} imports {imported}"


def test_no_circle_of_imports() -> None:
    assert circle(import_graph(functions=False)) == []


def test_no_circle_of_imports_through_functions() -> None:
    assert circle(import_graph(functions=True)) == []


def test_circles_are_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circle({"a": {"b"}, "b": {"a"}}) in (["a", "b", "a"], ["b", "a", "b"])
    assert circle({"a": {"a"}}) == ["a", "a"]


@pytest.mark.parametrize("module", FILES)
def test_private_names_stay_in_their_file(module: str) -> None:
    assert list(private_names(FILES[module].read_text())) == []


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_import_public_names(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    codes = [text] if page.suffix == ".py" else [b.code for b in pages.blocks(page.name, text)]
    assert [name for code in codes for name in private_names(code)] == []


def test_private_names_are_found() -> None:
    code = """
    import avblocks.nn._hidden as hidden
    from avblocks.nn import mask
    from avblocks.nn._mask import Mask
    from avblocks.nn.mask import _gather, __doc__
    from torch.nn import _reduction
    def inner():
        from recipes import __main__, common
        return mask._order, mask.Mask, common._x, Mask.__name__
    """
    found = list(private_names("if True:" + code))
    assert found == [
        "avblocks.nn._hidden",
        "avblocks.nn._mask.Mask",
        "avblocks.nn.mask._gather",
        "mask._order",
        "common._x",
    ]


def test_annotations_stay_visible() -> None:
    tests = {str(path): path for path in (ROOT / "tests").rglob("*.py")}
    for path in (FILES | tests).values():
        assert "__future__" not in list(imports(path)), path


def test_the_table_names_what_there_is() -> None:
    planned: set[str] = set()
    assert {name for name in FLOORS if name not in FILES} <= planned

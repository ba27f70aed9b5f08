"""The reference has every public name, once, as users import it."""

import ast
import inspect
import pkgutil
import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
from signatures import defined_in

import avblocks

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs/reference").glob("*.rst"))
DIRECTIVE = re.compile(r"^\.\. auto(\w+):: (avblocks[\w.]*)$", re.MULTILINE)
MODULES = list(pkgutil.walk_packages(avblocks.__path__, "avblocks."))
PACKAGES = ["avblocks", *(info.name for info in MODULES if info.ispkg)]
SINGLE = [info.name for info in MODULES if not info.ispkg and info.name.count(".") == 1]


def imports(path: Path) -> list[tuple[str, str]]:
    """(module, name) of each import from avblocks in a file."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [
        (node.module, alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("avblocks")
        for alias in node.names
    ]


def resolve(name: str) -> object:
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def documented(*, without: str = "") -> list[str]:
    """What the pages document, by the names they show, as if they had no directive for one."""
    names = []
    for page in PAGES:
        for kind, name in DIRECTIVE.findall(page.read_text(encoding="utf-8")):
            if name != without:
                names += defined_in(name) if kind == "module" else [name]
    return names


def for_users() -> list[str]:
    """Public files that no other file of the package imports: there for users alone."""
    used = {module for path in (ROOT / "avblocks").rglob("*.py") for module in imported(path)}
    public = [info.name for info in MODULES if not info.ispkg and "._" not in info.name]
    return [name for name in public if name not in used]


def imported(path: Path) -> set[str]:
    """What a file imports from avblocks, be it modules or names in them."""
    pairs = imports(path)
    return {module for module, _ in pairs} | {f"{module}.{name}" for module, name in pairs}


def undocumented(modules: list[str], *, without: str = "") -> list[str]:
    shown = {id(resolve(name)) for name in documented(without=without)}
    return [
        name for module in modules for name in defined_in(module) if id(resolve(name)) not in shown
    ]


def re_exported() -> list[str]:
    """What the packages export, each by the shortest way to import it."""
    shortest: dict[int, str] = {}
    for package in PACKAGES:
        path = Path(inspect.getfile(import_module(package)))
        for _, name in imports(path):
            shortest.setdefault(id(resolve(f"{package}.{name}")), f"{package}.{name}")
    return list(shortest.values())


def test_every_re_export_is_documented_where_users_import_it() -> None:
    assert set(re_exported()) - set(documented()) == set()


def test_every_name_of_a_single_file_is_documented() -> None:
    assert undocumented(SINGLE) == []


def test_every_name_of_a_file_for_users_is_documented() -> None:
    hub, name = "avblocks.checkpoint.hub", "avblocks.checkpoint.hub.HubEncoder"
    assert hub in for_users()
    assert undocumented(for_users()) == []
    assert undocumented(for_users(), without=hub) == [name]


def test_what_recipes_import_is_documented() -> None:
    shown = {id(resolve(name)) for name in documented()}
    used = {pair for path in (ROOT / "recipes").rglob("*.py") for pair in imports(path)}
    public = {f"{module}.{name}" for module, name in used if "._" not in module}
    lost = [
        name
        for name in sorted(public)
        if (inspect.isclass(resolve(name)) or inspect.isfunction(resolve(name)))
        and id(resolve(name)) not in shown
    ]
    assert lost == []


def test_nothing_is_documented_twice() -> None:
    objects = Counter(id(resolve(name)) for name in documented())
    assert [name for name in documented() if objects[id(resolve(name))] > 1] == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/reference/index.rst").read_text(encoding="utf-8")
    for page in PAGES:
        if page.stem != "index":
            assert f"\n   {page.stem}\n" in index
            assert f".. names-on:: {page.stem}\n" in index


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Sphinx deprecates what its own extensions use
def test_the_build_shows_the_same_names(tmp_path: Path) -> None:
    application = pytest.importorskip("sphinx.application", reason="sphinx is not installed")
    from sphinx.util.docutils import docutils_namespace

    with docutils_namespace():  # or what it registers stays for the next build
        app = application.Sphinx(
            srcdir=ROOT / "docs",
            confdir=ROOT / "docs",
            outdir=tmp_path / "out",
            doctreedir=tmp_path / "doctrees",
            buildername="dummy",
            confoverrides={
                "extensions": ["sphinx.ext.napoleon", "signatures"],
                "root_doc": "reference/index",
                "exclude_patterns": ["*.rst", "guide", "recipes", "results"],
            },
            status=None,
            warning=None,
        )
        app.build()
    objects = app.env.domaindata["py"]["objects"]
    built = {name for name, entry in objects.items() if not entry.aliased}
    assert set(documented()) - built == set()

"""The wheel works with its own dependencies, or names the extra that is missing."""

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
OPTIONAL = {
    "viz": {"matplotlib"},
    "hub": {"huggingface_hub"},
    "recipes": {"lightning", "tyro", "dacite", "tensorboard", "recipes"},
    "tests": {"torchmetrics", "torchvision", "mir_eval", "hypothesis", "scipy"},
}
"""What the wheel has to do without, by what would install it."""
BUILD = "import hatchling.build, sys; hatchling.build.build_wheel(sys.argv[1])"
IMPORT = """
import json, pkgutil, sys
from importlib import import_module

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

BLOCKED = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Blocked())
import torch
before = set(sys.modules)
import avblocks
roots = {name.split(".")[0] for name in set(sys.modules) - before}

errors, modules = {}, [info.name for info in pkgutil.walk_packages(avblocks.__path__, "avblocks.")]
for name in modules:
    try:
        import_module(name)
    except ImportError as error:
        errors[name] = f"{type(error).__name__}: {error}"

from avblocks import viz
from avblocks.metrics import separation_scores
for name, call in {
    "panel": lambda: viz.panel({"image": torch.rand(1, 3, 8, 8)}),
    "heat": lambda: viz.heat(torch.rand(1, 8, 8)),
}.items():
    try:
        call()
    except ImportError as error:
        errors[name] = f"{type(error).__name__}: {error}"
sources = torch.randn(1, 2, 4000)
scores = separation_scores(sources, sources=sources, mixture=sources.sum(dim=1)).summary()
found = {"file": avblocks.__file__, "roots": sorted(roots), "modules": modules, "errors": errors}
print(json.dumps(found | {"scored": scores["scored"]}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked."""
    pytest.importorskip("hatchling", reason="needs hatchling, of the extra `tests`")
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-c", BUILD, str(out)], cwd=ROOT, check=True)
    (packed,) = out.glob("avblocks-*-py3-none-any.whl")
    zipfile.ZipFile(packed).extractall(out / "unpacked")
    return out / "unpacked"


@pytest.fixture(scope="module")
def imported(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What importing all of it comes to, where what it does not depend on is not installed."""
    blocked = ",".join(sorted(set().union(*OPTIONAL.values())))
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, blocked],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def metadata(wheel: Path) -> Any:
    (path,) = wheel.glob("*.dist-info/METADATA")
    return Parser().parsestr(path.read_text(encoding="utf-8"))


def test_it_holds_the_library_and_nothing_else(wheel: Path) -> None:
    assert {path.name.partition("-")[0] for path in wheel.iterdir()} == {"avblocks"}
    packed = {path.relative_to(wheel) for path in (wheel / "avblocks").rglob("*.py")}
    assert packed == {path.relative_to(ROOT) for path in (ROOT / "avblocks").rglob("*.py")}
    assert (wheel / "avblocks/py.typed").is_file()
    assert list(wheel.glob("*.dist-info/licenses/LICENSE"))


def test_every_module_is_imported_or_names_its_extra(wheel: Path, imported: Any) -> None:
    assert Path(imported["file"]) == wheel / "avblocks/__init__.py"
    packages = {path.parent for path in (wheel / "avblocks").rglob("__init__.py")}
    files = len(list((wheel / "avblocks").rglob("*.py")))
    assert len(imported["modules"]) == files - 1 and len(packages) > 10
    assert imported["errors"] == {
        "avblocks.checkpoint.hub": "ImportError: huggingface_hub is not installed: "
        "pip install 'avblocks[hub]'",
        "panel": "ImportError: matplotlib is not installed: pip install 'avblocks[viz]'",
        "heat": "ImportError: matplotlib is not installed: pip install 'avblocks[viz]'",
    }
    assert imported["scored"] == 2


def test_importing_it_loads_torch_einops_and_jaxtyping_alone(imported: Any) -> None:
    others = set(imported["roots"]) - sys.stdlib_module_names
    assert others <= {"avblocks", "einops", "jaxtyping", "numpy", "wadler_lindig"}  # jaxtyping's


def third_party(path: Path) -> set[str]:
    """The packages that a file imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"avblocks"}


def test_what_it_imports_is_a_dependency_or_in_an_extra(wheel: Path) -> None:
    needed = [line for line in metadata(wheel).get_all("Requires-Dist") if "extra ==" not in line]
    own = {re.split(r"[\s<>=!~;\[]", line)[0].replace("-", "_") for line in needed}
    found = set().union(*(third_party(path) for path in (wheel / "avblocks").rglob("*.py")))
    assert found - own == OPTIONAL["viz"] | OPTIONAL["hub"]
    # Named for AVBLOCKS_TYPECHECK=1, and a package that the project is built on.
    assert own - found == {"beartype", "torchvision"}


def test_extras_are_those_that_errors_and_docs_name(wheel: Path) -> None:
    extras = metadata(wheel).get_all("Provides-Extra")
    assert sorted(extras) == ["demo", "docs", "hub", "lint", "recipes", "tests", "trackio", "viz"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name in ("viz", "hub"):
        packages = {re.split(r"[<>=]", each)[0] for each in project["optional-dependencies"][name]}
        assert packages == OPTIONAL[name]

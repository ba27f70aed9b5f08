"""Pages that list what there is: recipes, data sets, floors, golden tensors, figures, files."""

import ast
import doctest
import json
import re
import shlex
import subprocess
from importlib.util import module_from_spec, spec_from_file_location
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pages
import pytest
import torch
from deviations import Deviation
from fresh import Fresh

import avblocks
from recipes.__main__ import recipes
from recipes.check_data.sides import LISTS
from recipes.common.sets import READERS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GOLDEN = ROOT / "tests" / "golden"


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def first_table(page: str) -> list[list[str]]:
    """The cells of the first list-table, without its head."""
    body = page.partition(".. list-table::")[2]
    body = re.split(r"^(?=\S)", body.partition("\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [row.split("\n     - ") for row in body.split("\n   * - ")[1:]]
    return [[" ".join(cell.split()) for cell in row] for row in lines[1:]]


def literals(cell: str) -> list[str]:
    return re.findall(r"``([^`]+)``", cell)


def test_every_recipe_is_on_its_page_with_its_lab_note() -> None:
    sections = re.split(r"^``([\w.]+)``\n-+\n", text("recipes.rst"), flags=re.MULTILINE)[1:]
    listed = recipes(ROOT / "recipes")
    assert sorted(sections[::2]) == sorted(listed)
    for name, section in zip(sections[::2], sections[1::2], strict=True):
        first, note = (" ".join(part.split()) for part in section.strip().split("\n\n")[:2])
        assert first == listed[name]  # a literalinclude leaves out the line with the quotes
        path = f"recipes/{name.replace('.', '/')}"
        end = "/__main__.py" if (ROOT / path).is_dir() else ".py"
        file = f"literalinclude:: ../{path}{end}"
        assert note == f'.. {file} :language: text :start-after: """ :end-before: """'


def test_every_data_set_is_on_its_page() -> None:
    page = text("datasets.rst")
    listed = {literals(row[1])[0]: literals(row[2]) for row in first_table(page)}
    assert listed == {name: list(splits) for name, (_, splits) in READERS.items()}
    checks = re.findall(r"recipes\.check_data (\w+)(?:.*--data\.split (\w+))?", page)
    assert {name for name, _ in checks} == {*READERS, LISTS}
    for name, split in checks:
        assert not split or split in READERS[name][1], f"{name} has no split {split}"


def test_the_floors_are_those_of_the_test() -> None:
    tree = ast.parse((ROOT / "tests" / "test_floors.py").read_text(encoding="utf-8"))
    (layers,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LAYERS"
    )
    floors = {name: floor for floor, names in enumerate(layers) for name in names.split()}
    rows = first_table(text("contributing.rst"))
    assert [int(row[0]) for row in rows] == list(range(len(rows)))
    shown = [literals(row[1]) for row in rows]  # the rooms of data stand under its own name
    assert {name for row in shown for name in row} == {
        name for name in floors if not name.startswith("avblocks.data.")
    }
    for lower, upper in pairwise(shown):
        assert max(floors[name] for name in lower) < min(floors[name] for name in upper)


def example(folder: Path, monkeypatch: pytest.MonkeyPatch, *, broken: bool = False) -> ModuleType:
    """The tests of the block that the page on contributing adds, as if it had been added."""
    page = text("contributing.rst")
    if broken:
        page = page.replace("x * self.gamma", "x + self.gamma")
    files = pages.write_files("contributing.rst", page, folder)
    assert list(files) == ["avblocks/nn/scale.py", "tests/nn/test_scale.py"]
    assert len(files) == len(pages.blocks("contributing.rst", page))  # all code is in them
    block = load(files["avblocks/nn/scale.py"])
    assert doctest.testmod(block).failed == (1 if broken else 0)
    monkeypatch.setattr(avblocks, "LayerScale", block.LayerScale, raising=False)
    return load(files["tests/nn/test_scale.py"])


def load(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.usefixtures("unchecked")
def test_the_block_that_is_added_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tests = example(tmp_path, monkeypatch)
    run = [test() for name, test in vars(tests).items() if name.startswith("test_")]
    assert len(run) == 4


def test_the_page_shows_the_files_of_the_package() -> None:
    for block in pages.blocks("contributing.rst", text("contributing.rst")):
        assert block.file is not None
        assert block.code.strip() == (DOCS.parent / block.file).read_text("utf-8").strip()


@pytest.mark.usefixtures("unchecked")
def test_its_tests_notice_when_it_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = example(tmp_path, monkeypatch, broken=True)
    with pytest.raises(AssertionError):
        tests.test_each_channel_has_its_factor()


def figures(path: Path = DOCS / "results" / "parity.json") -> dict:
    """Of each golden file."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return {name: rows for name, rows in found.items() if name not in ("all", "machine")}


def test_every_golden_file_is_measured_and_shown() -> None:
    found, page = figures(), text("parity.rst")
    assert found.keys() == {path.stem for path in GOLDEN.glob("*.safetensors")}
    shown = re.findall(r"^\.\. measured:: parity\.json (\w+)$", page, flags=re.MULTILINE)
    assert sorted(shown) == sorted(found)


def test_a_deviation_is_that_of_the_worst_value() -> None:
    found = Deviation("1 + 0.1 x")
    found.add(torch.tensor([10.0, 0.5]), torch.tensor([11.0, 0.25]), rtol=0.1, atol=1.0)
    assert (found.values, found.largest_value, found.largest_deviation) == (2, 11.0, 1.0)
    assert abs(found.percent_of_tolerance - 100 / 2.1) < 1e-4
    found.add(torch.tensor(-1.0), torch.tensor(0.0), rtol=0.1, atol=1.0)
    assert (found.values, found.largest_value, found.percent_of_tolerance) == (3, 11.0, 100.0)


MEASURE = "import runpy; runpy.run_path('tests/parity/measure.py', run_name='__main__')"


def test_the_figures_of_parity_are_those_of_its_tests(
    fresh: Fresh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AVBLOCKS_GOLDEN", raising=False)
    out = tmp_path / "parity.json"
    done = fresh(MEASURE, "--out", str(out))
    assert done.returncode == 0, done.stderr
    now, then = figures(out), figures()
    for file in now:
        assert now[file].keys() == then[file].keys(), file
        for what, row in now[file].items():
            for name in ("values", "tolerance"):
                assert row[name] == then[file][what][name], (file, what)
            for kept in (row, then[file][what]):
                assert 0 <= kept["percent_of_tolerance"] <= 100, (file, what)


ONLY_A_GPU = (
    ["performance.json", "machines", "cuda"],
    ["performance.json", "lines", "cuda"],
    ["performance.json", "tables", "cuda"],
    ["performance.json", "gpu", "lines"],
)
"""File and keys of what may be missing: only a machine with a GPU can measure it."""


def keys_shown(body: str) -> list[list[str]]:
    """File and keys of each figure that a page shows by its name.

    Raises:
        ValueError: if one is written in a way that would not be found.
    """
    roles = re.findall(r":measured:`([^`<>]+)`", body)
    tables = re.findall(r"^\.\. measured:: (.+)\n((?:(?:   .*)?\n)*)", body, flags=re.MULTILINE)
    named = re.findall(r":measured:`|\.\. +measured ?::", body, flags=re.IGNORECASE)
    if len(roles) + len(tables) != len(named):
        raise ValueError(
            "write :measured:`FILE KEY` or, at the start of a line, .. measured:: FILE"
        )
    found = [shlex.split(role) for role in roles]
    for words, content in tables:
        rows = re.findall(r"^ {3,}([^:\s][^:\n]*):", content, flags=re.MULTILINE)
        found += [[*words.split(), row.strip()] for row in rows] or [words.split()]
    return found


def lost(words: list[str], results: Path = DOCS / "results") -> str:
    """Say what is missing of the figure that file and keys lead to, if anything is."""
    file, *keys = words
    if not (results / file).is_file():
        return f"no file {file}"
    found = json.loads((results / file).read_text(encoding="utf-8"))
    for key in keys:
        if not isinstance(found, dict) or key not in found:
            return f"no {key!r} in {file}"
        found = found[key]
    return f"nothing in {words}" if found is None or found in ([], {}) else ""


@pytest.mark.parametrize(
    "page",
    [*pages.written(DOCS), *sorted(DOCS.glob("tutorials/*.py"))],
    ids=lambda p: str(p.relative_to(DOCS)),
)
def test_figures_that_are_shown_are_there(page: Path) -> None:
    body = page.read_text(encoding="utf-8")
    shown = keys_shown(pages.prose_of(body) if page.suffix == ".py" else body)
    measurable = [words for words in shown if words[:3] not in ONLY_A_GPU or not lost(words[:3])]
    assert [why for words in measurable if (why := lost(words))] == []


def test_figures_are_found() -> None:
    counts = [len(keys_shown(page.read_text(encoding="utf-8"))) for page in pages.written(DOCS)]
    assert sum(counts) > 100


FIGURES = """
Words with :measured:`localization.json
ciou_adaptive` are measured: so it is.

.. measured:: localization.json
   :head: guided by, "cIoU: adaptive"

   ciou_adaptive: the own: sound
   swapped-audio: of another

.. measured:: clasification.json linear_probe

   pretrained : pre-trained
"""


def test_a_figure_that_is_not_there_is_found() -> None:
    assert keys_shown(FIGURES) == [
        ["localization.json", "ciou_adaptive"],
        ["localization.json", "ciou_adaptive"],
        ["localization.json", "swapped-audio"],
        ["clasification.json", "linear_probe", "pretrained"],
    ]
    assert [why for words in keys_shown(FIGURES) if (why := lost(words))] == [
        "no 'swapped-audio' in localization.json",
        "no file clasification.json",
    ]


@pytest.mark.parametrize(
    "shown",
    [
        ".. Measured:: data.json none",
        "* .. measured:: data.json none",
        "  .. measured:: data.json none",
        ":Measured:`data.json none`",
        ":measured:`title <data.json none>`",
    ],
)
def test_a_figure_that_would_be_missed_is_refused(shown: str) -> None:
    with pytest.raises(ValueError, match="write"):
        keys_shown(f"Words\n\n{shown}\n")


def test_the_slurm_script_is_a_script_of_bash() -> None:
    script = DOCS / "guide" / "pretrain.slurm"
    subprocess.run(["bash", "-n", str(script)], check=True)
    text, page = script.read_text(encoding="utf-8"), (DOCS / "guide" / "eight_gpus.rst").read_text()
    assert f"docs/guide/{script.name}" in text and f"literalinclude:: {script.name}" in page
    processes = re.search(r"--ntasks-per-node=(\d+)", text)
    assert processes is not None and f"--run.devices {processes[1]}" in text


def links(markdown: str) -> list[str]:
    """What a text in Markdown links to or shows, of this repository."""
    target = r'\]\(\s*<?([^)>\s]+)|^\[[^]]+\]: *(\S+)|(?:src|href)="([^"]+)'
    found = ["".join(parts) for parts in re.findall(target, markdown, flags=re.MULTILINE)]
    return [link.partition("#")[0] for link in found if not re.match(r"\w+:|#", link)]


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md"])
def test_links_lead_to_files(page: str) -> None:
    found = links((ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in found if not (ROOT / link).exists()] == []
    assert found or page != "README.md"


def test_links_are_found() -> None:
    page = '[a](docs/a.rst#part) [b\nc](https://x.y) ![d](d.png "D") [e](#e)\n<img src="f.png">\n'
    assert links(page + "[g]: g.rst\n") == ["docs/a.rst", "d.png", "f.png", "g.rst"]

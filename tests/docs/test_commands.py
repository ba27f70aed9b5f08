"""Every command of a recipe that is written down is one that its command line takes.

Commands stand in the README, the changelog, the pages and the recipes' own docstrings, there with
what to try. They are parsed, and never run. What is no shell stands for itself: capitals are names
of files and folders, a comment in brackets ends a command, ``...`` is any recipe that the same text
names, and a recipe that a page writes itself has the command line of the one whose presets it has.
An option that stands alone is one of any recipe, or of a program in a short list. A script that is
no recipe is there, and its text names the options it is given.
"""

import ast
import io
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock, patch

import pages
import pytest

from recipes.__main__ import recipes
from recipes.common.cli import run_cli, run_options

ROOT = Path(__file__).parents[2]
NAMES = tuple(recipes(ROOT / "recipes"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *pages.written(ROOT / "docs")]
PAGES += [ROOT / "docs/guide/pretrain.slurm"]
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.py"))

_CALL = re.compile(r"-m recipes\.(\w+(?:\.\w+)*)(.*)")
_SCRIPT = re.compile(r"\bpython[\d.]* (\S+\.py)\b(.*)")
_OPTION = re.compile(r"(?:^|\s)--[a-zA-Z]")
_OWN = re.compile(r":caption: recipes/(\w+)\.py\n.*?from recipes\.(\w+) import PRESETS", re.DOTALL)


OTHERS = {
    "pytest": {"--jaxtyping-packages"},
    "sbatch": {"--nodes", "--ntasks-per-node", "--ntasks", "--signal", "--cpus-per-task"},
    "tensorboard": {"--logdir"},
}
"""Options of other programs that are told of in a line of text."""
READERS_OWN = ("my_script.py",)
"""What a page calls a file that its reader has."""
NEEDED = {"predict": ("a.mp4", "--checkpoint", "RUN")}
"""What a recipe does not start without, where only an option of it is told of."""


def file_of(recipe: str) -> str:
    """The file of a recipe; of a package its `__main__`."""
    path = f"recipes/{recipe.replace('.', '/')}"
    return f"{path}/__main__.py" if (ROOT / path).is_dir() else f"{path}.py"


def module_of(recipe: str) -> ModuleType:
    """The module of a recipe."""
    return import_module(file_of(recipe).removesuffix(".py").replace("/", "."))


@dataclass(frozen=True)
class Command:
    """Some words for a recipe, for any of several, or for a script by its path."""

    where: str
    recipes: tuple[str, ...]
    words: tuple[str, ...]


def commands(name: str, text: str) -> list[Command]:
    """Find the commands of a page in reStructuredText, of a text in Markdown, or of a docstring."""
    ticks = "``" if name.endswith(".rst") else "`"
    text = re.sub(r"^ *```.*$", lambda fence: " " * len(fence[0]), text, flags=re.MULTILINE)
    inline = re.compile(rf"(?<!`){ticks}(?!`)([^`]+){ticks}(?!`)")
    # Blanks in the place of what is done with, so that lines keep their numbers.
    blocks = inline.sub(lambda literal: re.sub(r"\S", " ", literal[0]), text).replace("\\\n", "  ")
    lines = [(f"{name}:{text[: m.start()].count(chr(10)) + 1}", m[0]) for m in _lines(blocks)]
    literals = [
        (f"{name}:{text[: m.start()].count(chr(10)) + 1}", " ".join(m[1].split()))
        for m in inline.finditer(text)
    ]
    own = dict(_OWN.findall(text))
    found = [call for where, line in lines + literals for call in _calls(where, line, own=own)]
    named = tuple(dict.fromkeys(recipe for call in found for recipe in call.recipes))
    for where, literal in literals:
        if literal.startswith("... "):
            found.append(Command(where, named, _words(literal[4:])))
        elif _OPTION.search(literal) and not any(_calls(where, literal, own=own)):
            found.append(_alone(where, _words(literal)))
    return found


def _lines(text: str) -> Iterator[re.Match[str]]:
    return re.finditer(r"[^\n]*(?:-m recipes\.|\.py\b)[^\n]*", text)


def _calls(where: str, line: str, *, own: dict[str, str]) -> Iterator[Command]:
    for part in re.split(r"&&|[;|]", line):
        if script := _SCRIPT.search(part):
            yield Command(where, (script[1],), _words(script[2]))
        call = _CALL.search(part)
        if call and not call[1].isupper():  # as in `python -m recipes.NAME`
            yield Command(where, (own.get(call[1], call[1]),), _words(call[2]))


def _alone(where: str, words: tuple[str, ...]) -> Command:
    """Options by themselves, or after the name of a recipe, a preset or another program."""
    if words[0] in (*NAMES, *OTHERS):
        return Command(where, words[:1], words[1:])
    return Command(where, NAMES, words)


def _words(text: str) -> tuple[str, ...]:
    """The words of a command, as a shell has them, up to a comment or an operator."""
    found = []
    for word in _lexer(text):
        if word[0] in "()<>|&;":
            break
        if word not in ("...", "[PRESET]", "[OPTIONS]"):
            found.append("1" if word == "N" else word)
    return tuple(found)


def _lexer(text: str) -> shlex.shlex:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return lexer


def of_docstring(recipe: str, doc: str) -> list[Command]:
    """Find the commands of a recipe's docstring, and what it says to try."""
    path = file_of(recipe)
    _, _, tried = doc.partition("\nTry:\n")
    options = [line for line in tried.splitlines() if line.lstrip().startswith("--")]
    return [*commands(path, doc), *(Command(path, (recipe,), _words(line)) for line in options)]


@cache
def refusal(recipe: str, words: tuple[str, ...]) -> str:
    """What a recipe's command line says against some words; nothing if it takes them."""
    if recipe.endswith(".py"):
        return _script_refusal(recipe, words)
    if recipe in OTHERS:
        return ", ".join(word for word in words if word[0] == "-" and word not in OTHERS[recipe])
    if recipe not in NAMES:
        return f"no recipe {recipe}; the recipes are: {', '.join(NAMES)}"
    module, said, main = module_of(recipe), io.StringIO(), Mock()
    with (
        redirect_stdout(said),
        redirect_stderr(said),
        patch("recipes.common.cli.sized", lambda config, **_: config),  # checkpoints are not there
        patch("recipes.common.cli.settings_of", lambda _, like: like),
    ):
        try:
            if hasattr(module, "PRESETS"):
                run_cli(main, presets=module.PRESETS, doc="", args=words)
            else:
                run_options(main, module.Config, doc="", args=words)
        except SystemExit as ended:
            return said.getvalue() if ended.code else ""
    assert main.called
    return ""


def _script_refusal(script: str, words: tuple[str, ...]) -> str:
    if script in READERS_OWN:
        return ""
    if not (ROOT / script).is_file():
        return f"no file {script}"
    source = (ROOT / script).read_text(encoding="utf-8")
    given = [word.partition("=")[0] for word in words if word.startswith("-")]
    lost = [option for option in given if f'"{option}"' not in source]
    return f"{script} has no option {', '.join(lost)}" if lost else ""


@cache
def options(recipe: str) -> frozenset[str]:
    """The options that a recipe has."""
    module, said = module_of(recipe), io.StringIO()
    with redirect_stdout(said), redirect_stderr(said), pytest.raises(SystemExit):
        if hasattr(module, "PRESETS"):
            run_cli(print, presets=module.PRESETS, doc="", args=("--help",))
        else:
            run_options(print, module.Config, doc="", args=("--help",))
    return frozenset(re.findall(r"--[a-z][\w.-]*", said.getvalue()))


def refused(command: Command) -> str:
    """Why no recipe takes a command; nothing if one does."""
    if command.recipes == NAMES and len(command.words) == 1:
        option, _, value = command.words[0].partition("=")
        known = set().union(*OTHERS.values(), *map(options, NAMES))
        known |= {name.partition(".")[0] for name in known if "." in name}  # as `--run` with all
        if not value or option not in known:
            return "" if option in known else f"no recipe has an option {option}"
    said = []
    for recipe, words in _tried(command):
        said.append(refusal(recipe, words))
        if not said[-1]:
            return ""
    return said[0] if said else "no recipe is named before it"


def _tried(command: Command) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The command lines that may take a command; of all recipes, first those with its option."""
    words = command.words
    if command.recipes != NAMES:
        yield from ((recipe, words) for recipe in command.recipes)
        return
    yield from (
        (recipe, words) for recipe in sorted(NAMES, key=lambda r: words[0] not in options(r))
    )
    yield from ((recipe, (*words, *more)) for recipe, more in NEEDED.items())


def everything() -> list[Command]:
    found = [call for page in PAGES for call in _of_page(page)]
    for page in TUTORIALS:
        found += commands(f"{page.name}.rst", pages.prose_of(page.read_text(encoding="utf-8")))
    for recipe in NAMES:
        tree = ast.parse((ROOT / file_of(recipe)).read_text(encoding="utf-8"))
        found += of_docstring(recipe, ast.get_docstring(tree) or "")
    return found


def _of_page(page: Path) -> list[Command]:
    return commands(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8"))


COMMANDS = everything()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: f"{c.where} {' '.join(c.words)}"[:60])
def test_a_command_is_taken(command: Command) -> None:
    why = refused(command)
    assert not why, f"{command.where}: {' '.join(command.words)}\n{why}"


@pytest.mark.parametrize("recipe", NAMES)
def test_each_recipe_says_how_to_run_it(recipe: str) -> None:
    assert [c for c in COMMANDS if c.where.startswith(file_of(recipe)) and recipe in c.recipes]


def test_the_readme_and_the_pages_have_commands() -> None:
    wheres = [command.where.partition(":")[0] for command in COMMANDS]
    assert wheres.count("README.md") > 15 and wheres.count("docs/datasets.rst") > 15
    assert {"docs/tasks.rst", "docs/classification.rst", "docs/reliability.rst"} <= set(wheres)


RST = """
Run ``python -m
recipes.paper_pretrain`` with ``--run.devices 2`` or ``--run.resume``:

.. code-block:: bash

   # with a comment
   python -m recipes.paper_pretrain folder --data.root DIR    # your own videos
   FAST=1 torchrun --nnodes 2 -m recipes.paper_pretrain vggsound \\
       --data.root DIR --run.nodes N && echo done
   python -m recipes.predict FILE... --checkpoint RUN... > log

.. code-block:: python
   :caption: recipes/mine.py

   from recipes.paper_finetune import PRESETS, main

``python -m recipes.mine folder`` is a recipe like any other. ``--base-lr`` is an option of
some, and ``--hop 0.5`` of one. ``paper_pretrain folder --help`` tells of more,
``tensorboard --logdir runs`` of another program, ``python docs/gallery.py runs`` of a script.
"""
MD = """
`python -m recipes` lists `python -m recipes.NAME`.

```bash
python3 -m venv .venv && .venv/bin/python -m recipes.paper_pretrain
```

| `python -m recipes.paper_finetune ...` | `... vggsound`, `audioset` |
"""
DOC = r"""Learn.

Commands:
    python -m recipes.paper_pretrain                   (two CPU cores, a user's own)
    python -m recipes.paper_pretrain vggsound --data.root DIR \
        --image-weights mae.pth                        (8 GPUs)

Try:
    --model.fusion dense   (it's slower)
"""


def test_commands_are_found() -> None:
    pretrain, finetune = ("paper_pretrain",), ("paper_finetune",)
    assert commands("x.rst", RST) == [
        Command("x.rst:8", pretrain, ("folder", "--data.root", "DIR")),
        Command("x.rst:9", pretrain, ("vggsound", "--data.root", "DIR", "--run.nodes", "1")),
        Command("x.rst:11", ("predict",), ("FILE...", "--checkpoint", "RUN...")),
        Command("x.rst:2", pretrain, ()),
        Command("x.rst:18", finetune, ("folder",)),
        Command("x.rst:20", ("docs/gallery.py",), ("runs",)),
        Command("x.rst:3", NAMES, ("--run.devices", "2")),
        Command("x.rst:3", NAMES, ("--run.resume",)),
        Command("x.rst:18", NAMES, ("--base-lr",)),
        Command("x.rst:19", NAMES, ("--hop", "0.5")),
        Command("x.rst:19", pretrain, ("folder", "--help")),
        Command("x.rst:20", ("tensorboard",), ("--logdir", "runs")),
    ]
    assert commands("x.md", MD) == [
        Command("x.md:5", pretrain, ()),
        Command("x.md:8", finetune, ()),
        Command("x.md:8", (*pretrain, *finetune), ("vggsound",)),
    ]
    assert [(c.recipes, c.words) for c in of_docstring("paper_pretrain", DOC)] == [
        (pretrain, ()),
        (pretrain, ("vggsound", "--data.root", "DIR", "--image-weights", "mae.pth")),
        (pretrain, ("--model.fusion", "dense")),
    ]
    for command in [*commands("x.rst", RST), *commands("x.md", MD)]:
        assert not refused(command), command


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("x.rst", "Run ``python -m recipes.paper_pretrain --data.rot DIR``.", "--data.rot"),
        ("x.rst", "   python -m recipes.paper_pretrain \\\n       --batches 2", "--batches"),
        ("x.rst", "   python -m recipes.paper_pretrain --batch many", "many"),
        ("x.rst", "   python -m recipes.paper_pretrain fastest", "no preset 'fastest'"),
        ("x.rst", "   python -m recipes.paper_pretrian", "no recipe paper_pretrian"),
        ("x.rst", "   python -m recipes.predict a.mp4 --windows 2", "--windows"),
        ("x.rst", "With ``--run.resumed`` it goes on.", "--run.resumed"),
        ("x.rst", "With ``--data.on-error ignore`` it goes on.", "ignore"),
        ("x.rst", "The rate is ``--bse-lr``.", "--bse-lr"),
        ("x.rst", "With ``--hopp`` or ``--hop`` windows overlap.", "--hopp"),
        ("x.rst", "With ``--masks trinary``.", "--masks"),
        ("x.rst", "With ``--batch=many``.", "many"),
        ("x.rst", "``paper_pretrain fastest --help`` shows them.", "fastest"),
        ("x.rst", "``tensorboard --logdirs runs`` shows them.", "--logdirs"),
        ("x.md", "The rate is `--bse-lr`.", "--bse-lr"),
        ("x.rst", "   python tests/parity/measure.py --outt x", "no option --outt"),
        ("x.rst", "   python tests/parity/measures.py --out x", "no file tests/parity/measures"),
        ("x.md", "`python docs/galery.py`", "no file docs/galery.py"),
        ("x.md", "`python -m recipes.paper_finetune`, `... vggss`", "no preset 'vggss'"),
        ("x.md", "```\npython -m recipes.benchmark --second 1\n```", "--second"),
    ],
)
def test_a_wrong_one_is_refused(name: str, text: str, why: str) -> None:
    (wrong,) = [command for command in commands(name, text) if refused(command)]
    assert why in refused(wrong)


def test_something_wrong_to_try_is_refused() -> None:
    wrong = of_docstring(
        "paper_pretrain", DOC.replace("--model.fusion dense", "--model.fusion wet")
    )
    assert "wet" in refused(wrong[-1]) and not any(map(refused, wrong[:-1]))

"""The vocabulary of the prose: one spelling of each word, and the terms of the field.

`WORDS` lists patterns of words that are not used, each with what to write instead. It is no style
checker. To check more files, add a file or a folder to `ROOTS`. Of Python files, strings and
comments are checked; of pages, everything except literals, roles, paths and names of the code.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOTS = ("README.md", "CHANGELOG.md", "docs", "avblocks", "recipes")
IGNORED = {"_build", "_static", "auto_tutorials", "results"}

_STEMS = (
    "categor central character custom emphas factor general initial local maxim minim normal optim "
    "organ parallel quant random real recogn regular serial special standard summar synchron token "
    "util visual"
).replace(" ", "|")
_NUMBERS = (
    r"\d|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|thirty|hundred|thousand|minutes"
)
WORDS = {
    r"pictures?": "image, or figure for a drawing",
    r"(own|wrong) sounds?|sounds of|sounds and|what sounds": "audio, or matched audio",
    r"(with|without) sound(?! (localization|separation)\b)": "with audio",
    r"colour\w*": "color",
    r"grey\w*": "gray",
    r"centr(e|es|ed)": "center",
    r"neighbour\w*": "neighbor",
    r"behaviour\w*": "behavior",
    r"licence": "license",
    r"labell(ed|ing)": "labeled",
    r"modell(ed|ing)": "modeled",
    r"learnt": "learned",
    r"analys(e|es|ed|ing)": "analyze",
    rf"({_STEMS})is(e|es|ed|er|ers|ing|ation|ations)": "-ize",
    r"per cent": "percent, or % after a number",
    r"the own": "matched, or its own",
    r"mean 0 and deviation 1": "zero mean and unit variance",
    r"not a number": "NaN",
    r"(an|the) (ear|eye)": "audio alone, image alone",
    r"whoever": "the process, the user",
    r"who(?= (hears|sees)\b)": "audio alone, image alone",
    r"what became of": "a report on",
    r"(goes?|going|gone|went) on": "continue, resume",
    rf"some(?= ({_NUMBERS})\b)": "about",
    r"(clips|frames|images|samples) a second": "per second",
    r"lies|lie": "is, are",
    r"told": "reported, or message",
    r"wants": "needs",
    r"in silence": "silently, or with silence",
    r"at work": "active",
    r"but for": "except",
    r"lab notes?": "recipe card",
    r"cheats?": "baseline",
    r"floors": "layers",
    r"strangers?": "mismatched pairs",
    r"swapped (audio|image)": "mismatched",
    r"bare step": "model-only step",
    r"made on the spot": "synthetic",
    r"(that|which) sounds?(?! like)": "sounding",
    r"signs? of life": "heartbeat",
    r"at hand": "available",
    r"once more": "again",
    r"now and then": "sometimes",
    r"(some|no)body": "the user, no process",
    r"(has|have) it not": "does not have it",
    r"of no use here": "not used",
    r"whatever": "any, independent of",
    r"thereby|whereby|hereby": "therefore",
    r"(is|are) worth": "the gain, the effect",
}
"""Patterns, each of whole words, and what to write instead."""

# A name of the code or a path goes on with `_`, `.`, `/` or `(` and no blank.
_WORD = r"(?<![\w/.\-])(?:{})(?![\w(=]|[/.\-]\w)"
_BANNED = {
    re.compile(_WORD.format(pattern.replace(" ", r"\s+")), re.IGNORECASE): instead
    for pattern, instead in WORDS.items()
} | {re.compile(r"\d %"): "no blank before %"}
_LITERAL = re.compile(
    r"^ *:yes-no:.*$|:[\w:]+:`[^`]*`|``[^`]+``|`[^`]+`|^ *\.\. auto\w+::.*$|\]\([^)]*\)", re.M
)


def prose(name: str, text: str) -> str:
    """Blank everything except the prose, so that lines keep their numbers."""
    kept = _of_python(text) if name.endswith(".py") else text
    return _LITERAL.sub(lambda literal: re.sub(r"\S", "_", literal[0]), kept)


# Names of arguments in a docstring, and expressions in an f-string.
_ARGUMENT = re.compile(r"^ *\**\w+:(?= )", re.MULTILINE)
_FIELD = re.compile(r"\{[^{}]*\}")


def _without_names(string: str) -> str:
    """Blank the names in a string of Python; a string of one word is a name."""
    if re.fullmatch(r"\w*(['\"])\S*\1", string):
        return "_" * len(string)
    blanked = _ARGUMENT.sub(lambda name: "_" * len(name[0]), string)
    fields = string[:1].lower() == "f" or string[:2].lower() in ("rf", "fr")
    return _FIELD.sub(lambda field: "_" * len(field[0]), blanked) if fields else blanked


def _of_python(text: str) -> str:
    lines = [" " * len(line) for line in text.splitlines()]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if tokenize.tok_name[token.type] in ("STRING", "COMMENT", "FSTRING_MIDDLE"):
            text = _without_names(token.string)
            for row, part in enumerate(text.split("\n"), start=token.start[0] - 1):
                column = token.start[1] if row == token.start[0] - 1 else 0
                lines[row] = lines[row][:column] + part + lines[row][column + len(part) :]
    return "\n".join(lines)


def banned(name: str, text: str) -> list[str]:
    """List the banned words of a file, each with its line and what to write instead."""
    checked = prose(name, text)
    found = [(m, instead) for word, instead in _BANNED.items() for m in word.finditer(checked)]
    return [
        f"{name}:{checked[: m.start()].count(chr(10)) + 1}: {' '.join(m[0].split())!r}: "
        f"write {instead}"
        for m, instead in sorted(found, key=lambda pair: pair[0].start())
    ]


def files() -> Iterator[Path]:
    for root in ROOTS:
        path = ROOT / root
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix in (".md", ".rst", ".py") and not IGNORED & set(file.parts):
                yield file


@pytest.mark.parametrize("file", list(files()), ids=lambda file: str(file.relative_to(ROOT)))
def test_the_words_are_those_of_the_vocabulary(file: Path) -> None:
    found = banned(str(file.relative_to(ROOT)), file.read_text(encoding="utf-8"))
    assert found == [], "\n".join(found)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a picture.", "picture"),
        ("\nPictures, and more", "Pictures"),
        ("The optimiser's state", "optimiser"),
        ("Localisation", "Localisation"),
        ("a run goes\non", "goes on"),
        ("after some four minutes", "some"),
        ("reads 90 clips a second", "clips a second"),
        ("59 % of", "9 %"),
        ("in per\ncent", "per cent"),
        ("the own audio", "the own"),
        ("who hears everything", "who"),
    ],
)
def test_a_banned_word_is_found(text: str, word: str) -> None:
    (found,) = banned("x.rst", f"Words.\n{text}\n")
    at = f"Words.\n{text}".lower()
    line = at[: at.index(word.lower().split()[0])].count("\n") + 1
    assert found.startswith(f"x.rst:{line}: {word!r}: write ")


@pytest.mark.parametrize(
    "text",
    [
        "``colour`` and `picture` in :class:`~avblocks.Picture`",
        ".. image:: pictures/a.png\n.. autofunction:: avblocks.data.whole_picture",
        "![Figure](docs/pictures/a.png) of some kind, a second time",
        "sound localization, with sound separation, 59%, silence",
    ],
)
def test_names_and_other_words_are_allowed(text: str) -> None:
    assert banned("x.rst", text) == []


def test_of_python_strings_and_comments_are_checked() -> None:
    text = 'def picture(colour):\n    """A\n    picture."""\n    return colour  # grey\n'
    assert [found.partition(": write")[0] for found in banned("x.py", text)] == [
        "x.py:3: 'picture'",
        "x.py:4: 'grey'",
    ]


def test_names_in_strings_of_python_are_allowed() -> None:
    text = 'x = ["picture", f"an image {pictures}"]\n"""A.\n\nArgs:\n    floor: an image.\n"""\n'
    assert banned("x.py", text) == []
    assert banned("x.py", text.replace("an image {", "a picture {")) != []

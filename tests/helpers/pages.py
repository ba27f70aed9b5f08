"""Code blocks of the documentation: found on a page, and run as a reader would.

What the tests run is spelled in one way, so that no block is missed: ``.. code-block:: python`` in
reStructuredText, a fence of three backticks and ``python`` in Markdown. Any other spelling that
shows code is refused, and so is code of another file, unless it is one that other tests run. A
block with a ``:caption:`` that names a ``.py`` file is a file, which later blocks import. A block
that cannot run has a mark with a reason before it: ``.. not run: REASON`` or
``<!-- not run: REASON -->``.
"""

import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OTHER_LANGUAGES = ("bash", "text", "console", "json", "toml", "csv", "bibtex", "rst")
"""What may be shown and is not run."""
_OPENING = {
    ".rst": re.compile(r"( *)\.\. code-block:: (?P<language>\S+)"),
    ".md": re.compile(r"```(?P<language>\w+)"),
}
_ESCAPES = {
    ".rst": re.compile(
        r".*>>>( |$)"
        r"|(?i:.*\.\. +(code|code-block|sourcecode|highlight|doctest|testcode|parsed-literal) ?::)"
        r"|(?i:.*\.\. +(include|literalinclude) ?::)"
        r"(?! (gallery\.py|pretrain\.slurm|\.\./(recipes|tests)/[\w/]+\.py"
        r"|\.\./examples/mteb_encoder\.py)$)"
        r"|(?!\s*\.\. [\w|][^:]*::\s*$).*::\s*$"  # a literal block, unless it is a directive
    ),
    ".md": re.compile(r".*>>>( |$)|\s*(```|~~~)|( {4}|\t)\s*\S"),
}
_MARK = re.compile(r"\s*(?:\.\.|<!--) *not run\b:?(?P<reason>.*?)(?:-->)?\s*")


def written(docs: Path) -> list[Path]:
    """The pages of a folder, without those that a build has made of tutorials."""
    return [page for page in sorted(docs.rglob("*.rst")) if "auto_tutorials" not in page.parts]


def prose_of(tutorial: str) -> str:
    """The text of a tutorial as reStructuredText: its docstring, and comments after ``# %%``."""
    head, _, rest = tutorial.partition('\n"""\n')
    cells = re.findall(r"^# %%\n((?:#.*\n)+)", rest, flags=re.MULTILINE)
    return "\n".join((head[3:], *(re.sub(r"^# ?", "", c, flags=re.MULTILINE) for c in cells)))


@dataclass(frozen=True)
class Block:
    """A block of Python on a page.

    Attributes:
        line: where its code begins, from 1.
        code: the code.
        file: what its caption calls the file, if it is one.
        reason: why it is not run, if it is not.
    """

    line: int
    code: str
    file: str | None
    reason: str | None


def blocks(name: str, text: str) -> list[Block]:
    """Find the blocks of Python on a page, in order.

    Raises:
        ValueError: naming page and line, if code is shown in a way that would not be found.
    """
    lines, found, reason = text.splitlines(), [], None
    for at, language, stop in _parts(lines, Path(name).suffix):
        if language == "python":
            found.append(_block(lines, at + 1, stop, reason=reason))
            reason = None
        elif lines[at].strip():
            marks = None if language else _MARK.fullmatch(lines[at])
            wrong = _wrong(lines[at], Path(name).suffix, language, marks, before=reason)
            if wrong:
                raise ValueError(f"{name}:{at + 1}: {wrong}")
            reason = marks["reason"].strip() if marks else None
    if reason is not None:
        raise ValueError(f"{name}:{len(lines)}: 'not run' stands before no block of Python")
    return found


def _parts(lines: list[str], kind: str) -> Iterator[tuple[int, str | None, int]]:
    """Blocks with their language, and the lines outside of them: where each begins and ends."""
    at = 0
    while at < len(lines):
        opening = _OPENING[kind].fullmatch(lines[at].rstrip())
        ends = at + 1
        while opening and ends < len(lines) and not _closes(lines[ends], kind, opening):
            ends += 1
        ends += opening is not None and kind == ".md"  # the fence that closes it
        yield at, opening and opening["language"], ends
        at = ends


def _closes(line: str, kind: str, opening: re.Match[str]) -> bool:
    if kind == ".md":
        return line.rstrip() == "```"
    return bool(line.strip()) and len(line) - len(line.lstrip()) <= len(opening[1])


def _wrong(
    line: str, kind: str, language: str | None, marks: re.Match[str] | None, *, before: str | None
) -> str | None:
    if before is not None:
        return "'not run' stands before no block of Python"
    if language:
        allowed = ("python", *OTHER_LANGUAGES)
        return None if language in allowed else f"write one of: {', '.join(allowed)}"
    if marks:
        return None if marks["reason"].strip() else "'not run' without a reason"
    return f"code that no test would find: {line.strip()}" if _ESCAPES[kind].match(line) else None


def _block(lines: list[str], start: int, stop: int, *, reason: str | None) -> Block:
    file = None
    while start < stop and (option := re.fullmatch(r"\s+:([\w-]+):\s*(.*)", lines[start])):
        if option[1] == "caption" and option[2].endswith(".py"):
            file = option[2]
        start += 1
    while start < stop and not lines[start].strip():
        start += 1
    code = textwrap.dedent("\n".join(line for line in lines[start:stop] if line != "```"))
    return Block(start + 1, code.rstrip() + "\n", file, reason)


def write_files(name: str, text: str, folder: Path) -> dict[str, Path]:
    """Write the files of a page into a folder, and tell where each one is."""
    written = {}
    for block in blocks(name, text):
        if block.file:
            written[block.file] = folder / block.file
            written[block.file].parent.mkdir(parents=True, exist_ok=True)
            written[block.file].write_text(block.code, encoding="utf-8")
    return written


def run(page: Path, text: str, folder: Path) -> int:
    """Run a page's blocks in order, in one namespace; its files as modules, without their main.

    Tracebacks name the page and the line on it. Later blocks find the files where ``folder`` is on
    ``sys.path``. Returns the number of blocks that were run.
    """
    write_files(page.name, text, folder)
    names: dict[str, Any] = {"__name__": "guide"}
    for block in blocks(page.name, text):
        if block.reason is None:
            code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
            exec(code, {"__name__": Path(block.file).stem} if block.file else names)
    return sum(block.reason is None for block in blocks(page.name, text))


def forget(folder: Path) -> None:
    """Forget the modules that were imported from a folder."""
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(folder):
            del sys.modules[name]

"""List the recipes: `python -m recipes`, or run one: `python -m recipes NAME [OPTIONS]`."""

import ast
import runpy
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path


def recipes(folder: Path) -> dict[str, str]:
    """Return the name and the first docstring line of each recipe, without importing it.

    A recipe is a runnable file, here or in a package; a package is run by its `__main__`.
    """
    found = {}
    for path in sorted([*folder.glob("*.py"), *folder.glob("*/*.py")]):
        text = path.read_text(encoding="utf-8")
        name = ".".join(path.relative_to(folder).with_suffix("").parts)
        if 'if __name__ == "__main__":' in text and name != "__main__":
            doc = ast.get_docstring(ast.parse(text)) or "(no docstring)"
            found[name.removesuffix(".__main__")] = doc.splitlines()[0]
    return dict(sorted(found.items()))


def listing(found: dict[str, str]) -> str:
    """Return the recipes, one per line."""
    width = max(map(len, found), default=0)
    head = "Run one with `python -m recipes.NAME`, see its settings with `--help`:\n"
    return "\n".join([head, *(f"  {name:{width}}  {line}" for name, line in found.items())])


def main(words: Sequence[str]) -> None:
    """Run the recipe of that name, or list all of them."""
    found = recipes(Path(__file__).parent)
    if not words or words[0].startswith("-"):
        print(listing(found))
        return
    name = words[0].removeprefix("recipes.")
    if name not in found:
        close = get_close_matches(name, found, n=1, cutoff=0.5)
        meant = f"; the closest is {close[0]}" if close else ""
        print(f"error: no recipe {name!r}{meant}\n\n{listing(found)}", file=sys.stderr)
        sys.exit(2)
    sys.argv = [sys.argv[0], *words[1:]]
    runpy.run_module(f"recipes.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])

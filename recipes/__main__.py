"""List the recipes: `python -m recipes`."""

import ast
from pathlib import Path


def recipes(folder: Path) -> dict[str, str]:
    """Return each recipe's name and the first line of its docstring, without importing it.

    A recipe is a file, or a package that has a `__main__`.
    """
    found = {}
    for path in sorted([*folder.glob("[!_]*.py"), *folder.glob("*/__main__.py")], key=_name):
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "(no docstring)"
        found[_name(path)] = doc.splitlines()[0]
    return found


def _name(path: Path) -> str:
    return path.parent.name if path.stem == "__main__" else path.stem


def main() -> None:
    """Print the recipes, one a line."""
    found = recipes(Path(__file__).parent)
    width = max(map(len, found), default=0)
    print("Run one with `python -m recipes.NAME`, see its settings with `--help`:\n")
    for name, line in found.items():
        print(f"  {name:{width}}  {line}")


if __name__ == "__main__":
    main()

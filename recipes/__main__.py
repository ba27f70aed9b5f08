"""List the recipes: `python -m recipes`."""

import ast
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


def main() -> None:
    """Print the recipes, one per line."""
    found = recipes(Path(__file__).parent)
    width = max(map(len, found), default=0)
    print("Run one with `python -m recipes.NAME`, see its settings with `--help`:\n")
    for name, line in found.items():
        print(f"  {name:{width}}  {line}")


if __name__ == "__main__":
    main()

"""JSON files: atomic writing, and reading with validation of their content."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avblocks.files import write_text

Shape = type | tuple[Any, ...] | list[Any] | dict[str, Any]
"""A type, several types, a list of the shape of items, or an object of shapes by key."""


_SEAL = "content_sha256"


def digest(content: Mapping[str, Any]) -> str:
    """Return the sha256 of JSON content, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Add the sha256 of JSON content, which `read_json` verifies and removes."""
    return {**content, _SEAL: digest(content)}


def write_json(path: Path, content: object) -> None:
    """Write an indented JSON file atomically, see `avblocks.files.replacing`."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: Path, shape: Shape = object, *, remedy: str) -> Any:
    """Read and validate a JSON file in UTF-8, with or without byte order mark.

    Args:
        path: The file.
        shape: Expected content: ``{"rows": [int]}`` is an object with a key ``rows`` (and possibly
            others) whose value is a list of integers; the key ``"*"`` stands for all keys.
        remedy: What to do about a file that cannot be used; the end of the error message.

    Raises:
        ValueError: If the file is missing, is not JSON, has other content, or differs from its
            checksum, see `sealed`.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; {remedy}")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}, line {error.lineno}: broken JSON ({error.msg}); {remedy}"
        ) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, too many digits or levels
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise ValueError(f"{path}: no JSON in UTF-8 ({reason}); {remedy}") from error
    if isinstance(content, dict) and content.pop(_SEAL, digest(content)) != digest(content):
        why = f"damaged, or changed by hand (then remove its {_SEAL})"
        raise ValueError(f"{path}: {why}; {remedy}")
    fault = shape_fault(content, shape)
    if fault is not None:
        raise ValueError(f"{path}: {fault}; {remedy}")
    return content


def shape_fault(value: Any, shape: Shape, *, name: str = "the content") -> str | None:
    """Return where content deviates from a shape, or None; see `read_json`.

    >>> shape_fault({"rows": [1, "2"]}, {"rows": [int]})
    "'rows', 1 is '2', expected int"
    >>> shape_fault({}, {"rows": [int]})
    "the content lacks the key 'rows'"
    """
    if isinstance(shape, dict):
        return _object_fault(value, shape, name)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{name} is {value!r:.60}, expected a list"
        parts = ((item, shape[0], _inside(name, n)) for n, item in enumerate(value))
        return _first(parts)
    if isinstance(shape, tuple):
        faults = [shape_fault(value, kind, name=name) for kind in shape]
        return faults[0] if all(faults) else None
    return (
        None if isinstance(value, shape) else f"{name} is {value!r:.60}, expected {shape.__name__}"
    )


def _object_fault(value: Any, shape: dict[str, Shape], name: str) -> str | None:
    if not isinstance(value, dict):
        return f"{name} is {value!r:.60}, expected an object"
    missing = next((key for key in shape if key != "*" and key not in value), None)
    if missing is not None:
        return f"{name} lacks the key {missing!r}"
    kinds = {key: shape.get(key, shape.get("*", object)) for key in value}
    return _first((value[key], kind, _inside(name, key)) for key, kind in kinds.items())


def _first(parts: Any) -> str | None:
    faults = (shape_fault(value, shape, name=name) for value, shape, name in parts)
    return next((fault for fault in faults if fault is not None), None)


def _inside(name: str, key: object) -> str:
    return repr(key) if name == "the content" else f"{name}, {key!r}"

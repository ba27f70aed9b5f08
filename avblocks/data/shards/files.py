"""Files beside the tar files: JSON that is whole or not there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avblocks.files import write_text

AGAIN = "make the shards anew with recipes.make_shards"


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Raises:
        ValueError: If it is missing or is not one.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; is this a folder of shards?")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error}); {AGAIN}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}: no JSON object; {AGAIN}")
    return found


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file so that a kill leaves the old one or the new one."""
    write_text(path, json.dumps(value, separators=(",", ":")))

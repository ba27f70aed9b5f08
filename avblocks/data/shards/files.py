"""Atomic JSON files of shards, and the remedies in their error messages."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avblocks.files import write_text

AGAIN = "make the shards anew with recipes.make_shards"
COMMAND = "python -m recipes.make_shards NAME --data.root DIR"


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file atomically: a kill leaves the old file or the new one."""
    write_text(path, json.dumps(value, separators=(",", ":")))

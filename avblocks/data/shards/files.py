"""Files beside the tar files: JSON that is whole or not there, and what to do if it is not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avblocks.files import write_text

AGAIN = "make the shards anew with recipes.make_shards"
COMMAND = "python -m recipes.make_shards NAME --data.root DIR"


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file so that a kill leaves the old one or the new one."""
    write_text(path, json.dumps(value, separators=(",", ":")))

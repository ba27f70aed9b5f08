r"""A recipe that meets one bad clip, the sixth to train on, whenever it is drawn.

Command:
    python -m tests.reliability.faulty dies|hangs|nan [PRESET] [OPTIONS]

Reading it kills the process that reads, hangs, or gives a sound that is no number. The time of the
first such reading is left in the file that the variable FAULT names.
"""

import math
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from avblocks.data import AVClip, read_clip
from avblocks.data.datasets import Item
from recipes import paper_pretrain
from recipes.common import loaders as _loaders
from recipes.common.cli import run_cli

BAD = "train000005"
KINDS = ("dies", "hangs", "nan")


def faulty(kind: str, item: Item, **settings: Any) -> AVClip:
    """Read a clip, the bad one badly."""
    clip = read_clip(item, **settings)
    if BAD not in item.id:
        return clip
    if not (mark := Path(os.environ["FAULT"])).exists():
        mark.write_text(str(time.time()), encoding="utf-8")
    if kind == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "hangs":
        time.sleep(10_000)
    return replace(clip, audio=clip.audio * math.nan)


class Reader:
    """Reads clips in one of the bad ways, in whatever process it is sent to."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, item: Item, **settings: Any) -> AVClip:
        """Read a clip."""
        return faulty(self.kind, item, **settings)


if __name__ == "__main__":
    if sys.argv[1] not in KINDS:
        raise SystemExit(f"{sys.argv[1]} is none of {', '.join(KINDS)}")
    _loaders.read_clip = Reader(sys.argv[1])
    run_cli(
        paper_pretrain.main,
        presets=paper_pretrain.PRESETS,
        doc=paper_pretrain.__doc__,
        args=sys.argv[2:],
    )

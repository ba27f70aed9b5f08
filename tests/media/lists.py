"""Measure the clips that published test lists have in common: `docs/results/lists.json`.

The lists are not in the repository: AVBLOCKS_ANNOTATIONS names their folder.

Command:
    AVBLOCKS_ANNOTATIONS=DIR python -m tests.media.lists
"""

import json
import os
from collections import defaultdict
from pathlib import Path

from avblocks.files import write_text
from recipes.check_data.leaks import APART, SECONDS, VIDEO, id_leaks
from recipes.check_data.sides import list_side

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "lists.json"
NAMES = {
    "vggss": "vggss.json",
    "vggmusic": "vggmusic_eval_ss.csv",
    "avsbench_val": "avsbench_val.csv",
    "music_duet": "music_duet_test.csv",
    "flickr": "flickr_test.csv",
}
AGAINST = "vggsound_test.csv"


def common(folder: Path) -> dict[str, dict[str, int]]:
    """Count the ids of each list that share a video with VGGSound's test list, by kind."""
    other, rows = list_side(folder / AGAINST), {}
    for name, file in NAMES.items():
        side, found = list_side(folder / file), defaultdict[str, set[str]](set)
        for leak in id_leaks(side, other):
            found[leak.kind].add(leak.id)
        counts = {kind: len(found[kind]) for kind in (SECONDS, VIDEO, APART)}
        rows[name] = {"ids": len(side.spans), **counts}
    return rows


def main() -> None:
    """Write the file."""
    rows = common(Path(os.environ["AVBLOCKS_ANNOTATIONS"]))
    write_text(RESULTS, json.dumps(rows, indent=2) + "\n")
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()

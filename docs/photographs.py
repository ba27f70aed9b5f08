"""Figures, videos and audio of the page of photographs: what the runs of one seed find.

Command, after ``python -m recipes.study.ingredients --root SCENES``::

    python docs/photographs.py runs/study_ingredients-study/seed-0 SCENES
"""

import argparse
from pathlib import Path

from gallery import FOLDER, MEDIA, TRAINED, shrink
from media import MIXTURES, record_maps, record_separation, separated

from avblocks.jsonfile import read_json

CLIPS = ("alone", "beside")
"""Test clips: an animal alone, and one beside another that is silent."""
FIGURES = {f"photographs_{name}": source for name, source in TRAINED.items()}
"""Stored figures, and the files of one seed that they come from."""
RECORDED = (
    *(f"{task}-{name}.mp4" for task in ("localization", "segmentation") for name in CLIPS),
    *(f"photographs-{file}" for file in separated(MIXTURES[:1])),
)
"""Stored videos and audio."""


def held_out_clips(scenes: Path) -> dict[str, Path]:
    """Find the first test clips of both kinds."""
    found: dict[str, Path] = {}
    for file in sorted((scenes / "annotations").glob("test-*.json")):
        facts = read_json(file, dict, remedy="make the scenes again")
        kind = CLIPS[bool(facts["silent"])]
        if kind not in found and not facts["offscreen"]:
            (found[kind],) = (scenes / "clips").glob(f"*/{facts['id']}_*.mp4")
    return found


def main() -> None:
    """Write the stored files again."""
    parser = argparse.ArgumentParser(description="Write what the page on photographs shows.")
    parser.add_argument("runs", type=Path, help="folder of one seed of study.ingredients")
    parser.add_argument("scenes", type=Path, help="folder from recipes.make_scenes")
    given = parser.parse_args()
    for name, source in FIGURES.items():
        shrink(given.runs / source, FOLDER / name)
    MEDIA.mkdir(exist_ok=True)
    record_maps(given.runs, held_out_clips(given.scenes), MEDIA)
    record_separation(given.runs, MEDIA, mixtures=MIXTURES[:1], prefix="photographs-")


if __name__ == "__main__":
    main()

"""Write and list composed scenes in the layouts of VGGSound, VGG-SS, AVSBench and MUSIC."""

from collections.abc import Callable
from pathlib import Path

from avblocks.csvlog import write_csv
from avblocks.data.datasets.clipset import ClipSet
from avblocks.data.scenes.as_boxes import scenes_as_vggss
from avblocks.data.scenes.as_masks import scenes_as_avsbench
from avblocks.data.scenes.as_sources import scenes_as_music
from avblocks.data.scenes.classes import Split
from avblocks.data.scenes.compose import ComposedScenes
from avblocks.data.scenes.dataset import MANIFEST, listed, make, read_manifest
from avblocks.data.scenes.files import notes_file, read_notes
from avblocks.shapes import require_choice

REFUSED = "refused.csv"
"""File that lists the ingredients and backgrounds that cannot be used."""


def compose_scenes(
    root: str | Path, source: ComposedScenes, *, train: int, test: int, workers: int = 2
) -> tuple[ClipSet, ClipSet]:
    """Compose the scenes that are not on disk yet, and list those of training and test.

    The folder has the files of ``scenes``, ``vggss.json``, the lists of MUSIC, ``refused.csv``, and
    in ``avsbench`` the layout of AVSS. An interrupted call can be repeated; it continues with the
    missing scenes.

    Args:
        root: Folder that contains nothing but this data set.
        source: Ingredients and settings.
        train: Number of training scenes.
        test: Number of test scenes.
        workers: Number of threads.

    Raises:
        ValueError: If the folder contains scenes of other settings, or other files.
    """
    root = Path(root)
    sets = (
        make(root, source, split="train", num_clips=train, workers=workers),
        make(root, source, split="test", num_clips=test, workers=workers),
    )
    rows = ([one.name, one.reason] for one in source.stock.refused)
    write_csv(root / REFUSED, ("name", "reason"), rows)
    scenes_as_vggss(root, source=source)
    scenes_as_music(root, source=source)
    scenes_as_avsbench(root, part="avss", workers=workers, source=source, val=False)
    return sets


def composed(root: str | Path, *, split: Split) -> ClipSet:
    """List the composed scenes of a split, with the classes of all ingredients.

    Raises:
        ValueError: If the folder contains none.
    """
    root = Path(root)
    require_choice("train", "test", split=split)
    found = read_manifest(root)
    if "classes" not in found or not found["counts"][split]:
        raise ValueError(
            f"{root / MANIFEST}: lists no composed scenes for {split}; make them with "
            "python -m recipes.make_scenes --out DIR"
        )
    classes = tuple(found["classes"])
    return listed(root, split=split, count=found["counts"][split], classes=classes)


def composed_mismatched(root: str | Path, clips: ClipSet) -> Callable[[int, int], bool]:
    """Return a condition for mismatched audio: nothing in it is visible, not even silent.

    Args:
        root: Folder of composed scenes.
        clips: Some of its scenes, in any layout.

    Returns:
        A function of the index of the clip of the image and that of the audio, which
        `mismatched_pairs` takes as ``unlike``.

    Raises:
        ValueError: If an annotation is missing.
    """
    notes = [read_notes(notes_file(Path(root), item)) for item in clips.items]
    seen = [{*some["class"], *some["silent"]} for some in notes]
    heard = [{*some["class"], *some.get("offscreen", [])} for some in notes]
    return lambda first, second: not seen[first] & heard[second]

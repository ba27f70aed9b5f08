"""Training and test clips of the data of a recipe: `train_set`, `test_set`, `train_test_sets`."""

from functools import cache
from pathlib import Path
from typing import Literal, get_args

from avblocks.data.datasets import ClipSet, subset, vggsounder
from avblocks.data.datasets.vggsounder import Modality
from avblocks.data.shards import Shards
from recipes.common.data_settings import COMPOSED_DATA as COMPOSED_DATA
from recipes.common.data_settings import FREE as FREE
from recipes.common.data_settings import SCENES_DATA as SCENES_DATA
from recipes.common.data_settings import Data as Data
from recipes.common.evaluation import evaluated
from recipes.common.needs import check_needs, with_classes
from recipes.common.read_set import read_set
from recipes.common.sets import CACHE as CACHE
from recipes.common.sets import PAIRS
from recipes.common.sets import DataName as DataName


def train_set(data: Data) -> ClipSet:
    """List the training clips, and print their number; a ValueError if there are none."""
    data.check()
    clips = _all(data, train=True)
    assert clips is not None
    return _reported(data, clips, data.list)


def test_set(data: Data) -> ClipSet | None:
    """List the labeled test clips, if there are any, see `train_set`."""
    clips = _all(data, train=False)
    return None if clips is None else _reported(data, clips, data.test_list)


def _all(data: Data, *, train: bool) -> ClipSet | None:
    """List the clips of the shards or the files."""
    val = data.split == "val"
    if data.shards is None:
        return read_set(
            data.name,
            data.root,
            train=train,
            counts=data.scenes,
            val=val,
            test_list=data.test_list,
        )
    if val:
        raise ValueError("shards have no split to validate on: leave --data.split out")
    shards, split = open_shards(data.shards), "train" if train else "test"
    return shards.clips(split) if train or split in shards.splits else None


def labels_by_modality(data: Data) -> dict[str, ClipSet]:
    """List the test clips with the classes that one can hear, see, and so on, of VGGSounder.

    Shards do not tell them apart.
    """
    if data.name != "vggsounder" or data.shards is not None:
        return {}
    assert data.root is not None
    every = {name: vggsounder(data.root, modality=name) for name in get_args(Modality)}
    tested = evaluated()
    return every if tested is None else {n: tested.change(clips) for n, clips in every.items()}


def train_test_sets(
    data: Data, *, needs: Literal["classes", "boxes", "masks", "sources"]
) -> tuple[ClipSet, ClipSet]:
    """List training and test clips; a ValueError if the data lacks what the task needs.

    In an evaluation, see `evaluating`, both are the test clips.
    """
    check_needs(data, needs)
    if (tested := evaluated()) is not None:
        data.check()
        test = test_set(data)
        if test is None:
            raise ValueError(f"--data.name {data.name} has no test clips: give another data set")
        return (test := tested.change(test)), test
    train, test = train_set(data), test_set(data)
    if test is not None and data.name in PAIRS:
        _note_tested(train, test)
    lacking = needs == "boxes" and test and any(item.boxes is None for item in test.items)
    if needs == "masks" and data.shards is not None:
        shards = open_shards(data.shards)
        lacking = not all(map(shards.have_masks, shards.splits))
    if lacking:
        raise ValueError(
            f"{data.shards or data.root}: a test clip has no {needs}; if these are shards, make "
            f"them of a data set that has them: python -m recipes.make_shards {data.name} --out DIR"
        )
    if needs == "classes" or test is None:
        return train, with_classes(train, test)
    return train, test


def _note_tested(train: ClipSet, test: ClipSet) -> None:
    """Print the number of training clips with the ids of test clips, if there are any."""
    tested = {item.id for item in test.items}
    both = [item.id for item in train.items if item.id in tested]
    if both:
        print(
            f"note: {len(both)} training clips have the ids of test clips, such as {both[0]}: if "
            "they are the same, leave them out with --data.list",
            flush=True,
        )


@cache
def open_shards(root: str) -> Shards:
    """Open shards, once."""
    return Shards(root)


def _reported(data: Data, clips: ClipSet, only: Path | None) -> ClipSet:
    """Select the clips in the list ``only``, if given, and print the number of clips."""
    if only is not None:
        clips = subset(clips, only)
    print(clips.report(), flush=True)
    if not len(clips):
        root = data.shards or data.root or CACHE
        what = f"none of the clips that {clips.name} lists is on disk"
        raise ValueError(
            f"{root}: {what if clips.missing else f'no clip is left for {clips.name}'}"
        )
    return clips

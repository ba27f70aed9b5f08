"""`read_set`: training and test clips of a data set by name."""

from dataclasses import replace
from pathlib import Path

from avblocks.data.datasets import ClipSet, hold_out, music, stills, vggsound
from recipes.common.scene_sets import Counts, scene_set, scenes_root
from recipes.common.sets import ON_VGGSOUND, OWN, PAIRS, READERS, SOLOS, TRAIN_TEST, DataName


def read_set(
    name: DataName,
    root: Path | None,
    *,
    train: bool,
    counts: Counts,
    val: bool = False,
    test_list: Path | None = None,
) -> ClipSet | None:
    """List the training or test clips of a data set; scenes need counts instead of a root.

    ``test_list`` lists the test clips of your own data; lists of published sets are applied later.

    Returns:
        The clips; of AVSBench, the images with masks; `None` for tests on a folder without classes.

    Raises:
        ValueError: If the root is not given, or its content is wrong.
    """
    if root is None and not name.startswith("scene"):
        raise ValueError(f"the {name} preset needs --data.root DIR, the folder of its clips")
    root = root or scenes_root(name)
    if val and not name.startswith("avsbench"):
        raise ValueError(f"{name} has no split to validate on: leave --data.split out")
    if name in TRAIN_TEST:
        split = "val" if val and not train else TRAIN_TEST[name][not train]
        reader = READERS[name.removesuffix("_balanced")][1][split]
        return reader(root).per_frame() if name.startswith("avsbench") else reader(root)
    if name in PAIRS:
        test = READERS[name][1][PAIRS[name]]
        return stills(root / "train") if train else test(root / "test")
    if name in OWN:
        return OWN[name](root, test_list=test_list)[not train]
    if name in SOLOS:
        return _solos(name, root, train=train)
    if name in ON_VGGSOUND:
        test = READERS[name][1][ON_VGGSOUND[name]]
        return vggsound(root, split="train") if train else test(root)
    return scene_set(name, root, train=train, counts=counts)


def _solos(name: DataName, root: Path, *, train: bool) -> ClipSet:
    solos = music(root, part="solo21" if name == "music21" else "solo")
    # A video that two instruments list is no solo to test on.
    single = tuple(item for item in solos.items if len(item.labels) == 1)
    kept, held = hold_out(replace(solos, items=single))
    if not train:
        return held
    others = tuple(item for item in solos.items if len(item.labels) > 1)
    if name == "music_solo_duet":
        tested = {item.id for item in held.items}
        duets = [item for item in music(root, part="duet").items if item.id not in tested]
        # A video that both lists have is a duet.
        items = {item.id: item for item in (*kept.items, *others, *duets)}
        return replace(kept, name=f"{kept.name}, and duets", items=tuple(items.values()))
    return replace(kept, items=kept.items + others)

"""What tasks need of the data: one image of a clip, boxes, masks or classes."""

from avblocks.data.datasets import ClipSet
from recipes.common.data_settings import Data
from recipes.common.sets import DataName

NEEDS: dict[str, tuple[str, tuple[DataName, ...]]] = {
    "boxes": (
        "boxes",
        (
            *("scene_boxes", "composed_boxes", "vggss", "vggss_plus_silent"),
            *("box_folder", "flickr", "flickr_plus_silent", "music_duet"),
            *("is3", "vpo_ss", "vpo_ms"),
        ),
    ),
    "masks": (
        "masks",
        (
            *("scene_masks", "composed_masks", "mask_folder"),
            *("avsbench_s4", "avsbench_ms3", "avsbench_avss"),
        ),
    ),
    "sources": (
        "classes to tell sounds apart by",
        (
            *("scenes", "composed", "class_folder", "vggsound", "vggsound_music"),
            *("audioset", "audioset_balanced", "music", "music21", "music_solo_duet"),
        ),
    ),
}
"""Requirements of tasks, in words, and the data sets that fulfill them."""


def check_needs(data: Data, needs: str) -> None:
    """Raise a ValueError if a data set lacks what a task needs."""
    if needs not in NEEDS:
        return
    words, names = NEEDS[needs]
    if data.frames > 1:
        raise ValueError(
            "this task looks at one image of a clip: leave --data.frames out, and give the "
            "--checkpoint of an encoder of images, not of videos"
        )
    if data.name not in names:
        raise ValueError(f"--data.name {data.name} has no {words}: {', '.join(names)} have")


def with_classes(train: ClipSet, test: ClipSet | None) -> ClipSet:
    """Return the test clips; a ValueError unless all clips are of the same two or more classes."""
    if test is None or len(train.classes) < 2:
        raise ValueError(f"the data of {train.name} has fewer than two classes to tell apart")
    unlabeled = next((item for item in train.items if not item.labels), None)
    if unlabeled is not None:
        raise ValueError(f"{unlabeled.path}: has no class to learn")
    if train.classes != test.classes:
        raise ValueError(f"{train.name} and {test.name} have different classes")
    return test

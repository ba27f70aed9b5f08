"""Images with several sources, each with its own audio, as in IS3 and VPO."""

from collections.abc import Callable

from avblocks.data.datasets.clipset import ClipSet, Item
from avblocks.data.groups import FixedGroups


def image_and_source(item: Item) -> tuple[str, str]:
    """Split the id of a pair of IS3 or VPO into its image and its sounding source.

    Example:
        >>> image_and_source(Item(id="dog_cat_1_cat", path="dog_cat_1_cat.wav"))
        ('dog_cat_1', 'cat')
    """
    image, _, source = item.id.rpartition("_")
    return image, source


def second_sources(clips: ClipSet) -> FixedGroups | None:
    """Group the two pairs of each image, for `TwoSourceScorer`.

    Args:
        clips: Pairs of images and the audio of one of their sources, as `is3` lists them.

    Returns:
        Groups of three: a pair, the other pair of its image, and again the other pair, whose audio
        is used. Images with only one pair on disk are excluded. ``None`` if no image has two pairs.

    Raises:
        ValueError: If an image has more than two pairs.

    Example:
        >>> names = ("dog_cat_1_dog", "ant_cow_2_ant", "dog_cat_1_cat")
        >>> items = tuple(Item(id=name, path=f"{name}.wav") for name in names)
        >>> second_sources(ClipSet(name="demo", items=items)).places
        ((0, 2, 2),)
    """
    images: dict[str, list[int]] = {}
    for index, item in enumerate(clips.items):
        images.setdefault(image_and_source(item)[0], []).append(index)
    for image, places in images.items():
        if len(places) > 2:
            raise ValueError(f"{clips.name}: {image} has {len(places)} pairs, expected two")
    pairs = [places for places in images.values() if len(places) == 2]
    return FixedGroups(tuple((one, two, two) for one, two in pairs)) if pairs else None


def absent_sources(clips: ClipSet) -> Callable[[int, int], bool]:
    """Return a function of two indices: whether the image of the first lacks the second's source.

    If ids name the objects of an image, as in IS3 (``dog_cat_1_dog``), none of them may begin with
    the name of the source; otherwise, as in VPO, the two images must differ.
    """
    parts = [image_and_source(item) for item in clips.items]

    def lacks(first: int, second: int) -> bool:
        (image, _), (other, source) = parts[first], parts[second]
        return image != other and not any(one.startswith(source) for one in image.split("_"))

    return lacks

"""Images with two sources by the names that IS3 and VPO give their pairs."""

import pytest

from avblocks.data.datasets import ClipSet, Item
from avblocks.data.groups import mismatched_pairs
from avblocks.data.image_sources import absent_sources, second_sources


def clips(*names: str) -> ClipSet:
    return ClipSet("demo", tuple(Item(id=name, path=f"{name}.wav") for name in names))


def test_pairs_of_one_image_are_a_group() -> None:
    names = ("fox_cat_97_fox", "ant_cow_2_ant", "bus_subwaytrain_1_bus", "fox_cat_97_cat")
    groups = second_sources(clips(*names, "bus_subwaytrain_1_subway"))
    assert groups is not None and groups.places == ((0, 3, 3), (2, 4, 4))
    assert second_sources(clips("fox_cat_97_fox", "fox_cat_98_cat")) is None
    with pytest.raises(ValueError, match="demo: 000000489267 has 3 pairs, expected two"):
        second_sources(clips(*(f"000000489267_{number}" for number in (157452, 159191, 160464))))


def test_mismatched_audio_has_no_source_in_the_image() -> None:
    """The next clip is the other object of the image, the one after it one of the same kind."""
    names = ("fox_cat_97_fox", "fox_cat_97_cat", "cat_bus_3_cat", "cat_bus_3_bus")
    listed = clips(*names, "owl_subwaytrain_4_subway", "ant_subwaytrain_5_subway")
    pairs = dict(mismatched_pairs(listed, absent_sources(listed)).places)
    assert pairs == {0: 3, 1: 3, 2: 4, 3: 4, 4: 0, 5: 0}


def test_other_images_are_mismatched_where_names_are_numbers() -> None:
    listed = clips("000000489267_157452", "000000489267_159191", "000000041772_160464")
    assert mismatched_pairs(listed, absent_sources(listed)).places == ((0, 2), (1, 2), (2, 0))

import sys
from dataclasses import FrozenInstanceError
from functools import partial

import pytest

from avblocks import data
from avblocks.data import ClipDataset, datasets
from avblocks.data.datasets import ClipSet, Item, StillImage
from avblocks.tasks.classify import clip_frequency


def test_an_item_is_small_and_frozen():
    item = Item(id="a", path="a.mp4")
    assert sys.getsizeof(item) <= 80 and not hasattr(item, "__dict__")
    assert item.images == () and item.boxes is None
    with pytest.raises(FrozenInstanceError):
        item.path = "b.mp4"  # pyright: ignore


def test_remarks_are_in_the_report():
    clips = ClipSet(name="x", items=(), missing=("a",), remarks=("two boxes are odd", "so what"))
    assert clips.report() == (
        "x: 1 clips listed, 0 on disk, 1 missing (a); two boxes are odd; so what"
    )


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_index_classes(label):
    """-1 would be the last class."""
    items = (Item(id="a", path="a.mp4", labels=(1,)), Item(id="b", path="b.mp4", labels=(label,)))
    clips = ClipSet(name="x", items=items, classes=("p", "q"))
    for use in (clip_frequency, partial(ClipDataset, train=True)):
        with pytest.raises(ValueError, match=r"b.mp4: labels .* must be class numbers below 2, "):
            use(clips)


def test_one_clip_for_each_picture_with_a_mask():
    first, second, third = (
        StillImage(path=f"{n}.png", mask=m) for n, m in ((1, "m"), (2, None), (3, "n"))
    )
    items = (
        Item(id="a", path="a.wav", labels=(1,), images=(first, second, third)),
        Item(id="b", path="b.wav", images=(second,)),
        Item(id="c", path="c.wav", images=(third,)),
    )
    frames = ClipSet(name="x", items=items, classes=("p", "q"), missing=("d",)).per_frame()
    assert frames.name == "x, by frame" and frames.classes == ("p", "q")
    assert frames.report() == (
        "x, by frame: 3 clips listed, 3 on disk; without the frames of 1 missing clips"
    )
    assert frames.items == (
        Item(id="a_1", path="a.wav", labels=(1,), images=(first,)),
        Item(id="a_3", path="a.wav", labels=(1,), images=(third,)),
        Item(id="c_1", path="c.wav", images=(third,)),
    )


@pytest.mark.parametrize(
    ("module", "older", "name"),
    [
        (data, "whole_picture", "whole_square"),
        (data, "write_picture", "write_image"),
        (datasets, "Picture", "StillImage"),
    ],
)
def test_older_names_work_with_a_warning(module, older, name):
    with pytest.warns(DeprecationWarning, match=f"{older} is now {name}"):
        assert getattr(module, older) is getattr(module, name)
    with pytest.raises(AttributeError, match="no attribute 'pictures'"):
        getattr(module, "pictures")  # noqa: B009


def test_the_older_attribute_of_an_item_works_with_a_warning():
    item = Item(id="a", path="a.wav", images=(StillImage("a.png"),))
    with pytest.warns(DeprecationWarning, match=r"Item\.pictures is now Item\.images"):
        assert item.pictures == item.images

import pytest

from avblocks.data.datasets import ClipSet, Item, subset

CLIPS = ClipSet(
    name="x",
    items=tuple(Item(id=key, path=key, labels=(0,)) for key in "abc"),
    classes=("one",),
    missing=("d",),
    remarks=("odd",),
)


@pytest.mark.parametrize(("mark", "end"), [("", "\n"), ("\ufeff", "\r\n")])
def test_the_listed_clips_in_the_order_of_the_list(tmp_path, mark, end):
    text = "c,cow\na,ant\nd,dog\ne,emu\na,ant\n"
    (tmp_path / "heard.csv").write_bytes((mark + text.replace("\n", end)).encode())
    clips = subset(CLIPS, tmp_path / "heard.csv")
    assert [item.id for item in clips.items] == ["c", "a"] and clips.classes == ("one",)
    assert clips.report() == "x, heard: 4 clips listed, 2 on disk, 2 missing (d, e); odd"


def test_missing_and_broken_lists(tmp_path):
    with pytest.raises(ValueError, match=r"no\.csv: no such file"):
        subset(CLIPS, tmp_path / "no.csv")
    (tmp_path / "x.csv").write_text("a,b\nc\n")
    with pytest.raises(ValueError, match=r"x\.csv, line 2: 1 columns, expected 2"):
        subset(CLIPS, tmp_path / "x.csv")

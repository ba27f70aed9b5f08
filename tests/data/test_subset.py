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
    assert clips.report() == "x, heard: 4 clips listed, 2 on disk, 2 missing (d, e)"


def test_remarks_may_explain_why_nothing_is_found(tmp_path):
    (tmp_path / "none.csv").write_text("d.mp4\n")
    apart = "its ids are such as d.mp4, not a"
    assert subset(CLIPS, tmp_path / "none.csv").remarks == ("odd", apart)


@pytest.mark.parametrize("line", [1, 2])
@pytest.mark.parametrize("name", ["#NAME?", "#REF!", "#DIV/0!", "#N/A", "#NV", "#NOM?", "#ИМЯ?"])
def test_ids_that_a_spreadsheet_damaged_are_refused(tmp_path, name, line):
    rows = ["a", "b"]
    rows.insert(line - 1, name)  # the first ids of a sorted list begin with "-"
    (tmp_path / "x.csv").write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"x\.csv, line {line}: '#.*' is no id; spreadsheet"):
        subset(CLIPS, tmp_path / "x.csv")


def test_comments_before_the_first_id(tmp_path):
    (tmp_path / "x.csv").write_text("# 2 ids, made 2017-03-05!\n#\n\n# id\na\nc\n")
    assert [item.id for item in subset(CLIPS, tmp_path / "x.csv").items] == ["a", "c"]


def test_missing_and_broken_lists(tmp_path):
    with pytest.raises(ValueError, match=r"no\.csv: no such file"):
        subset(CLIPS, tmp_path / "no.csv")
    (tmp_path / "x.csv").write_text("a,b\nc\n")
    with pytest.raises(ValueError, match=r"x\.csv, line 2: 1 columns, expected 2"):
        subset(CLIPS, tmp_path / "x.csv")

import math

import pytest

from avblocks.data.datasets.annotations import (
    checked_box,
    has_area,
    read_table,
    read_xml,
)


@pytest.mark.parametrize(("encoding", "end"), [("utf-8", "\n"), ("utf-8-sig", "\r\n")])
def test_tables_name_their_columns(tmp_path, encoding, end):
    text = end.join(["# no", "", "b,a,ü", '1,"2, 3",4', "", "#5 ,6,7"])
    (tmp_path / "x.csv").write_bytes(text.encode(encoding))
    rows = list(read_table(tmp_path / "x.csv", columns=("a", "b")))
    assert rows == [(4, {"b": "1", "a": "2, 3", "ü": "4"}), (6, {"b": "#5", "a": "6", "ü": "7"})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,c\n1,2\n", r"x\.csv, line 1: no column 'b'; the first line must name the columns a, b"),
        ("a,b\n1,2\n1\n", r"x\.csv, line 3: 1 columns, expected 2"),
    ],
)
def test_wrong_tables_are_named(tmp_path, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        list(read_table(tmp_path / "x.csv", columns=("a", "b")))


def test_broken_xml_is_named(tmp_path):
    path = tmp_path / "x.xml"
    path.write_bytes(b"\xef\xbb\xbf<a>\r\n<b/></a>")
    assert [child.tag for child in read_xml(path)] == ["b"]
    path.write_text("<a>\n<b>\n</a>")
    with pytest.raises(ValueError, match=r"x\.xml, line 3: broken XML .*; get the file again"):
        read_xml(path)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ('<?xml version="1.0" encoding="x-none"?>', "unknown encoding"),
        ('<?xml version="1.0" encoding="utf-7"?>', "encoding"),
        ('<!DOCTYPE a [<!ENTITY e "eee">]>', "it declares the entity 'e'"),
        ('<!DOCTYPE a [<!ENTITY % e SYSTEM "file:///etc/hostname">]>', "the entity 'e'"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_of_other_kinds_is_refused(tmp_path, head, reason, encoding):
    path = tmp_path / "x.xml"
    path.write_text(f"{head}<a><b/></a>", encoding=encoding)
    with pytest.raises(
        ValueError, match=rf"x\.xml.* XML.*({reason}|encoding).*; get the file again"
    ):
        read_xml(path)
    path.write_text("<!DOCTYPE a><a>&lt;&#65;<b/></a>", encoding=encoding)
    assert read_xml(path).text == "<A"


def test_boxes_lie_in_the_picture():
    assert checked_box([0, 0.25, 1, 0.5], where="x") == (0.0, 0.25, 1.0, 0.5)
    assert checked_box([-0.01, 0, 1.01, 1], where="x", cut=True) == (0.0, 0.0, 1.0, 1.0)
    assert not has_area(checked_box([0.5, 0, 0.5, 1], where="x"))
    assert has_area((0.0, 0.0, 0.1, 0.1))


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([0, 0, 1], "x: expected left, top, right and bottom of a box"),
        ([0, 0, 1, "1"], "x: expected left, top, right and bottom of a box"),
        ([0, 0, 1, None], "x: expected left, top, right and bottom of a box"),
        ([0, 0, 1.1, 1], r"x: the box \[0, 0, 1.1, 1\] extends beyond the image"),
        ([0, -0.1, 1, 1], "x: the box .* extends beyond"),
        ([0, 0, 10**400, 1], "x: the box .* extends beyond"),
        ([0, 0, math.nan, 1], "x: the box .* extends beyond"),
        ([0.6, 0, 0.5, 1], "x: left, top, right, bottom are not in order"),
    ],
)
def test_wrong_boxes_are_named(box, message):
    with pytest.raises(ValueError, match=message):
        checked_box(box, where="x")


@pytest.mark.parametrize(
    "text", ["a,b\n1,x" + "x" * 3000, 'a,b\n1,"2\n' + "3,4\n" * 900, "a" * 3000]
)
def test_a_field_without_an_end_is_named_in_a_short_line(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=r"a\.csv, line \d+: 3?\d+ characters in a field") as info:
        list(read_table(tmp_path / "a.csv", columns=()))
    assert len(str(info.value)) < 400 + len(str(tmp_path))

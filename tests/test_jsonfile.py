"""JSON files of others: read, or refused in a line that names file, place and remedy."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from avblocks.data.datasets.avss import avsbench_avss
from avblocks.data.datasets.music import music
from avblocks.data.datasets.vggss import vggss
from avblocks.data.scenes import scenes
from avblocks.data.scenes.store import stored
from avblocks.data.shards import Shards
from avblocks.jsonfile import read_json, sealed, shape_fault

read = partial(read_json, remedy="get it again")


def test_content_with_a_checksum_does_not_change(tmp_path: Path) -> None:
    path, content = tmp_path / "x.json", {"a": 1, "b": [2.0, "x"]}
    path.write_text(json.dumps(sealed(content), sort_keys=True, indent=3))
    assert read(path) == content
    for changed in ({"a": 1.0}, {"a": True}, {"b": [2, "x"]}, {"c": None}, {"content_sha256": ""}):
        path.write_text(json.dumps(sealed(content) | changed))
        with pytest.raises(ValueError, match=r"x.json: damaged, or changed by hand .*; get it"):
            read(path)
    path.write_text(json.dumps(content))
    assert read(path) == content


def test_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text in (b"[1, 2]", b"\xef\xbb\xbf[1, 2]\r\n"):
        path.write_bytes(text)
        assert read(path) == [1, 2]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1,\n "b": [2,', r"x\.json, line 2: broken JSON .*; get it again$"),
        (b"", r"x\.json, line 1: broken JSON .*; get it again$"),
        (b'["\xff"]', r"x\.json: no JSON in UTF-8 .*; get it again$"),
        (b"[" * 200_000, r"x\.json: no JSON in UTF-8 \(nested too deep\); get it again$"),
        (b"[" + b"9" * 5000 + b"]", r"x\.json: no JSON in UTF-8 .*; get it again$"),
        (b"{}", r"x\.json: the content is \{\}, expected a list; get it again$"),
    ],
)
def test_what_is_no_json(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "x.json", [int])


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"y\.json: no such file; get it again"):
        read(tmp_path / "y.json")


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"a": 1, "b": [["x"]], "more": None}, None),
        ({"a": None, "b": []}, None),
        ({"a": "1", "b": []}, "'a' is '1', expected int"),
        ({"b": []}, "the content lacks the key 'a'"),
        ({"a": 1, "b": [["x"], [3]]}, "'b', 1, 0 is 3, expected str"),
        ({"a": 1, "b": {}}, "'b' is {}, expected a list"),
    ],
)
def test_shapes(value: object, fault: str | None) -> None:
    assert shape_fault(value, {"a": (int, type(None)), "b": [[str]]}) == fault


def test_a_star_stands_for_all_other_keys() -> None:
    assert shape_fault({"x": 1, "name": "y"}, {"name": str, "*": int}) is None
    assert shape_fault({"x": "1", "name": "y"}, {"name": str, "*": int}) is not None


def folder(name: str, open_it: Callable[[Path], Any]) -> Any:
    return pytest.param(name, open_it, id=f"{open_it.__name__}-{name}")


def solos(root: Path) -> object:
    return music(root, part="solo")


def semantic(root: Path) -> object:
    (root / "metadata.csv").write_text("uid,a_obj,label,split\na,dog,v2,val\n")
    return avsbench_avss(root, split="val")


def made(root: Path) -> object:
    return scenes(root, split="test", num_clips=1)


WRONG = {
    "empty": {},
    "list": [],
    "number": 7,
    "deep": None,
    "keys": {"splits": {}, "settings": {}, "counts": {}, "videos": {"a": 3}, "version": 2},
    "kinds": {"settings": {"a": 1}, "counts": {"train": 0, "test": 0}, "complete": True},
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
    ("name", "open_it"),
    [
        folder("scenes.json", made),
        folder("scenes.json", stored),
        folder("index.json", Shards),
        folder("MUSIC_solo_videos.json", solos),
        folder("label2idx.json", semantic),
        folder("vggss.json", vggss),
    ],
)
def test_readers_refuse_json_without_keys_and_of_other_kinds(
    tmp_path: Path, name: str, open_it: Callable[[Path], Any], wrong: str
) -> None:
    text = "[" * 200_000 if wrong == "deep" else json.dumps(WRONG[wrong])
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError) as info:
        open_it(tmp_path)
    no_file = (name, wrong) in (("vggss.json", "list"), ("index.json", "keys"))
    assert (str(tmp_path) if no_file else name) in str(info.value) and "\n" not in str(info.value)

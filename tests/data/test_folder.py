import os
from pathlib import Path

import pytest

from avblocks.data.datasets import ClipSet, Item, folder


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_any_depth_any_case_any_name_sorted(tmp_path):
    names = ["b.MP4", "a/ü ñ.webm", "a/b/c/音.mkv", "x.avi", "y.mov", "z.m4v"]
    for name in [*names, "readme.txt", ".hidden.mp4", ".cache/x.mp4", "a/song.wav"]:
        touch(tmp_path / name)
    clips = folder(tmp_path)
    assert [item.id for item in clips.items] == [
        "a/b/c/音.mkv",
        "a/ü ñ.webm",
        "b.MP4",
        "x.avi",
        "y.mov",
        "z.m4v",
    ]
    assert clips.items[0].path == str(tmp_path / "a/b/c/音.mkv")
    assert not clips.classes and not clips.items[0].labels
    assert clips.report() == f"folder {tmp_path}: 6 clips listed, 6 on disk"


def test_symbolic_links_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path / "data" / "a.mp4")
    touch(tmp_path / "elsewhere" / "b.mp4")
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data", target_is_directory=True)
    (tmp_path / "data" / "more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert [item.id for item in folder(tmp_path / "data").items] == ["a.mp4", "more/b.mp4"]


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        folder(tmp_path / "nowhere")
    touch(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match=r"no video file at any depth; looked for \.avi .*\.webm"):
        folder(tmp_path)


def test_report_names_the_first_missing():
    missing = tuple(f"id{number}" for number in range(7))
    clips = ClipSet(name="x", items=(Item(id="a", path="a.mp4"),), missing=missing)
    assert clips.report() == (
        "x: 8 clips listed, 1 on disk, 7 missing (id0, id1, id2, id3, id4, ...)"
    )


def test_folders_may_be_classes(tmp_path):
    for name in ("b/x.mp4", "a/deep/y.mp4", "b/z.mp4"):
        touch(tmp_path / name)
    clips = folder(tmp_path, classes=True)
    assert clips.classes == ("a", "b")
    assert [(item.id, item.labels) for item in clips.items] == [
        ("a/deep/y.mp4", (0,)),
        ("b/x.mp4", (1,)),
        ("b/z.mp4", (1,)),
    ]
    assert not folder(tmp_path).classes
    touch(tmp_path / "loose.mp4")
    with pytest.raises(ValueError, match=r"loose\.mp4: is in no folder of a class; move it"):
        folder(tmp_path, classes=True)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    for name in ("a.mp4", "b/c.mp4", "lost+found/d.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    real, closed = os.scandir, ["lost+found"]

    def scandir(path):
        if Path(path).name in closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)
    assert [item.id for item in folder(tmp_path).items] == ["a.mp4", "b/c.mp4"]
    closed.append("b")
    with pytest.raises(
        ValueError, match=r"/b: cannot be listed \(Permission denied\), so its clips"
    ):
        folder(tmp_path)

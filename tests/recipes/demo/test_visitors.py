"""Files of visitors: their own, shared uploads, and nothing once they have left."""

import os
from pathlib import Path

import pytest

from recipes.demo.visitors import Visitors


@pytest.fixture
def visitors(tmp_path: Path) -> Visitors:
    return Visitors(tmp_path)


def upload(visitors: Visitors, name: str, *, age: float = 0.0) -> str:
    path = visitors.uploads / "hash" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(name)
    os.utime(path, (path.stat().st_mtime - age,) * 2)
    return str(path)


def files(visitors: Visitors) -> list[str]:
    return sorted(path.name for path in visitors.root.rglob("*") if path.is_file())


def test_an_upload_is_deleted_with_its_last_visitor(visitors: Visitors) -> None:
    video, other = upload(visitors, "video.mp4"), upload(visitors, "other.wav")
    visitors.hold("ann", video=video, other=other)
    visitors.hold("ben", video=video)
    visitors.leave("ann")
    assert files(visitors) == ["video.mp4"]
    visitors.leave("ben")
    assert files(visitors) == []


def test_an_upload_is_deleted_when_another_takes_its_place(visitors: Visitors) -> None:
    first, second = upload(visitors, "first.mp4"), upload(visitors, "second.mp4")
    visitors.hold("ann", video=first)
    visitors.hold("ann", video=second)
    assert files(visitors) == ["second.mp4"]
    visitors.hold("ann", video=second)
    assert files(visitors) == ["second.mp4"]
    visitors.hold("ann", video=None)
    assert files(visitors) == []


def test_uploads_that_nobody_holds_are_deleted_after_a_while(visitors: Visitors) -> None:
    held = upload(visitors, "held.mp4", age=1000)
    upload(visitors, "left.mp4", age=1000)
    upload(visitors, "coming.mp4", age=10)
    visitors.hold("ann", video=held)
    assert files(visitors) == ["coming.mp4", "held.mp4"]


def test_results_are_those_of_the_last_run(visitors: Visitors) -> None:
    folders = []
    for _ in range(2):
        visit, folder = visitors.begin("ann")
        (folder / "classes.csv").touch()
        visitors.end(visit)
        folders.append(folder)
    _, other = visitors.begin("ben")
    assert other.parent != folders[1].parent and folders[0].parent == folders[1].parent
    assert not folders[0].exists() and folders[1].exists()
    visitors.leave("ann")
    assert not folders[1].parent.exists() and other.exists()


def test_who_leaves_during_a_run_leaves_nothing(visitors: Visitors) -> None:
    visit, folder = visitors.begin("ann")
    visitors.leave("ann")
    assert visit.left and folder.exists()  # the run is still writing
    visitors.end(visit)
    assert not folder.parent.exists()


def test_the_name_of_a_session_is_no_path(visitors: Visitors) -> None:
    _, folder = visitors.begin("../../outside")
    assert folder.parent.parent == visitors.results


def test_the_end_deletes_everything(visitors: Visitors) -> None:
    visitors.hold("ann", video=upload(visitors, "video.mp4"))
    visit, _ = visitors.begin("ann")
    visitors.close()
    assert visit.left and not visitors.root.exists()

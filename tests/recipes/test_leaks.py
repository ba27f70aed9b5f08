"""check_data --against: ids and copies of clips in other sets, and the clean list."""

import csv
from pathlib import Path

import pytest
from leak_clips import ENCODINGS, write

from recipes.check_data import __main__ as check_data
from recipes.common.cli import run_cli
from recipes.common.data import Data, train_set

IDS = [f"{letter * 11}_0000{second}" for letter in "abcd" for second in (10, 20)]


def run(*words: str) -> int:
    try:
        run_cli(check_data.main, presets=check_data.PRESETS, doc=None, args=words)
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def rows(folder: Path) -> list[tuple[str, str, str]]:
    with (folder / "leaks.csv").open(newline="") as file:
        return [(row["kind"], row["id"], row["other"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Clips 0 to 2, and another folder with 3 and re-encoded copies of 0 and 2 by other names."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    for number in range(3):
        write(one / f"clip{number}", number)
    write(two / "other", 3)
    write(two / "copy", 0, ENCODINGS["low bit rates"])
    write(two / "later", 2, ENCODINGS["offset of 1.237 s"])
    (two / "empty.mp4").touch()
    return one, two


def test_lists_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.txt").write_text("\n".join(IDS) + "\n")
    table = [f"{'b' * 11},15,dog,test", f"{'c' * 11},80,dog,test", f"{'d' * 11},10,dog,train"]
    (tmp_path / "vggsound.csv").write_text("\n".join(table) + "\n")
    clean = tmp_path / "clean.csv"
    words = ["lists", "--data.list", str(tmp_path / "train.txt"), "--run.dir", str(tmp_path)]
    assert run(*words, "--against", f"{tmp_path / 'vggsound.csv'}:test") == 1
    other = f"{'b' * 11}_000015"
    assert rows(tmp_path)[:2] == [("same seconds", IDS[2], other), ("same seconds", IDS[3], other)]
    assert [kind for kind, *_ in rows(tmp_path)[2:]] == ["same video, other seconds"] * 2
    table = capsys.readouterr().out
    assert "vggsound test: 2 clips" in table and "same audio" not in table and "note" not in table
    where = ["--against", f"{tmp_path / 'vggsound.csv'}:test", "--exclude", str(clean)]
    assert run(*words, *where) == 0
    assert clean.read_text().split() == IDS[:2] + IDS[4:]
    assert run(*words, *where, "--exclude-videos") == 0
    assert clean.read_text().split() == IDS[:2] + IDS[6:]


def test_ids_that_name_no_video_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.csv").write_text(f"0,{IDS[0]}\n1,{IDS[1]}\n")  # ids in another column
    (tmp_path / "other.csv").write_text(f"{IDS[0]}\ndog/1\n")
    words = ["lists", "--data.list", str(tmp_path / "mine.csv"), "--run.dir", str(tmp_path)]
    run(*words, "--against", str(tmp_path / "other.csv"))
    out = capsys.readouterr().out
    assert "note: 2 of 4 ids of mine, such as 0, name no video: they are found only where" in out
    assert "note: 1 of 2 ids of other, such as dog/1, name no video" in out


def test_copies_by_other_names(
    roots: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = roots
    clean = tmp_path / "clean.csv"
    words = ["folder", "--data.root", str(one), "--data.workers", "1", "--run.dir", str(tmp_path)]
    words += ["--against", f"folder={two}", "--exclude", str(clean)]
    assert run(*words) == 0
    found = {(kind, Path(key).stem, Path(other).stem) for kind, key, other in rows(tmp_path)}
    pairs = {("clip0", "copy"), ("clip2", "later")}
    assert found == {(kind, *pair) for kind in ("same audio", "same frames") for pair in pairs}
    said = capsys.readouterr().out
    assert f"not compared: {two / 'empty.mp4'}: the file is empty" in said
    assert "1 clean clips of 3" in said

    clips = train_set(Data(name="folder", root=one, list=clean))
    assert [Path(item.path).stem for item in clips.items] == ["clip1"]

    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "fingerprints").iterdir()}
    before = rows(tmp_path)
    assert run(*words) == 0 and rows(tmp_path) == before
    assert written == {p: p.stat().st_mtime_ns for p in (tmp_path / "fingerprints").iterdir()}
    assert run(*words, "--no-fingerprints") == 0 and rows(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lists", "--against", "x"], "the preset lists needs --data.list FILE"),
        (["lists"], "go with --against OTHER"),
        (["folder", "--exclude", "x"], "go with --against OTHER"),
        (["folder", "--data.root", "ONE", "--against", "nothing"], "no such file or data set"),
        (["folder", "--data.root", "ONE", "--against", "folder"], "has the same clips"),
        (["folder", "--data.root", "ONE", "--against", "vggsound:x=ONE"], "it has train, test"),
        (["folder", "--data.root", "ONE", "--against", "vggss"], "give its folder, as vggss=DIR"),
        (
            ["folder", "--data.root", "ONE", "--data.list", "FILE", "--against", "FILE"],
            "none of its ids is of a clip of",
        ),
    ],
)
def test_a_users_mistake_is_one_line(
    words: list[str],
    message: str,
    roots: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "list.txt").write_text("clip9\n")
    names = {"ONE": str(roots[0]), "FILE": str(tmp_path / "list.txt")}
    given = [word.replace("ONE", names["ONE"]).replace("FILE", names["FILE"]) for word in words]
    assert run(*given, "--run.dir", str(tmp_path)) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line

"""The check of a data set: real damage, dying and hanging processes, kill and go on."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from avblocks.data import datasets, write_clip
from avblocks.data import scenes as scene_sets
from avblocks.data.datasets import ClipSet
from avblocks.data.scenes import SceneSpec, scenes, scenes_as_avsbench
from recipes.check_data import __main__ as check_data
from recipes.check_data.health_csv import COLUMNS, HealthList, summary
from recipes.common.cli import run_cli
from recipes.common.sets import READERS, own_part

ROOT = Path(__file__).parents[2]


def clip(path: Path, *, seconds: float = 1.0, peak: float = 0.5, moves: bool = True) -> Path:
    rng = np.random.default_rng(len(path.name))
    shades = rng.integers(0, 255, (round(10 * seconds), 1, 1, 3), dtype=np.uint8)
    frames = np.broadcast_to(shades, (len(shades), 32, 32, 3))
    audio = peak * rng.uniform(-1, 1, round(16000 * seconds))
    write_clip(
        path, frames=frames if moves else frames[:1].repeat(20, 0), audio=audio, fps=10, rate=16000
    )
    return path


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one file of every kind."""
    folder = tmp_path_factory.mktemp("damaged")
    good = clip(folder / "good.mp4", seconds=4)
    shutil.copy(good, folder / "größe 音.mp4")
    shutil.copy(good, folder / os.fsdecode(b'latin-\xe9, "1".mp4'))
    clip(folder / "short.mp4")
    clip(folder / "still.mp4", moves=False)
    clip(folder / "silent.mp4", peak=1e-4)
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("not a video")
    (folder / "truncated.mp4").write_bytes(good.read_bytes()[:-3000])
    return folder


def run(folder: Path, out: Path, *more: str) -> int:
    words = [
        "folder",
        "--data.root",
        str(folder),
        "--data.workers",
        "2",
        "--run.dir",
        str(out),
        *more,
    ]
    try:
        run_cli(check_data.main, presets=check_data.PRESETS, doc=check_data.__doc__, args=words)
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "health.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return {Path(row["path"]).name: row for row in csv.DictReader(file)}


def counts(said: str) -> dict[str, int]:
    """The table on the screen."""
    pairs = (line.rsplit(maxsplit=1) for line in said.splitlines() if "  " in line)
    return {pair[0].strip(): int(pair[1]) for pair in pairs if pair[-1].isdecimal()}


def test_every_kind_of_damage_is_listed_and_counted(
    damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(damaged, tmp_path) == 1
    table, said = rows(tmp_path), capsys.readouterr().out
    assert tuple(table["good.mp4"]) == COLUMNS
    assert len(table) == 9
    assert {name for name, row in table.items() if row["reason"]} == {
        "empty.mp4",
        "text.mp4",
        "truncated.mp4",
    }
    assert table["good.mp4"] | {"path": ""} == table["größe 音.mp4"] | {"path": ""}
    assert [table["good.mp4"][name] for name in ("width", "still", "silent")] == ["32", "no", "no"]
    assert table["still.mp4"]["still"] == table["silent.mp4"]["silent"] == "yes"
    expected = {
        "usable": 6,
        "unusable": 3,
        "the file is empty": 1,
        "silent": 1,
        "still": 1,
        "exact duplicates of another": 2,
        "audio shorter than 3 s": 3,
    }
    assert counts(said).items() >= expected.items()
    assert counts(said)[next(name for name in counts(said) if "as mp4, mov" in name)] == 2


def test_what_is_listed_is_not_read_again(damaged: Path, tmp_path: Path) -> None:
    run(damaged, tmp_path)
    path = tmp_path / "health.csv"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    kept = [line.replace(b",32,32,", b",77,32,") for line in lines[:-2]]
    for cut in (lines[-2][:20], lines[-2][:-1], b""):
        path.write_bytes(b"".join(kept) + cut)
        assert run(damaged, tmp_path) == 1
        again = path.read_bytes().splitlines(keepends=True)
        assert again[: len(kept)] == kept
        assert sorted(again[len(kept) :]) == sorted(lines[-2:])


def test_all_usable_is_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip(tmp_path / "in" / "a.mp4")
    assert run(tmp_path / "in", tmp_path / "out", "--data.seconds", "0.5") == 0
    assert counts(capsys.readouterr().out)["audio shorter than 0.5 s"] == 0


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / "in" / f"{number:03d}.mp4").parent.mkdir(exist_ok=True)
        (tmp_path / "in" / f"{number:03d}.mp4").write_text("not a video")
    command = [sys.executable, "-m", "recipes.check_data", "folder"]
    words = ["--data.root", str(tmp_path / "in"), "--run.dir", str(tmp_path), "--data.workers", "1"]
    path = tmp_path / "health.csv"
    with subprocess.Popen([*command, *words], cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        while not path.is_file() or path.read_text().count("\n") < 20:
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert run(tmp_path / "in", tmp_path) == 1
    with path.open(newline="") as file:
        names = [Path(row["path"]).name for row in csv.DictReader(file)]
    assert sorted(names) == [f"{number:03d}.mp4" for number in range(200)]


def test_a_name_with_a_line_end_survives_a_cut(tmp_path: Path) -> None:
    with HealthList(tmp_path / "health.csv") as health:
        health.append({"path": "a\nb\u2028c.mp4", "reason": '1,5 of 2 "x"'})
        health.append({"path": "d\ne.mp4"})
    path = tmp_path / "health.csv"
    path.write_bytes(path.read_bytes()[:-13])
    assert [*HealthList(path).rows] == ["a\nb\u2028c.mp4"]
    with pytest.raises(ValueError, match="its columns are x,y"):
        path.write_text("x,y\n1,2\n")
        HealthList(path)


def test_reasons_that_differ_in_numbers_are_one_line() -> None:
    row = dict.fromkeys(COLUMNS, "")
    reasons = [f"cut short: {number}.5 s of 3 mp4" for number in range(3)]
    kinds = [f"reason {chr(65 + number)}" for number in range(25)]
    said = summary([row | {"reason": reason} for reason in reasons + kinds], seconds=3)
    assert counts(said)["cut short: N s of N mp4"] == 3
    assert counts(said)["other reasons"] == 6 and counts(said)["unusable"] == 28


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["vggsound"], "needs --data.root"),
        (
            ["folder", "--data.name", "kinetics"],
            "no data set 'kinetics'; there are scenes, composed, folder",
        ),
        (["audioset", "--data.split", "balanced"], "needs --data.root"),
        (["folder", "--data.root", "x", "--data.split", "test"], "folder has no split 'test'"),
        (["vggsound", "--data.split", "eval"], "it has train, test"),
        (["stills", "--data.root", "nowhere"], "nowhere"),
        (["audioset", "--data.root", "nowhere", "--data.split", "eval"], "nowhere"),
        (["audioset", "--data.root", "nowhere"], "check another split alone, give --data.split"),
    ],
)
def test_a_users_mistake_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        run_cli(check_data.main, presets=check_data.PRESETS, doc=check_data.__doc__, args=words)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert left.value.code == 2 and message in line


def test_sounds_pictures_and_masks_are_looked_at_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes(tmp_path / "in", split="train", num_clips=3, spec=SceneSpec(seconds=2.0, size=32))
    scenes(tmp_path / "in", split="test", num_clips=2, spec=SceneSpec(seconds=2.0, size=32))
    root = scenes_as_avsbench(tmp_path / "in", part="s4")
    pictures = sorted(root.rglob("*.png"))
    cut = next(path for path in pictures if "gt_masks" in path.parts)
    cut.write_bytes(cut.read_bytes()[:50])
    words = ["--data.root", str(root), "--run.dir", str(tmp_path / "out"), "--data.workers", "1"]
    with pytest.raises(SystemExit) as left:
        run_cli(
            check_data.main,
            presets=check_data.PRESETS,
            doc=check_data.__doc__,
            args=["avsbench_s4", *words],
        )
    table, said = rows(tmp_path / "out"), capsys.readouterr().out
    assert left.value.code == 1 and said.count(" clips listed, ") == 3
    assert [name for name, row in table.items() if row["reason"]] == [cut.name]
    sounds = [row for name, row in table.items() if name.endswith(".wav")]
    assert {row["audio_seconds"] for row in sounds} == {"2"} and {r["width"] for r in sounds} == {
        ""
    }
    assert {row["width"] for name, row in table.items() if name.endswith(".png")} == {"32", ""}
    assert counts(said)["audio shorter than 3 s"] == len(sounds) == 5


def test_every_data_set_is_offered() -> None:
    readers = {
        getattr(reader, "func", reader)
        for _, splits in READERS.values()
        for reader in splits.values()
    }
    lists = {
        thing
        for thing in (vars(datasets) | vars(scene_sets)).values()
        if callable(thing) and getattr(thing, "__annotations__", {}).get("return") is ClipSet
    }
    assert lists - readers == {datasets.subset} and readers - lists == {own_part}

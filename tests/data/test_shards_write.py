"""Shards as they are written: whole or not there, whenever the writer is killed."""

import csv
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clip_files import counter, encode

from avblocks.data import ClipError, TooManySkippedError
from avblocks.data.datasets import ClipSet, Item
from avblocks.data.decode.frames import decode_frame, decode_frames
from avblocks.data.decode.media import open_media
from avblocks.data.shards import Shards, ShardSettings, make_shards
from avblocks.data.shards.encode import encode_clip
from avblocks.data.shards.jpeg import decode_jpeg, encode_jpeg
from avblocks.data.write import write_clip
from avblocks.files import temporary

PCM = ("libx264", "pcm_s16le")
TWO = ShardSettings(clips=2)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> ClipSet:
    folder = tmp_path_factory.mktemp("clips")
    paths = [encode(folder / f"{i}.mkv", frames=8 + i, seconds=1, codecs=PCM) for i in range(5)]
    items = tuple(Item(id=path.stem, path=str(path), labels=(0,)) for path in paths)
    return ClipSet(name="five", items=items, classes=("any",))


@pytest.fixture(scope="module")
def flawed(clips, tmp_path_factory) -> ClipSet:
    """The clips with the second and the last broken."""
    text = tmp_path_factory.mktemp("flawed") / "text, with comma.mp4"
    text.write_text("not a video")
    bad = (Item(id="text", path=str(text)), Item(id="gone", path="gone.mp4"))
    items = (clips.items[0], bad[0], *clips.items[2:4], bad[1])
    return replace(clips, name="flawed", items=items)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(clips, tmp_path_factory) -> dict[str, bytes]:
    """What an unbroken run leaves."""
    out = tmp_path_factory.mktemp("whole")
    make_shards({"train": clips, "test": clips}, out, settings=TWO)
    names = {
        f"{split}-{i:06d}.{kind}"
        for split in ("train", "test")
        for i in range(3)
        for kind in ("tar", "json")
    }
    assert set(contents(out)) == {*names, "index.json"}
    return contents(out)


def in_a_process(function: Callable[[], object]) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=function)
    process.start()
    return process


def die_at(moment: int) -> None:
    """Kill this process, with no chance to tidy up, at its n-th flush or rename."""
    left = [moment]

    def counted(function):
        def call(*args, **kwargs):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    os.fsync, Path.replace = counted(os.fsync), counted(Path.replace)


def test_killed_at_each_moment_it_goes_on_to_the_same_bytes(clips, tmp_path):
    make_shards({"train": clips}, tmp_path / "alone", settings=TWO)
    alone = contents(tmp_path / "alone")
    for moment in range(1, 40):
        out = tmp_path / str(moment)

        def write(moment: int = moment, out: Path = out) -> None:
            die_at(moment)
            make_shards({"train": clips}, out, settings=TWO)

        process = in_a_process(write)
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        if (out / "index.json").is_file() and b'"complete":true' not in contents(out)["index.json"]:
            with pytest.raises(ValueError, match="unfinished; start the same"):
                Shards(out)
        make_shards({"train": clips}, out, settings=TWO)
        assert contents(out) == alone
    assert moment > 20


def workers_of(process: multiprocessing.Process) -> list[str]:
    """Wait for the two workers of a process; a process that has ended by then has none."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if not process.is_alive():
            return []
        if len(found := children.read_text().split()) >= 2:
            return found
        time.sleep(0.01)
    process.kill()
    raise AssertionError(f"process {process.pid} did not start two workers in a minute")


def is_running(process: str) -> bool:
    path = Path(f"/proc/{process}/stat")
    return path.is_file() and path.read_text().rpartition(")")[2].split()[0] != "Z"


def test_killed_again_and_again_with_workers(clips, whole, tmp_path):
    splits = {"train": clips, "test": clips}
    orphans = []
    for wait in (0.05, 0.15, 0.25):
        process = in_a_process(lambda: make_shards(splits, tmp_path, settings=TWO, workers=2))
        orphans += workers_of(process)
        time.sleep(wait)
        process.kill()
        process.join()
    shards = make_shards(splits, tmp_path, settings=TWO, workers=2)
    assert contents(tmp_path) == whole
    for split in ("train", "test"):
        assert [item.id for item in shards.clips(split).items] == ["0", "1", "2", "3", "4"]
    assert orphans
    end = time.monotonic() + 10
    while any(map(is_running, orphans)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(is_running, orphans))


@pytest.mark.parametrize(
    ("fate", "message"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), r"DataLoader worker \(pid"),
        (lambda: time.sleep(1000), r"DataLoader timed out after 1"),
    ],
)
def test_a_worker_that_dies_or_hangs_ends_the_work_and_it_goes_on(
    clips, tmp_path, monkeypatch, fate, message
):
    def encode_or_not(item, **settings):
        if item.id == "2":
            fate()
        return encode_clip(item, **settings)

    start = time.monotonic()
    monkeypatch.setattr("avblocks.data.shards.pool.encode_clip", encode_or_not)
    # How long torch waits for a worker to end before it is killed: 5 s.
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.5)
    with pytest.raises(RuntimeError, match=message):
        make_shards({"train": clips}, tmp_path, settings=TWO, workers=2, timeout=1.0)
    assert time.monotonic() - start < 30
    monkeypatch.undo()
    shards = make_shards({"train": clips}, tmp_path, settings=TWO, workers=2)
    assert [item.id for item in shards.clips("train").items] == ["0", "1", "2", "3", "4"]


def test_finished_work_is_kept_and_damage_is_made_good(clips, whole, tmp_path):
    splits = {"train": clips, "test": clips}
    make_shards(splits, tmp_path, settings=TWO)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.tar")}
    with (tmp_path / "test-000001.tar").open("r+b") as file:
        file.truncate(1000)
    (tmp_path / "train-000002.json").write_text("{}")
    make_shards(splits, tmp_path, settings=TWO)
    assert contents(tmp_path) == whole
    made = {path.name for path, stamp in before.items() if path.stat().st_mtime_ns != stamp}
    assert made == {"test-000001.tar", "train-000002.tar"}


def test_only_its_own_leftovers_are_cleared_away(clips, tmp_path):
    make_shards({"train": clips}, tmp_path, settings=TWO)
    dead = 2**22 + 1  # no process has such a number
    for name in ("train-000001.tar", "index.json"):
        temporary(tmp_path / name, dead).write_text("x")
    (tmp_path / ".mine.tmp").write_text("x")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "train-000000.tar").unlink()  # another of its tar files is written again
    make_shards({"train": clips}, tmp_path, settings=TWO)
    left = {path.name for path in tmp_path.iterdir()}
    assert left & {".mine.tmp", "notes.txt"} == {name for name in left if "tmp" in name} | {
        "notes.txt"
    }


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_files_are_listed_and_left_out(flawed, tmp_path, workers):
    shards = make_shards(
        {"train": flawed},
        tmp_path,
        settings=TWO,
        workers=workers,
        on_error="skip",
        max_skipped=0.5,
    )
    listed = shards.clips("train")
    assert [item.id for item in listed.items] == ["0", "2", "3"]
    assert listed.report().startswith("flawed in shards: 5 clips listed, 3 on disk, 2 missing")
    with (tmp_path / "skipped.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {Path(row["path"]).name for row in rows} == {"text, with comma.mp4", "gone.mp4"}
    assert {"no such file"} < {row["reason"] for row in rows}


def test_bad_files_stop_the_work_and_it_goes_on(flawed, tmp_path):
    with pytest.raises(ClipError, match=r"text, with comma\.mp4: cannot be opened"):
        make_shards({"train": flawed}, tmp_path / "a", settings=TWO)
    with pytest.raises(TooManySkippedError, match=r"2 of 5 clips .* 0\.3 .*skipped\.csv"):
        make_shards(
            {"train": flawed}, tmp_path / "a", settings=TWO, on_error="skip", max_skipped=0.3
        )
    assert "gone.mp4" in (tmp_path / "a/skipped.csv").read_text()
    for name in "ab":
        options = {"settings": TWO, "on_error": "skip", "max_skipped": 0.5}
        make_shards({"train": flawed}, tmp_path / name, **options)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_other_settings_and_other_clips_are_not_mixed(clips, tmp_path):
    make_shards({"train": clips}, tmp_path, settings=TWO)
    for splits, settings in (
        ({"train": clips}, ShardSettings(clips=3)),
        ({"train": replace(clips, items=clips.items[1:])}, TWO),
        ({"train": clips, "test": clips}, TWO),
    ):
        with pytest.raises(ValueError, match="name another folder or delete this one"):
            make_shards(splits, tmp_path, settings=settings)


def test_shards_of_an_earlier_layout_say_how_they_are_made_anew(clips, tmp_path):
    make_shards({"train": clips}, tmp_path, settings=TWO)
    index = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps(index | {"version": 1}))
    told = rf"version 1, .* delete the folder .*make_shards NAME --data.root DIR --out {tmp_path}"
    with pytest.raises(ValueError, match=told):
        Shards(tmp_path)
    with pytest.raises(ValueError, match=told):
        make_shards({"train": clips}, tmp_path, settings=TWO)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"../train": None}, "plain names"),
        ({"train": ()}, "expected clips"),
    ],
)
def test_what_shards_cannot_hold(clips, tmp_path, splits, message):
    sets = {n: clips if i is None else replace(clips, items=i) for n, i in splits.items()}
    with pytest.raises(ValueError, match=message):
        make_shards(sets, tmp_path)
    assert not contents(tmp_path)


@pytest.mark.parametrize(
    "bad", [{"side": 8}, {"fps": 0.0}, {"fps": 20.0}, {"quality": 1}, {"rate": 9}, {"clips": 0}]
)
def test_impossible_numbers(bad):
    with pytest.raises(ValueError, match="expected side >= 16"):
        ShardSettings(**bad)


def test_no_room_is_told(clips, tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    make_shards({"train": clips}, tmp_path, settings=TWO)
    (tmp_path / "train-000001.tar").unlink()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"train-000001\.tar: cannot be written .*No space left"):
        make_shards({"train": clips}, tmp_path, settings=TWO)
    assert not list(tmp_path.glob(".*"))


def test_a_long_file_is_refused(tmp_path):
    path = encode(tmp_path / "long.mkv", frames=1, seconds=601, rate=4000, codecs=PCM)
    with pytest.raises(ClipError, match=r"long\.mkv: 601 s long, over the 600 s allowed"):
        encode_clip(Item("long", str(path)), classes=(), settings=ShardSettings())


def test_pictures_are_shrunk_to_the_short_side(tmp_path):
    frames = np.zeros((3, 96, 160, 3), dtype=np.uint8)
    path = tmp_path / "wide.mp4"
    write_clip(path, frames=frames, audio=np.zeros(4800, np.float32), fps=10, rate=16000)
    for side, size in ((32, (32, 53)), (256, (96, 160))):
        settings = ShardSettings(side=side, fps=8.0)
        members = encode_clip(Item("w", str(path)), classes=(), settings=settings)
        notes, _, *pictures = members.values()
        assert {decode_jpeg(picture).shape[:2] for picture in pictures} == {size}
        assert len(pictures) == len(json.loads(notes)["times"]) == 3


@pytest.mark.parametrize("offset", [0.0, 1.5])
def test_one_pass_finds_the_pictures_that_seeking_finds(tmp_path, offset):
    path = str(encode(tmp_path / "a.mp4", frames=40, offset=offset, seconds=2.5))
    times = [offset + time for time in (0.0, 0.049, 0.05, 0.7, 0.7, 1.33, 1.95, 2.4)]
    with open_media(path) as media:
        found = list(decode_frames(media, times=times))
    for time_, picture in zip(times, found, strict=True):
        with open_media(path) as media:
            assert np.array_equal(decode_frame(media, time=time_), picture)


@pytest.mark.parametrize("size", [(48, 64), (33, 45), (256, 455)])
def test_jpeg_keeps_the_picture(size):
    picture = counter(165, height=size[0], width=size[1])
    data = encode_jpeg(picture, quality=2)
    assert data == encode_jpeg(picture.copy(), quality=2)
    assert np.abs(decode_jpeg(data).astype(int) - picture).mean() < 3


def test_two_at_work_in_one_folder_do_not_disturb_each_other(clips, tmp_path, monkeypatch):
    def encode_or_start_another(item, **settings):
        if item.id == "3":
            with pytest.raises(ValueError, match=rf"another run .*process {os.getpid()} on .*wait"):
                make_shards({"train": clips}, tmp_path, settings=TWO)
        return encode_clip(item, **settings)

    monkeypatch.setattr("avblocks.data.shards.pool.encode_clip", encode_or_start_another)
    made = make_shards({"train": clips}, tmp_path, settings=TWO)
    assert len(made.clips("train")) == 5 and not (tmp_path / "lock").exists()


def test_who_lost_the_folder_ends_and_leaves_the_next_alone(clips, whole, tmp_path, monkeypatch):
    out = tmp_path / "out"
    names = {name: data for name, data in whole.items() if name.startswith("train")}

    def encode_or_remove(item, **settings):
        if item.id == "3":
            monkeypatch.undo()
            out.rename(tmp_path / "old")
            make_shards({"train": clips}, out, settings=TWO)
        return encode_clip(item, **settings)

    monkeypatch.setattr("avblocks.data.shards.pool.encode_clip", encode_or_remove)
    with pytest.raises(FileNotFoundError, match="was removed or replaced while this process"):
        make_shards({"train": clips}, out, settings=TWO)
    assert names.items() <= contents(out).items() and Shards(out, verify=True)

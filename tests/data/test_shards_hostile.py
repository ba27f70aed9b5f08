"""Shards that somebody has tampered with: refused by name and reason, and never extracted."""

import hashlib
import json
import os
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from clip_files import encode

from avblocks.data import AVClip, ClipDataset, ClipError, ClipFormat
from avblocks.data.datasets import ClipSet, Item
from avblocks.data.shards import Shards, ShardSettings, make_shards
from avblocks.data.shards.flac import HEAD
from avblocks.data.shards.tar import END, write_member

TAR, KEY = "train-000000.tar", "00000000_0"
JSON, FLAC, JPEG = 0, 1, 2


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    paths = [encode(folder / f"{i}.mp4", frames=20, seconds=1) for i in range(3)]
    items = tuple(Item(id=path.stem, path=str(path), labels=(0,)) for path in paths)
    out = tmp_path_factory.mktemp("made")
    make_shards(
        {"train": ClipSet(name="three", items=items, classes=("any",))},
        out,
        settings=ShardSettings(fps=2),
    )
    return out


@pytest.fixture
def folder(made, tmp_path) -> Path:
    shutil.copytree(made, tmp_path / "shards")
    return tmp_path / "shards"


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    facts = json.loads(path.read_text())
    edit(facts)
    path.write_text(json.dumps(facts))


def member(folder: Path, number: int) -> tuple[int, int]:
    """Offset and size of a member of the first clip."""
    facts = json.loads((folder / TAR).with_suffix(".json").read_text())
    return tuple(facts["clips"][0]["members"][number][:2])


def seal(folder: Path) -> None:
    """Make all checksums fit what the files hold now, except those of members."""
    tar, index = folder / TAR, (folder / TAR).with_suffix(".json")
    facts = {"bytes": tar.stat().st_size, "sha256": hashlib.sha256(tar.read_bytes()).hexdigest()}
    change(index, lambda found: found.update(facts))
    facts["index_sha256"] = hashlib.sha256(index.read_bytes()).hexdigest()

    def update(found: dict[str, Any]) -> None:
        found["splits"]["train"]["shards"][0].update(facts)
        text = json.dumps(found | {"sha256": ""}, sort_keys=True)
        found["sha256"] = hashlib.sha256(text.encode()).hexdigest()

    change(folder / "index.json", update)


def poke(folder: Path, place: int, data: bytes) -> None:
    """Overwrite some bytes of the tar file."""
    with (folder / TAR).open("r+b") as file:
        file.seek(place)
        file.write(data)


def forge(folder: Path, number: int, data: bytes) -> None:
    """Give the first clip another member, with everything beside it to match."""
    tar, index = folder / TAR, (folder / TAR).with_suffix(".json")
    (clip, *_), old = json.loads(index.read_text())["clips"], tar.read_bytes()
    members = [old[start : start + size] for start, size, _ in clip["members"]]
    members[number] = data
    names = [f"{KEY}.json", f"{KEY}.flac", *(f"{KEY}.{i:04d}.jpg" for i in range(len(members) - 2))]
    with tar.open("wb") as file:
        clip["members"] = [write_member(file, *pair) for pair in zip(names, members, strict=True)]
        file.write(END)
    change(index, lambda found: found.update(clips=[clip]))
    seal(folder)


def content(folder: Path, number: int) -> bytes:
    start, size = member(folder, number)
    return (folder / TAR).read_bytes()[start : start + size]


def read(folder: Path) -> list[AVClip]:
    shards = Shards(folder)
    item = shards.clips("train").items[0]
    return [shards.read(item, seconds=1.0, frame=frame) for frame in (0.0, 0.5, 1.0)]


def test_forging_changes_nothing_by_itself(folder):
    before = read(folder)
    forge(folder, JPEG, content(folder, JPEG))
    Shards(folder, verify=True)
    for clip, other in zip(read(folder), before, strict=True):
        assert torch.equal(clip.image, other.image) and torch.equal(clip.audio, other.audio)


@pytest.mark.parametrize(
    ("place", "data"),
    [
        (156, b"2"),  # a symbolic link
        (156, b"1"),  # a hard link
        (157, b"/etc/passwd"),  # and where it leads
        (0, b"../../evil.json\0"),
        (0, b"/tmp/evil.json\0"),
        (345, b"/tmp"),  # the prefix of the name
        (124, b"77777777777"),  # the size
        (257, b"ustar  \0"),  # another kind of tar, with extensions
    ],
)
def test_only_the_plain_member_of_the_index_is_read(folder, place, data):
    poke(folder, member(folder, JSON)[0] - 512 + place, data)
    with pytest.raises(ClipError, match=rf"{KEY}: the tar file holds something else .*{KEY}.json"):
        read(folder)
    with pytest.raises(ValueError, match="its sha256 is not that"):
        Shards(folder, verify=True)
    seal(folder)
    with pytest.raises(ValueError, match=r"says 00000000_0\.json where it is not"):
        Shards(folder, verify=True)


def first(edit: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], object]:
    return lambda facts: edit(facts["clips"][0])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (first(lambda c: c["members"].__setitem__(0, [10**12, 10, 0])), "points outside the file"),
        (first(lambda c: c["members"].__setitem__(0, [512, 10**12, 0])), "points outside the file"),
        (first(lambda c: c["members"].__setitem__(0, [-512, 10, 0])), "points outside the file"),
        (first(lambda c: c["members"].__setitem__(0, [512, 2**70, 0])), "not the index of a shard"),
        (first(lambda c: c["members"].__setitem__(1, c["members"][0])), "from member to member"),
        (first(lambda c: c["members"].pop()), "from member to member"),
        (first(lambda c: c.update(members=c["members"][:2])), "without notes, audio or image"),
        (first(lambda c: c.update(members=7)), "'clips', 0, 'members' is 7, expected list"),
        (first(lambda c: c.update(key="../a")), "keys that no shard has"),
        (first(lambda c: c.update(key="00000001_1")), "keys that no shard has"),
        (lambda facts: facts.pop("clips"), "the content lacks the key 'clips'"),
        (first(lambda c: c.update(labels=[1])), "a label outside of the 1 classes"),
        (first(lambda c: c.update(labels=[-1])), "a label outside of the 1 classes"),
        (first(lambda c: c.update(labels=["0"])), "'labels', 0 is '0', expected int"),
        (lambda facts: facts.update(bytes=5), "bytes, its index says 5"),
        (lambda facts: facts.update(sha256="0"), "damaged, not the one that"),
    ],
)
def test_a_wrong_index_is_refused_at_once(folder, edit, message):
    change((folder / TAR).with_suffix(".json"), edit)
    with pytest.raises(ValueError, match=message):
        Shards(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda facts: facts.update(version=9),
            r"shards of version 9, but version 2 .* anew: python -m recipes.make_shards NAME",
        ),
        (lambda facts: facts.update(complete=False), "unfinished"),
        (
            lambda facts: facts["splits"]["train"]["shards"][0].update(file="../x.tar"),
            r"'\.\./x\.tar' is no name of a shard",
        ),
    ],
)
def test_a_wrong_index_of_the_folder_is_refused(folder, edit, message):
    change(folder / "index.json", edit)
    if message != "unfinished":
        seal(folder)
    with pytest.raises(ValueError, match=message):
        Shards(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", "\0" * 20])
def test_an_index_must_be_json(folder, text):
    (folder / TAR).with_suffix(".json").write_text(text)
    with pytest.raises(
        ValueError, match=r"train-000000\.json(, line 1)?: (broken JSON|the content is \[\])"
    ):
        Shards(folder)


def test_cut_short_or_gone(folder):
    shards = Shards(folder)
    item = shards.clips("train").items[2]
    os.truncate(folder / TAR, (folder / TAR).stat().st_size // 2)
    with pytest.raises(ClipError, match="the tar file ends before byte"):
        shards.read(item)
    with pytest.raises(ValueError, match=r"train-000000\.tar: .* bytes, its index says"):
        Shards(folder)
    (folder / TAR).unlink()
    with pytest.raises(ClipError, match="cannot be opened"):
        shards.read(item)
    with pytest.raises(ValueError, match="no such file"):
        Shards(folder)


def test_one_flipped_bit_is_found(folder):
    place = member(folder, FLAC)[0] + 500
    poke(folder, place, bytes([(folder / TAR).read_bytes()[place] ^ 1]))
    with pytest.raises(ValueError, match=r"train-000000\.tar: damaged, its sha256"):
        Shards(folder, verify=True)


def with_size(jpeg: bytes, height: int, width: int) -> bytes:
    place = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:place] + struct.pack(">HH", height, width) + jpeg[place + 4 :]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda data: with_size(data, 60000, 60000), "60000x60000 is over"),
        (lambda data: with_size(data, 0, 60000), "60000x0 is over"),
        (lambda data: data[:-2], "not a complete JPEG"),
        (lambda data: b"\x89PNG" + data, "not a complete JPEG"),
        (lambda data: b"", "not a complete JPEG"),
        (lambda data: data[:2] + b"\xff\xe0\0\0" * 9 + data[2:], "not a complete JPEG"),
        (lambda data: re.sub(b"(?s)(\xff\xc0.{7}).", rb"\1\t", data), "cannot be decoded"),
        (lambda data: bytes((1 << 24) + 1), r"0000\.jpg has 16,777,217 bytes, over"),
    ],
)
def test_pictures_are_checked_before_they_are_decoded(folder, edit, message):
    forge(folder, JPEG, edit(content(folder, JPEG)))
    with pytest.raises(ClipError, match=message):
        read(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda data: data[:8] + b"\xff\xff\xff\xff" + data[12:], "not mono FLAC"),
        (lambda data: data[:18] + b"\xff" * 8 + data[26:], "not mono FLAC"),
        (lambda data: b"RIFF" + data[4:], "not mono FLAC"),
        (lambda data: data[:21] + b"\xf0\xff\xff\xff\xff" + data[26:], "no audio"),
        (lambda data: data[:HEAD] + bytes(len(data) - HEAD), "cannot be decoded|is damaged"),
        (lambda data: data[:-1], "does not fit"),
    ],
)
def test_sound_is_checked_before_it_is_decoded(folder, edit, message):
    forge(folder, FLAC, edit(content(folder, FLAC)))
    with pytest.raises(ClipError, match=message):
        read(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda notes: notes.pop("times"), "damaged"),
        (lambda notes: notes.update(times=[0.0]), "does not fit"),
        (lambda notes: notes.update(duration=float("nan")), "does not fit"),
        (lambda notes: notes.update(duration=-1), "does not fit"),
        (lambda notes: notes.update(blocks=[]), "does not fit"),
        (lambda notes: notes.update(blocks=[-5, *notes["blocks"]]), "does not fit"),
        (lambda notes: notes.update(blocks=[sum(notes["blocks"])]), "does not fit|no audio"),
        (lambda notes: notes.update(blocks=[float("inf")]), "damaged"),
        (lambda notes: notes.update(duration=1e9), "no audio"),
    ],
)
def test_notes_are_checked(folder, edit, message):
    notes = json.loads(content(folder, JSON))
    edit(notes)
    forge(folder, JSON, json.dumps(notes).encode())
    with pytest.raises(ClipError, match=message):
        read(folder)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[" * 200_000, b"7", b" " * ((1 << 20) + 1)])
def test_notes_must_be_json(folder, data):
    forge(folder, JSON, data)
    with pytest.raises(ClipError, match=r"its json file is damaged|over the 1,048,576 allowed"):
        read(folder)


def test_a_damaged_clip_is_skipped_like_a_damaged_file(folder):
    poke(folder, member(folder, JSON)[0], b"!")
    shards = Shards(folder)
    data = ClipDataset(
        shards.clips("train"),
        ClipFormat(seconds=0.5, size=16),
        read=shards.read,
        train=True,
        on_error="skip",
        max_skipped=0.5,
    )
    sample = data[0, 0]
    assert sample.paths == (f"{folder}/{TAR}/00000001_1",)
    assert [skip.path for skip in sample.skipped] == [f"{folder}/{TAR}/{KEY}"]
    assert "json is damaged: its checksum differs" in sample.skipped[0].reason


def test_a_changed_label_or_class_is_found_without_reading_a_tar(folder):
    index = (folder / TAR).with_suffix(".json")
    whole = index.read_text()
    index.write_text(whole.replace('"labels":[0]', '"labels":[0,0]', 1))
    with pytest.raises(ValueError, match=r"train-000000.json: damaged, not the one that"):
        Shards(folder)
    index.write_text(whole)
    Shards(folder)
    change(folder / "index.json", lambda found: found["splits"]["train"].update(classes=["other"]))
    with pytest.raises(ValueError, match=r"index.json: damaged, its sha256 is another"):
        Shards(folder)


def test_each_flipped_byte_of_a_clip_is_found_when_it_is_read(folder):
    """All members are compared, of sound the blocks that are read; the padding has no meaning."""
    shards = Shards(folder)
    item = shards.clips("train").items[0]
    frames = [0.0, 0.5, 1.0]
    before = [shards.read(item, seconds=1.0, frame=frame) for frame in frames]
    whole = (folder / TAR).read_bytes()
    spans = [member(folder, number) for number in (JSON, FLAC, JPEG)]
    for place in [p for start, size in spans for p in range(start, start + size, size // 25)]:
        poke(folder, place, bytes([whole[place] ^ 32]))
        with pytest.raises(ClipError, match=r"damaged|not mono FLAC"):
            for frame in frames:
                shards.read(item, seconds=1.0, frame=frame)
        poke(folder, place, whole[place : place + 1])
    after = [shards.read(item, seconds=1.0, frame=frame) for frame in frames]
    assert all(one.audio.equal(two.audio) for one, two in zip(before, after, strict=True))


@pytest.mark.parametrize("kind", [".tar", ".json"])
def test_a_link_out_of_the_folder_is_refused(folder, tmp_path, kind):
    path = (folder / TAR).with_suffix(kind)
    path.rename(tmp_path / path.name)
    path.symlink_to(tmp_path / path.name)
    with pytest.raises(ValueError, match=rf"train-000000\{kind}: leads out of its folder"):
        Shards(folder)
    path.unlink()
    (tmp_path / path.name).rename(folder / f"kept{kind}")
    path.symlink_to(f"kept{kind}")
    Shards(folder)

import csv
import re

import pytest
from still_files import write_number, write_sound

from avblocks.data import ClipDataset, ClipFormat
from avblocks.data.datasets import vggsound

ROWS = [
    ("---g-f_I2yQ", 1, "people marching", "test"),
    ("-0BIyqJj9ZU", 30, "female speech, woman speaking", "train"),
    ("abc_0000012", 7, "people marching", "train"),
    ("gone_gone_g", 0, "cow lowing", "train"),
]


def make(root, rows=ROWS, *, encoding="utf-8", end="\n"):
    with (root / "vggsound.csv").open("w", encoding=encoding, newline="") as file:
        csv.writer(file, lineterminator=end).writerows(rows)
    for name in (
        "clips/people_marching/---g-f_I2yQ_000001_000011.mp4",
        "clips/female speech, woman speaking/-0BIyqJj9ZU_000030_000040.mp4",
        "abc_0000012_000007.mp4",
        "clips/unlisted/zzzzzzzzzzz_000000_000010.mp4",
        "unrelated.mp4",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(("encoding", "end"), [("utf-8", "\n"), ("utf-8-sig", "\r\n")])
def test_folders_of_classes_and_flat_copies(tmp_path, encoding, end):
    make(tmp_path, encoding=encoding, end=end)
    train, test = vggsound(tmp_path, split="train"), vggsound(tmp_path, split="test")
    names = ("cow lowing", "female speech, woman speaking", "people marching")
    assert train.classes == test.classes == names
    assert [(item.id, item.labels) for item in train.items] == [
        ("-0BIyqJj9ZU_000030", (1,)),
        ("abc_0000012_000007", (2,)),
    ]
    assert train.items[1].path == str(tmp_path / "abc_0000012_000007.mp4")
    assert train.missing == ("gone_gone_g_000000",)
    assert train.report() == (
        "vggsound train: 3 clips listed, 2 on disk, 1 missing (gone_gone_g_000000); "
        "2 files fit no listed clip, such as zzzzzzzzzzz_000000_000010.mp4; looked for names such "
        "as gone_gone_g_0_10.mp4, gone_gone_g_000000.mp4, gone_gone_g.mp4"
    )
    assert [item.labels for item in test.items] == [(2,)]
    assert test.report() == "vggsound test: 1 clips listed, 1 on disk"


def test_lines_of_one_clip_are_its_labels(tmp_path):
    make(tmp_path, [*ROWS, ("-0BIyqJj9ZU", 30, "cow lowing", "train")])
    assert vggsound(tmp_path, split="train").items[0].labels == (1, 0)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("x", 1, "cow"), r"vggsound\.csv, line 2: 3 columns, expected 4"),
        (("x", "one", "cow", "test"), r"line 2: expected a start second .* 'one' and 'test'"),
        (("x", 1, "cow", "valid"), r"line 2: expected a start second .* '1' and 'valid'"),
        (("x", 1, "", "test"), r"vggsound\.csv, line 2: no label: .*x.*,1,,test"),
    ],
)
def test_wrong_lines_are_named(tmp_path, row, message):
    make(tmp_path, [ROWS[0], row])
    with pytest.raises(ValueError, match=message):
        vggsound(tmp_path, split="train")


def test_missing_or_unreadable_tables(tmp_path):
    with pytest.raises(ValueError, match=r"vggsound\.csv: no such file"):
        vggsound(tmp_path, split="train")
    (tmp_path / "vggsound.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ValueError, match=r"vggsound\.csv: not a csv file in UTF-8"):
        vggsound(tmp_path, split="train")


def test_published_ids_are_understood(tmp_path, annotations):
    with (annotations / "vggsound_test.csv").open(newline="") as file:
        published = list(csv.reader(file))
    rows = [(key[:11], int(key[12:]), label, "test") for key, label in published]
    make(tmp_path, rows)
    for key, label in published[::500]:
        path = tmp_path / "clips" / label / f"{key}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    clips = vggsound(tmp_path, split="test")
    assert len(clips) + len(clips.missing) == len({key for key, _ in published})
    wanted = {key for key, _ in published[::500]} | {"---g-f_I2yQ_000001"}
    assert wanted <= {item.id for item in clips.items}
    assert len(clips.classes) == len({label for _, label in published})


@pytest.mark.parametrize("name", ["#NAME?", "#ERROR!", "=abc", "0"])
def test_ids_that_a_spreadsheet_damaged_are_refused(tmp_path, name):
    row = (name, 1, "cow lowing", "train")
    for line, rows in ((5, [*ROWS, row]), (1, [row, *ROWS])):
        make(tmp_path, rows)
        wanted = rf"vggsound.csv, line {line}: '{re.escape(name)}' is no id"
        with pytest.raises(ValueError, match=wanted):
            vggsound(tmp_path, split="test")


def test_the_usual_names_of_files(tmp_path):
    rows = [("---g-f_I2yQ", 30, "a", "test"), ("---g-f_I2yQ", 50, "b", "train")]
    (tmp_path / "vggsound.csv").write_text("".join(f"{','.join(map(str, r))}\n" for r in rows))
    for name in ("---g-f_I2yQ_30_40.mp4", "---g-f_I2yQ_50000_60000.mp4", "---g-f_I2yQ.mp4"):
        (tmp_path / name).touch()
    for split, name in (("test", "---g-f_I2yQ_30_40"), ("train", "---g-f_I2yQ_50000_60000")):
        assert [i.path for i in vggsound(tmp_path, split=split).items] == [
            str(tmp_path / f"{name}.mp4")
        ]


def test_sounds_and_pictures_in_place_of_videos(tmp_path):
    make(tmp_path)
    for name in ("audio/-0BIyqJj9ZU_000030.wav", "frames/-0BIyqJj9ZU_000030.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    train = vggsound(tmp_path, split="train")
    assert [(item.id, item.labels) for item in train.items] == [("-0BIyqJj9ZU_000030", (1,))]
    assert train.items[0].path == str(tmp_path / "audio/-0BIyqJj9ZU_000030.wav")
    assert train.items[0].images[0].path == str(tmp_path / "frames/-0BIyqJj9ZU_000030.jpg")
    assert vggsound(tmp_path, split="test").remarks == (
        "looked for names such as ---g-f_I2yQ_1_11.wav, ---g-f_I2yQ_000001.wav, ---g-f_I2yQ.wav "
        "in audio and their .jpg in frames or frames/frame_0",
    )


def test_frames_that_cav_mae_extracted(tmp_path):
    """Ten images of each video, in folders by their number, and audio under the video's name."""
    make(tmp_path)
    write_sound(tmp_path / "-0BIyqJj9ZU_30_40.flac", seconds=10.0)
    for number in range(10):
        write_number(tmp_path / f"frame_{number}" / "-0BIyqJj9ZU_30_40.jpg", number)
    write_sound(tmp_path / "abc_0000012_7_17.wav", seconds=1.0)
    clips = vggsound(tmp_path, split="train")
    assert [(item.id, item.labels) for item in clips.items] == [("-0BIyqJj9ZU_000030", (1,))]
    assert clips.missing == ("abc_0000012_000007", "gone_gone_g_000000")
    assert clips.remarks[0] == (
        "1 audio files or images have no counterpart of their name, such as abc_0000012_7_17"
    )
    batch = ClipDataset(clips, ClipFormat(seconds=2.0, size=32), train=True)[3, 0]
    assert batch.image.shape == (1, 3, 48, 64) and batch.target.tolist() == [[0, 1, 0]]


def test_names_that_yt_dlp_gives(tmp_path):
    make(tmp_path, [("abc_0000012", 7, "people marching", "train")])
    (tmp_path / "abc_0000012_000007.mp4").unlink()
    name = "Marching [live], part 2 [abc_0000012].webm"
    (tmp_path / name).touch()
    assert [item.path for item in vggsound(tmp_path, split="train").items] == [str(tmp_path / name)]


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("1030_1040", 1030),
        ("1030000_1040000", 1030),
        ("1030000", 1030),
        ("1030", 1030),
        ("001030", 1030),
        ("1000_11000", 1),
        ("001000_001010", 1000),
        ("1000_1010", 1000),
    ],
)
def test_seconds_and_milliseconds_are_told_apart(tmp_path, name, start):
    others = {1, 1000, 1030} - {start}
    for only in (others, {*others, start}):
        rows = [(11 * "a", second, f"{second}", "test") for second in sorted(only)]
        (tmp_path / "vggsound.csv").write_text("".join(f"{','.join(map(str, r))}\n" for r in rows))
        (tmp_path / f"aaaaaaaaaaa_{name}.mp4").touch()
        found = [item.id for item in vggsound(tmp_path, split="test").items]
        if start in only:
            assert found == [f"aaaaaaaaaaa_{start:06d}"]
        elif name != "1030":  # 1.03 s, in milliseconds
            assert found == []


def test_a_training_clip_that_is_tested_is_left_out(tmp_path):
    make(tmp_path, [*ROWS, (*ROWS[1][:3], "test"), ROWS[2]])
    train, test = vggsound(tmp_path, split="train"), vggsound(tmp_path, split="test")
    assert [item.id for item in test.items] == ["---g-f_I2yQ_000001", "-0BIyqJj9ZU_000030"]
    assert [(item.id, item.labels) for item in train.items] == [("abc_0000012_000007", (2,))]
    assert train.remarks[-1] == (
        "1 training clips that are test clips too are left out, such as -0BIyqJj9ZU_000030"
    )

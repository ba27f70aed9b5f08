import csv

import pytest

from avblocks.data import read_clip
from avblocks.data.datasets import pairs, vggsound_music
from avblocks.data.scenes import SceneSpec, render, scenes_as_pairs

TABLE = """source_1,source_2,class_1,class_2,sep_type
aaaaaaaaaaa_000001,bbbbbbbbbbb_000020,bass_drum,"violin,_fiddle",Easy
ccccccccccc_000003,aaaaaaaaaaa_000001,flute,bass_drum,Hard
"""
LISTED = [
    ("aaaaaaaaaaa", 1, "playing bass drum", "test"),
    ("ddddddddddd", 4, "playing violin, fiddle", "train"),
    ("eeeeeeeeeee", 5, "cow lowing", "train"),
    ("fffffffffff", 6, "cow lowing", "train"),
    ("fffffffffff", 6, "playing flute", "train"),
    ("ggggggggggg", 7, "playing flute", "train"),
]


def make(root, *, table=TABLE, listed=LISTED):
    (root / "vggmusic_eval_ss.csv").write_text(table)
    with (root / "vggsound.csv").open("w", newline="") as file:
        csv.writer(file).writerows(listed)
    for key in ("aaaaaaaaaaa_000001", "bbbbbbbbbbb_000020", "ddddddddddd_000004"):
        (root / f"{key}.mp4").touch()
    for key in ("eeeeeeeeeee_000005", "fffffffffff_000006"):
        (root / f"{key}.mp4").touch()
    return root


def test_test_clips_are_the_sources_of_the_pairs(tmp_path):
    clips = vggsound_music(make(tmp_path), split="test")
    assert clips.classes == ("bass_drum", "flute", "violin,_fiddle")
    assert [(item.id, item.labels) for item in clips.items] == [
        ("aaaaaaaaaaa_000001", (0,)),
        ("bbbbbbbbbbb_000020", (2,)),
    ]
    assert clips.report() == (
        "vggsound-music test: 3 clips listed, 2 on disk, 1 missing (ccccccccccc_000003)"
        "; 3 files fit no listed clip, such as ddddddddddd_000004.mp4; looked for names such as "
        "ccccccccccc_3_13.mp4, ccccccccccc_000003.mp4, ccccccccccc.mp4"
    )
    found = pairs(clips, tmp_path / "vggmusic_eval_ss.csv")
    assert found.report() == (
        "vggsound-music test, vggmusic_eval_ss: 2 pairs listed, 1 on disk, "
        "1 missing (ccccccccccc_000003+aaaaaaaaaaa_000001)"
    )


def test_training_clips_are_vggsounds_of_these_classes(tmp_path):
    clips = vggsound_music(make(tmp_path), split="train")
    assert clips.classes == ("bass_drum", "flute", "violin,_fiddle")
    assert [(item.id, item.labels) for item in clips.items] == [
        ("ddddddddddd_000004", (2,)),
        ("fffffffffff_000006", (1,)),
    ]
    assert clips.report() == (
        "vggsound-music train: 3 clips listed, 2 on disk, 1 missing (ggggggggggg_000007)"
        "; 1 files fit no listed clip, such as eeeeeeeeeee_000005.mp4; looked for names such as "
        "ggggggggggg_7_17.mp4, ggggggggggg_000007.mp4, ggggggggggg.mp4"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("class_2", "klass", r"vggmusic_eval_ss\.csv, line 1: no column 'class_2'"),
        ("flute,bass_drum", "flute,piano", r"line 3: class 'piano' for aaaaaaaaaaa_000001, which"),
        (",Hard", "", r"line 3: 4 columns, expected 5"),
    ],
)
def test_wrong_lines_are_named(tmp_path, old, new, message):
    make(tmp_path, table=TABLE.replace(old, new))
    with pytest.raises(ValueError, match=message):
        vggsound_music(tmp_path, split="test")


def test_scenes_are_read_back(scene_root):
    root = scenes_as_pairs(scene_root)
    test, train = (vggsound_music(root, split=split) for split in ("test", "train"))
    assert len(test) == 6 and len(test.classes) == 6 and not test.missing
    assert {label for item in train.items for label in item.labels} <= set(range(6))
    for pair in pairs(test, root / "vggmusic_eval_ss.csv").pairs:
        for item in (pair.first, pair.second):
            number = int(item.id[5:11])
            scene = render(number, split="test", spec=SceneSpec(seconds=2.0, size=32))
            audio = read_clip(item, seconds=2.0).audio.numpy()
            assert abs(audio - scene.sources[0]).mean() < 0.03


def test_the_published_pairs_are_understood(tmp_path, annotations):
    table = annotations / "vggmusic_eval_ss.csv"
    (tmp_path / table.name).symlink_to(table)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows[::100]:
        for source in ("source_1", "source_2"):
            (tmp_path / f"{row[source]}.mp4").touch()
    clips = vggsound_music(tmp_path, split="test")
    assert len(clips.classes) == 49 and len(clips) + len(clips.missing) == 1201
    found = pairs(clips, table)
    assert len(found) >= 13 and len(found) + len(found.missing) == 1201
    assert {pair.difficulty for pair in found.pairs} <= {"Easy", "Hard"}
    ids = {(pair.first.id, pair.second.id) for pair in found.pairs}
    assert {(row["source_1"], row["source_2"]) for row in rows[::100]} <= ids


def test_published_labels_have_the_classes(tmp_path, annotations):
    (tmp_path / "vggmusic_eval_ss.csv").symlink_to(annotations / "vggmusic_eval_ss.csv")
    with (annotations / "vggsound_test.csv").open(newline="") as file:
        labels = sorted({label for _, label in csv.reader(file)})
    with (tmp_path / "vggsound.csv").open("w", newline="") as file:
        csv.writer(file).writerows((f"{n:011d}", 0, name, "train") for n, name in enumerate(labels))
    for number in range(len(labels)):
        (tmp_path / f"{number:011d}_000000.mp4").touch()
    clips = vggsound_music(tmp_path, split="train")
    assert [item.labels for item in clips.items] == [(number,) for number in range(49)]


def test_clips_of_pairs_and_of_the_test_are_not_trained_on(tmp_path):
    paired, tested = (
        ("bbbbbbbbbbb", 20, "playing violin, fiddle", "train"),
        (*LISTED[1][:3], "test"),
    )
    clips = vggsound_music(make(tmp_path, listed=[*LISTED, paired, tested]), split="train")
    assert [item.id for item in clips.items] == ["fffffffffff_000006"]
    assert clips.remarks[-1] == (
        "2 training clips that are test clips too are left out, such as bbbbbbbbbbb_000020"
    )

import json

import pytest
from clip_files import count
from still_files import write_number, write_sound

from avblocks.data import read_clip
from avblocks.data.datasets import flickr_plus_silent, vggss_plus_silent

A, B, C = "---g-f_I2yQ_000001", "-0BIyqJj9ZU_000030", "gone_gone_g_000000"
HEAD = "video,audio,label\n"
VGGSS = f"{HEAD}{A},{A},cow\n{A},{B},non-sounding\n{B},{B},non-sounding\n{A},{C},non-sounding\n"
ENTRIES = [{"file": A, "class": "cow", "bbox": [[0, 0.25, 0.5, 1.0]]}]


def make_vggss(root, *, table=VGGSS, stills=True):
    (root / "vggss.json").write_text(json.dumps(ENTRIES))
    (root / "vggss_test_plus_silent.csv").write_text(table)
    for number, key in enumerate((A, B), start=1):
        if stills:
            write_sound(root / "audio" / f"{key}.wav", seconds=float(number))
            write_number(root / "frames" / f"{key}.jpg", number)
        else:
            (root / f"{key}.mp4").touch()
    return root


def test_pairs_without_a_source_follow_vggss(tmp_path):
    clips = vggss_plus_silent(make_vggss(tmp_path))
    assert [(item.id, item.boxes) for item in clips.items] == [
        (A, ((0.0, 0.25, 0.5, 1.0),)),
        (f"{A}+{B}", ()),
        (f"{B}+{B}", ()),
    ]
    assert clips.report() == (
        f"vggss test, plus silent: 4 clips listed, 3 on disk, 1 missing ({A}+{C})"
    )
    pair = read_clip(clips.items[1], seconds=2.0)
    assert count(pair.image.numpy()) == 1  # the image of A
    assert clips.items[1].path.endswith(f"audio/{B}.wav")  # the audio of B
    assert pair.boxes is not None and pair.boxes.shape == (0, 4)


def test_videos_of_two_clips_cannot_be_paired(tmp_path):
    clips = vggss_plus_silent(make_vggss(tmp_path, stills=False))
    assert [item.id for item in clips.items] == [A, f"{B}+{B}"]
    assert clips.missing == (f"{A}+{B}", f"{A}+{C}")
    assert clips.remarks == ("1 pairs of two clips need wav and jpg files instead of videos",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (f"{A},{B}", f"../x,{B}", r"plus_silent\.csv, line 3: '\.\./x' is not ID_ssssss"),
        (f"{B},{B}", f"{A},{B}", r"line 4: in line 3 too; delete one"),
        (f"{A},{C},", f"{A},,", r"line 5: an empty field"),
        ("video,", "image,", r"line 1: no column 'video'"),
        ("non-sounding", "sounding", r"no line with the label 'non-sounding'"),
    ],
)
def test_wrong_lines_are_named(tmp_path, old, new, message):
    with pytest.raises(ValueError, match=message):
        vggss_plus_silent(make_vggss(tmp_path, table=VGGSS.replace(old, new)))


def test_flickr_pairs(tmp_path):
    (tmp_path / "flickr_test.csv").write_text("10,3\n")
    (tmp_path / "flickr_test_plus_silent.csv").write_text(
        f"{HEAD}10,11,non-sounding\n11,10,non-sounding\n../10,11,non-sounding\n"
    )
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "10.xml").write_text(
        "<annotation><a><bbox><id>1</id><b>0</b><c>0</c><d>128</d><e>256</e></bbox></a></annotation>"
    )
    for key in (10, 11):
        write_sound(tmp_path / "audio" / f"{key}.wav", seconds=0.1)
        write_number(tmp_path / "frames" / f"{key}.jpg", key)
    clips = flickr_plus_silent(tmp_path)
    assert [(item.id, item.boxes) for item in clips.items] == [
        ("10", ((0.0, 0.0, 0.5, 1.0),)),
        ("10+11", ()),
        ("11+10", ()),
    ]
    assert clips.missing == ("../10+11",)
    assert count(read_clip(clips.items[1], seconds=0.1).image.numpy()) == 10

import csv

import numpy as np
import pytest
from still_files import write_number, write_sound

from avblocks.data import read_clip
from avblocks.data.datasets import flickr_soundnet
from avblocks.data.scenes import SceneSpec, render, scenes_as_flickr

XML = """<annotation><image>10.jpg</image>
<one><bbox><id>1</id><xmin>0</xmin><ymin>64</ymin><xmax>128</xmax><ymax>256</ymax></bbox></one>
<two><bbox><id>1</id><xmin>32</xmin><ymin>64</ymin><xmax>128</xmax><ymax>257</ymax></bbox>
<bbox><id>2</id><xmin>128</xmin><ymin>0</ymin><xmax>256</xmax><ymax>128</ymax></bbox></two>
<three><none/></three></annotation>"""


def make(root, *, xml=XML, table="10,3\n11,0\n12,5\n"):
    (root / "flickr_test.csv").write_text(table)
    (root / "Annotations").mkdir()
    for key in ("10", "11"):
        write_sound(root / "audio" / f"{key}.wav", seconds=0.1)
        write_number(root / "frames" / f"{key}.jpg")
    (root / "Annotations" / "10.xml").write_text(xml)
    return root


def test_boxes_of_all_annotators(tmp_path):
    clips = flickr_soundnet(make(tmp_path))
    assert [item.id for item in clips.items] == ["10"]
    assert clips.items[0].boxes == (
        (0.0, 0.25, 0.5, 1.0),
        (0.125, 0.25, 0.5, 1.0),
        (0.5, 0.0, 1.0, 0.5),
    )
    assert clips.report() == ("flickr-soundnet test: 3 clips listed, 1 on disk, 2 missing (11, 12)")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</annotation>", "", r"10\.xml, line 5: broken XML"),
        ("<xmax>256", "<xmax>nan", r"10\.xml, box 3: the box .* extends beyond the image"),
        ("<xmax>256", f"<xmax>{'9' * 400}", r"box 3: the box .* extends beyond the image"),
        ("<xmax>256", "<xmax>127", r"10\.xml, box 3: left, top, right, bottom are not in order"),
        ("<ymin>0<", "<ymin>?<", r"10\.xml, box 3: expected a name and four numbers, got .*'\?'"),
        ("<id>2</id>", "", r"10\.xml, box 3: expected left, top, right and bottom"),
    ],
)
def test_wrong_annotations_are_named(tmp_path, old, new, message):
    root = make(tmp_path, xml=XML.replace(old, new))
    with pytest.raises(ValueError, match=message):
        flickr_soundnet(root)


@pytest.mark.parametrize("edge", [257, 300, 513, 2000])
def test_what_lies_over_the_edge_is_cut_off(tmp_path, edge):
    """However far: the evaluators' arrays end with the frame."""
    clips = flickr_soundnet(make(tmp_path, xml=XML.replace("<xmax>256", f"<xmax>{edge}")))
    assert clips.items[0].boxes[2] == (0.5, 0.0, 1.0, 0.5)


def test_a_box_outside_of_the_frame_counts_for_nothing(tmp_path):
    out = XML.replace("<xmin>128", "<xmin>700").replace("<xmax>256", "<xmax>800")
    assert flickr_soundnet(make(tmp_path, xml=out)).items[0].boxes[2] == (1.0, 0.0, 1.0, 0.5)


def test_missing_table(tmp_path):
    with pytest.raises(ValueError, match=r"flickr_test\.csv: no such file"):
        flickr_soundnet(tmp_path)


def test_scenes_are_read_back(scene_root):
    clips = flickr_soundnet(scenes_as_flickr(scene_root))
    assert len(clips) == 6 and not clips.missing
    for number, item in enumerate(clips.items):
        scene = render(number, split="test", spec=SceneSpec(seconds=2.0, size=32))
        clip = read_clip(item, seconds=2.0)
        assert item.id == scene.id and clip.boxes is not None
        boxes = np.repeat(scene.boxes[16], 3, axis=0)
        np.testing.assert_array_equal(clip.boxes.numpy(), boxes[boxes.any(axis=1)])
        picture = scene.frames[16].transpose(2, 0, 1)
        assert np.abs(clip.image.numpy().astype(int) - picture.astype(int)).mean() < 4
        np.testing.assert_allclose(clip.audio.numpy(), scene.audio, atol=1e-4)


def test_scenes_are_not_written_twice(scene_root, monkeypatch):
    base = scenes_as_flickr(scene_root)
    before = flickr_soundnet(base)
    monkeypatch.setattr("avblocks.data.scenes.source.render", None)
    assert flickr_soundnet(scenes_as_flickr(scene_root)) == before
    with pytest.raises(ValueError, match="holds no scenes; make them there first"):
        scenes_as_flickr(base)


def test_the_published_list_is_understood(tmp_path, annotations):
    table = annotations / "flickr_test.csv"
    with table.open(newline="") as file:
        keys = [row[0] for row in csv.reader(file)]
    make(tmp_path, table=table.read_text())
    (tmp_path / "Annotations" / f"{keys[7]}.xml").write_text(XML)
    write_sound(tmp_path / "audio" / f"{keys[7]}.wav", seconds=0.1)
    write_number(tmp_path / "frames" / f"{keys[7]}.jpg")
    clips = flickr_soundnet(tmp_path)
    assert [item.id for item in clips.items] == [keys[7]]
    assert clips.missing == (*keys[:7], *keys[8:]) and len(set(keys)) == 250


def test_nothing_on_disk_has_a_reason(tmp_path):
    root = make(tmp_path, table="7\n8\n")
    assert flickr_soundnet(root).remarks == (
        "2 pairs fit no listed clip, such as 10",
        f"looked for names such as audio/7.wav and frames/7.jpg in {root}",
    )
    (root / "flickr_test.csv").write_text("11\n")
    assert flickr_soundnet(root).remarks == ("looked for annotations such as Annotations/11.xml",)

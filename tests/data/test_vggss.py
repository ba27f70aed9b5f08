import json

import numpy as np
import pytest
import torch
from still_files import write_number, write_sound

from avblocks.data import read_clip
from avblocks.data.datasets import folder, subset, vggsound, vggss
from avblocks.data.scenes import SceneSpec, render, scenes_as_vggss

LOST = -(2**63) / 320
ENTRIES = [
    {"file": "---g-f_I2yQ_000001", "class": "cow", "bbox": [[0, 0.25, 0.5, 1.0], [0.5, 0, 1, 0.5]]},
    {"file": "-0BIyqJj9ZU_000030", "class": "ant", "bbox": [[0.5, 0.25, LOST, 1.0]]},
    {"file": "gone_gone_g_000000", "class": "cow", "bbox": [[0.5, 0.5, 0.5, 1.0], [0, 0, 1, 1]]},
]


def make(root, *, text=None):
    (root / "vggss.json").write_text(text or json.dumps(ENTRIES))
    for name in ("cow/---g-f_I2yQ_000001_000011.mp4", "-0BIyqJj9ZU_000030.mp4"):
        path = root / "clips" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_boxes_over_videos(tmp_path):
    clips = vggss(make(tmp_path))
    assert clips.classes == ("ant", "cow")
    assert [(item.id, item.labels, item.boxes) for item in clips.items] == [
        ("---g-f_I2yQ_000001", (1,), ((0.0, 0.25, 0.5, 1.0), (0.5, 0.0, 1.0, 0.5))),
        ("-0BIyqJj9ZU_000030", (0,), ()),
    ]
    assert clips.report() == (
        "vggss test: 3 clips listed, 2 on disk, 1 missing (gone_gone_g_000000); "
        "2 boxes enclose nothing and are left out"
    )


def test_boxes_over_sounds_with_pictures(tmp_path):
    make(tmp_path)
    write_sound(tmp_path / "audio" / "---g-f_I2yQ_000001.wav")
    write_number(tmp_path / "frames" / "---g-f_I2yQ_000001.jpg")
    clips = vggss(tmp_path)
    assert [item.id for item in clips.items] == ["---g-f_I2yQ_000001"]
    clip = read_clip(clips.items[0])
    assert clip.boxes is not None and clip.boxes.shape == (2, 4) and clip.labels == (1,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"file": "x"', r"vggss\.json, line 1: broken JSON"),
        ('{"file": "x"}', r"vggss\.json: the content is .*, expected a list"),
        ('[{"file": "x", "bbox": []}]', r'vggss\.json: expected entries of "file", .*got \{'),
        ("[3]", r'vggss\.json: expected entries of "file", .*got 3'),
        (
            '[{"file": "aaaaaaaaaaa_000000", "class": "y", "bbox": [[0, 0, 1, 1], [0, 0, 2, 1]]}]',
            r"vggss\.json, 'aaaaaaaaaaa_000000', box 2: the box \[0, 0, 2, 1\] extends",
        ),
        (
            '[{"file": "aaaaaaaaaaa_000000", "class": "y", "bbox": [5]}]',
            r"'aaaaaaaaaaa_000000', box 1: expected left, top, right",
        ),
        (
            '[{"file": "../aaaaaaaaaaa_000000", "class": "y", "bbox": []}]',
            r"vggss\.json: '\.\./aaaaaaaaaaa_000000' is not ID_ssssss; get the file again",
        ),
    ],
)
def test_wrong_entries_are_named(tmp_path, text, message):
    make(tmp_path, text=text)
    with pytest.raises(ValueError, match=message):
        vggss(tmp_path)


def test_scenes_are_read_back(scene_root):
    clips = vggss(scenes_as_vggss(scene_root))
    assert len(clips) == 6 and clips.classes == tuple(sorted(clips.classes))
    for number, item in enumerate(clips.items):
        scene = render(number, split="test", spec=SceneSpec(seconds=2.0, size=32))
        clip = read_clip(item, seconds=1.0)
        assert clip.boxes is not None
        boxes = scene.boxes[16][scene.boxes[16].any(axis=1)]
        np.testing.assert_allclose(clip.boxes.numpy(), boxes, atol=1e-4)
        picture = scene.frames[16].transpose(2, 0, 1)
        assert np.abs(clip.image.numpy().astype(int) - picture.astype(int)).mean() < 12
    plain = vggsound(scene_root, split="test")
    assert [item.path for item in clips.items] == [item.path for item in plain.items]


def test_scenes_must_be_there(tmp_path):
    with pytest.raises(ValueError, match="holds no scenes; make them there first"):
        scenes_as_vggss(tmp_path)


def test_the_published_files_are_understood(tmp_path, annotations):
    (tmp_path / "vggss.json").symlink_to(annotations / "vggss.json")
    entries = json.loads((annotations / "vggss.json").read_text())
    for entry in entries[::200]:
        (tmp_path / f"{entry['file']}.mp4").touch()
    clips = vggss(tmp_path)
    assert len(clips) == 26 and len(clips) + len(clips.missing) == 5158
    assert len(clips.classes) == 221
    assert clips.remarks == ("18 boxes enclose nothing and are left out",)
    for item, entry in zip(clips.items, entries[::200], strict=True):
        assert item.boxes == tuple(tuple(box) for box in entry["bbox"])
        assert clips.classes[item.labels[0]] == entry["class"]
    listed = subset(clips, annotations / "vggss_test.csv")
    assert listed.items == clips.items and listed.name == "vggss test, vggss_test"
    assert set(listed.missing) == set(clips.missing)


def test_a_published_box_lies_over_its_clip(tmp_path, annotations, real_clips):
    (tmp_path / "vggss.json").symlink_to(annotations / "vggss.json")
    (tmp_path / "3qesirWAGt4_000020.mp4").symlink_to(real_clips / "vggsound_dog_barking.mp4")
    clip = read_clip(vggss(tmp_path).items[0])
    assert clip.boxes is not None and clip.boxes.shape == (1, 4)
    left, top, right, bottom = clip.boxes[0]
    assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    assert folder(tmp_path).items[0].boxes is None and torch.isfinite(clip.audio).all()


def test_two_entries_of_one_clip_are_refused(tmp_path):
    (tmp_path / "aaaaaaaaaaa_000000.mp4").touch()
    entry = '{"file": "aaaaaaaaaaa_000000", "class": "a", "bbox": [[0, 0, 1, 1]]}'
    (tmp_path / "vggss.json").write_text(f"[{entry}, {entry}]")
    with pytest.raises(ValueError, match=r"vggss.json: two entries for 'aaaaaaaaaaa_000000'"):
        vggss(tmp_path)


def test_a_clip_of_other_seconds_of_a_video_is_not_taken_for_one_from_its_start(tmp_path):
    """VGGSound's test list has 16 and 0 of one video, of which VGG-SS lists 0."""
    entry = {"file": "aaaaaaaaaaa_000000", "class": "cow", "bbox": [[0, 0, 1, 1]]}
    (tmp_path / "vggss.json").write_text(json.dumps([entry]))
    for name in ("_000016", "_16_26", "_16", "_000016_000026", "_16.000_26.000"):
        (tmp_path / f"aaaaaaaaaaa{name}.mp4").touch()
    assert vggss(tmp_path).missing == ("aaaaaaaaaaa_000000",)
    (tmp_path / "aaaaaaaaaaa_0_10000.mp4").touch()
    assert vggss(tmp_path).items[0].path == str(tmp_path / "aaaaaaaaaaa_0_10000.mp4")

import json

import numpy as np
import pytest
from clip_files import count
from still_files import write_mask, write_number, write_sound

from avblocks.data import ClipError, read_clip
from avblocks.data.datasets import avsbench_avss, avsbench_ms3, avsbench_s4
from avblocks.data.scenes import SceneSpec, render, scenes_as_avsbench

TABLE = """vid,uid,s_min,s_sec,a_obj,split,label
a,a_0_5,0,0,dog,train,v1s
b,b_0_5,0,0,emergency-car_dog,train,v1m
c,c_0_10,0,30,off-the-screen_dog,train,v2
d,d_0_10,0,30,background,val,v2
"""
NUMBERS = {"background": 1, "dog": 3, "emergency-car": 2}
LABELS = json.dumps(NUMBERS)


def make(root, *, table=TABLE, labels=LABELS):
    (root / "metadata.csv").write_text(table)
    (root / "label2idx.json").write_text(labels)
    for name, pictures, masks in (("v1s/a_0_5", 5, 1), ("v1m/b_0_5", 5, 5), ("v2/c_0_10", 9, 9)):
        write_sound(root / name / "audio.wav", seconds=10 if name[1] == "2" else 5)
        for n in range(pictures):
            write_number(root / name / "frames" / f"{n}.jpg", n)
        for n in range(masks):
            mask = np.full((48, 64), n % 3)
            write_mask(root / name / "labels_semantic" / f"{n}.png", mask)
    return root


def test_all_three_parts(tmp_path):
    clips = avsbench_avss(make(tmp_path), split="train")
    assert clips.classes == ("background", "emergency-car", "dog")
    assert [(item.id, item.labels) for item in clips.items] == [
        ("a_0_5", (2,)),
        ("b_0_5", (1, 2)),
        ("c_0_10", (2,)),
    ]
    assert clips.report() == (
        "avsbench-avss train: 3 clips listed, 3 on disk; 1 clips have fewer images than published"
    )
    assert len(clips.per_frame()) == 1 + 5 + 9
    clip = read_clip(clips.items[1], frame=0.5)
    assert clip.frames is not None and count(clip.image.numpy()) == 2
    assert [mask.unique().tolist() for mask in clip.frames.mask] == [[0], [1], [2], [0], [1]]
    assert clip.mask is not None and clip.mask.unique().tolist() == [2]
    assert clip.time == pytest.approx(1.5)  # in the middle of three seconds
    assert avsbench_avss(tmp_path, split="val").missing == ("d_0_10",)


def test_s4_and_ms3_inside(tmp_path):
    """As the reference reads them: the lines of label v1s and v1m, with masks of one class."""
    root = make(tmp_path)
    clips = avsbench_s4(root, split="train")
    assert clips.report() == "avsbench-s4 train: 1 clips listed, 1 on disk"
    assert clips.classes == ("dog",) and [i.labels for i in clips.items] == [(0,)]
    assert [item.id for item in clips.per_frame().items] == ["a_0_5_1"]
    clips = avsbench_ms3(root, split="train")
    assert clips.report() == "avsbench-ms3 train: 1 clips listed, 1 on disk" and not clips.classes
    frames = read_clip(clips.items[0]).frames
    assert frames is not None
    assert [mask.unique().tolist() for mask in frames.mask] == [[0], [1], [1], [0], [1]]
    assert len(avsbench_s4(root, split="val")) == len(avsbench_ms3(root, split="test")) == 0
    (root / "Multi-sources").mkdir()
    with pytest.raises(ValueError, match=r"ms3_meta_data\.csv: no such file"):
        avsbench_ms3(root, split="train")


def test_numbers_may_count_from_zero(tmp_path):
    make(tmp_path, labels=json.dumps({name: number - 1 for name, number in NUMBERS.items()}))
    assert avsbench_avss(tmp_path, split="val").classes == ("background", "emergency-car", "dog")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("a_obj", "object", r"metadata\.csv, line 1: no column 'a_obj'"),
        ("dog,train,v1s", "cat_dog,train,v1s", r"line 2: unknown classes \['cat'\]; label2idx"),
        ("train,v1m", "train,v3", r"line 3: unknown label 'v3'; expected one of v1s, v1m, v2"),
        ("train,v2", "tain,v2", r"line 4: unknown split 'tain'"),
    ],
)
def test_wrong_lines_are_named(tmp_path, old, new, message):
    make(tmp_path, table=TABLE.replace(old, new))
    with pytest.raises(ValueError, match=message):
        avsbench_avss(tmp_path, split="train")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ('{"dog": 1', r"label2idx\.json, line 1: broken JSON"),
        ("[]", r"label2idx\.json: the content is \[\], expected an object"),
        ('{"dog": 1, "cat": 3}', r"label2idx\.json: expected numbers from 0 or 1 on without gap"),
        ('{"dog": "1"}', r"label2idx\.json: .dog. is .1., expected int"),
    ],
)
def test_wrong_class_numbers_are_named(tmp_path, labels, message):
    make(tmp_path, labels=labels)
    with pytest.raises(ValueError, match=message):
        avsbench_avss(tmp_path, split="train")


def test_coloured_masks_are_refused(tmp_path):
    write_mask(make(tmp_path) / "v1s/a_0_5/labels_semantic/0.png", np.zeros((48, 64, 3)))
    with pytest.raises(ClipError, match=r"0\.png: pixels are rgb24; class numbers need 8-bit gray"):
        read_clip(avsbench_avss(tmp_path, split="train").items[0])


def test_scenes_are_read_back(scene_root):
    root = scenes_as_avsbench(scene_root, part="avss")
    clips = avsbench_avss(root, split="train")
    assert len(clips) == 8 and len(clips.classes) == 13 and clips.classes[0] == "background"
    for number in (2, 3):
        scene = render(number, spec=SceneSpec(seconds=2.0, size=32))
        clip = read_clip(clips.items[number], seconds=2.0)
        assert clip.frames is not None
        assert clip.labels == tuple(label + 1 for label in scene.labels)
        wanted = np.zeros((2, 32, 32))
        for place, label in enumerate(scene.labels):
            wanted[scene.masks[[8, 24], place]] = label + 1
        np.testing.assert_array_equal(clip.frames.mask.numpy(), wanted)
        frames = scene.frames[[8, 24]].transpose(0, 3, 1, 2).astype(int)
        assert np.abs(clip.frames.image.numpy().astype(int) - frames).mean() < 4
    assert len(avsbench_avss(root, split="val")) == len(avsbench_avss(root, split="test")) == 3


@pytest.mark.parametrize("name", ["../v1s/a_0_5", "/tmp/a_0_5", ".."])
def test_nothing_outside_of_the_folder_is_read(tmp_path, name):
    make(tmp_path, table=TABLE.replace("a_0_5", name))
    with pytest.raises(ValueError, match=r"metadata.csv, line 2: .* is no plain name"):
        avsbench_avss(tmp_path, split="train")


def test_an_id_in_two_lines_is_refused(tmp_path):
    make(tmp_path, table=TABLE.replace("b_0_5", "a_0_5"))
    with pytest.raises(ValueError, match=r"line 3: a_0_5 is in line 2 too; delete one"):
        avsbench_avss(tmp_path, split="train")

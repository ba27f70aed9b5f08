import json

import numpy as np
import pytest
import torch
from still_files import write_mask, write_number, write_sound

from avblocks.data import read_clip
from avblocks.data.datasets import is3, vpo_ms, vpo_ss

FAR = "/mnt/users/data"


def entry(name: str, truth: object, **changes: object) -> dict[str, object]:
    """An entry as published, with the paths of the authors' machine."""
    paths = {
        "image": f"{FAR}/visual_frames/{name}.jpg",
        "audio": f"{FAR}/audio_wav/{name}.wav",
    }
    return paths | {"gt_box": truth} | changes


BOXES = [
    entry("dog_cat_1_dog", [0.0, 56.0, 112.0, 224.0]),
    entry("dog_cat_1_cat", [112.0, 0.0, 224.0, 224.0]),
    entry("ant_cow_2_ant", [1.0, 1.0, 2.0, 2.0]),
]


def make(root, table, entries):
    (root / table).write_text(json.dumps(entries))
    for name in ("dog_cat_1_dog", "dog_cat_1_cat"):
        write_sound(root / "audio_wav" / f"{name}.wav", seconds=0.5)
        write_number(root / "visual_frames" / f"{name}.jpg", 3, width=64, height=64)
    return root


@pytest.mark.parametrize(
    ("reader", "table", "name"),
    [
        (is3, "synthetic3240_bbox.json", "is3"),
        (vpo_ss, "vpo_ss_bbox.json", "vpo-ss"),
        (vpo_ms, "vpo_ms_bbox.json", "vpo-ms"),
    ],
)
def test_boxes(tmp_path, reader, table, name):
    clips = reader(make(tmp_path, table, BOXES))
    assert [(item.id, item.boxes) for item in clips.items] == [
        ("dog_cat_1_dog", ((0.0, 0.25, 0.5, 1.0),)),
        ("dog_cat_1_cat", ((0.5, 0.0, 1.0, 1.0),)),
    ]
    assert clips.report() == (f"{name} boxes: 3 clips listed, 2 on disk, 1 missing (ant_cow_2_ant)")
    clip = read_clip(clips.items[0], seconds=0.5)
    assert clip.boxes is not None and clip.mask is None


def test_masks_are_above_half_of_a_jpg(tmp_path):
    """As in the published code: gray values of 128 and more, of files whose edges are blurred."""
    folder = f"{FAR}/gt_masks"
    entries = [entry(e["image"].split("/")[-1][:-4], "", offset=1) for e in BOXES]
    for row in entries:
        row["gt_box"] = f"{folder}/{row['image'].split('/')[-1]}"
    make(tmp_path, "synthetic3240_seg.json", entries)
    gray = np.zeros((64, 64))
    gray[:, 16:32], gray[:, 32:48], gray[:, 48:] = 40, 180, 255
    write_mask(tmp_path / "gt_masks" / "dog_cat_1_dog.jpg", np.stack([gray] * 3, axis=2))
    clips = is3(tmp_path, annotation="masks")
    assert [item.id for item in clips.items] == ["dog_cat_1_dog"]
    assert clips.items[0].boxes is None and len(clips.missing) == 2
    mask = read_clip(clips.items[0], seconds=0.5).mask
    assert mask is not None
    wanted = torch.zeros(64, 64, dtype=torch.uint8)
    wanted[:, 32:] = 1
    assert torch.equal(mask, wanted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gt_box": [0, 0, 1]}, r"bbox\.json, entry 1, gt_box: expected left, top, right"),
        ({"gt_box": [0, 0, 225, 1]}, r"entry 1, gt_box: the box .* extends beyond the image"),
        ({"gt_box": [9, 0, 8, 1]}, r"entry 1, gt_box: left, top, right, bottom are not in order"),
        ({"gt_box": "a/b.jpg"}, r"entry 1, gt_box: expected left, top, right"),
        ({"image": "x.jpg"}, r"entry 1: expected FOLDER/NAME .* got 'x\.jpg'"),
        ({"audio": 3}, r"entry 1: expected FOLDER/NAME .* got 3"),
        ({"image": "a/../b.jpg"}, r"entry 1: '\.\.' is no plain name"),
        ({"audio": "a/b\\c.wav"}, r"entry 1: .* is no plain name"),
        ({"image": BOXES[1]["image"]}, r"entry 2: dog_cat_1_cat is in two entries; delete one"),
    ],
)
def test_wrong_entries_are_named(tmp_path, change, message):
    make(tmp_path, "synthetic3240_bbox.json", [BOXES[0] | change, *BOXES[1:]])
    with pytest.raises(ValueError, match=message):
        is3(tmp_path)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"vpo_ms_seg\.json: no such file"):
        vpo_ms(tmp_path, annotation="masks")
    (tmp_path / "vpo_ss_bbox.json").write_text(json.dumps(BOXES[:1]))
    remark = "looked for names such as audio_wav/dog_cat_1_dog.wav"
    assert vpo_ss(tmp_path).remarks[0].startswith(remark)
    (tmp_path / "vpo_ss_bbox.json").write_text('{"a": 1}')
    with pytest.raises(ValueError, match=r"vpo_ss_bbox\.json: .*get the file again"):
        vpo_ss(tmp_path)


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_annotation_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"annotation must be one of .* got 'ears'"):
        is3(tmp_path, annotation="ears")

import csv

import numpy as np
import pytest
from clip_files import count
from still_files import write_mask, write_number, write_sound

from avblocks.data import read_clip
from avblocks.data.datasets import avsbench_ms3, avsbench_s4, subset
from avblocks.data.scenes import SceneSpec, render, scenes_as_avsbench
from avblocks.data.scenes.classes import CLASSES

S4 = "name,start,category,split\nabc,0,dog,train\nü x,0,ant,train\ndef,5,dog,val\ngone,0,cat,val\n"
MS3 = "video_id,split\nabc,train\nxyz,train\ndef,test\n"
SCENES = SceneSpec(seconds=2.0, size=32)


def write_s4(root, key, category, split, *, masks=5, pictures=5):
    base = root / "Single-source" / "s4_data"
    place = f"{split}/{category}/{key}"
    write_sound(base / "audio_wav" / f"{place}.wav")
    for number in range(1, pictures + 1):
        write_number(base / "visual_frames" / place / f"{key}_{number}.png", number)
    for number in range(1, masks + 1):
        mask = np.zeros((48, 64, 3))
        mask[:number, :, 1] = 200
        write_mask(base / "gt_masks" / place / f"{key}_{number}.png", mask)


def make_s4(root, *, table=S4):
    path = root / "Single-source" / "s4_meta_data.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(table)
    return root


def test_s4(tmp_path):
    write_s4(make_s4(tmp_path), "ü x", "ant", "train", masks=1)
    write_s4(tmp_path, "def", "dog", "val")
    train, val = avsbench_s4(tmp_path, split="train"), avsbench_s4(tmp_path, split="val")
    assert train.classes == val.classes == ("ant", "cat", "dog")
    assert train.report() == "avsbench-s4 train: 2 clips listed, 1 on disk, 1 missing (abc)"
    assert val.report() == "avsbench-s4 val: 2 clips listed, 1 on disk, 1 missing (gone)"
    assert [(item.id, item.labels) for item in train.items] == [("ü x", (0,))]
    clip = read_clip(train.items[0])
    assert clip.frames is not None and clip.frames.masked.tolist() == [True, *[False] * 4]
    assert [count(image) for image in clip.frames.image.numpy()] == [1, 2, 3, 4, 5]
    clip = read_clip(val.items[0], seconds=2.0)
    assert clip.frames is not None and clip.frames.masked.all()
    assert clip.frames.mask.sum(dim=(1, 2)).tolist() == [64, 128, 192, 256, 320]
    assert clip.frames.time[2] == clip.time == pytest.approx(1.0)


def test_s4_by_frame(tmp_path):
    write_s4(make_s4(tmp_path), "ü x", "ant", "train", masks=1)
    write_s4(tmp_path, "def", "dog", "val")
    assert [i.id for i in avsbench_s4(tmp_path, split="train").per_frame().items] == ["ü x_1"]
    frames = avsbench_s4(tmp_path, split="val").per_frame()
    assert [item.id for item in frames.items] == [f"def_{number}" for number in range(1, 6)]
    clip = read_clip(frames.items[3], seconds=1.0)
    assert clip.mask is not None and clip.mask.sum() == 256 and clip.frames is None
    assert count(clip.image.numpy()) == 4 and clip.labels == (2,)


def test_clips_with_few_pictures_are_counted_and_those_without_parts_missing(tmp_path):
    make_s4(tmp_path, table=S4.replace("train", "val"))
    write_s4(tmp_path, "abc", "dog", "val", pictures=3, masks=3)
    write_s4(tmp_path, "ü x", "ant", "val", masks=0)
    write_s4(tmp_path, "def", "dog", "val")
    (tmp_path / "Single-source/s4_data/audio_wav/val/dog/def.wav").unlink()
    clips = avsbench_s4(tmp_path, split="val")
    assert clips.report() == (
        "avsbench-s4 val: 4 clips listed, 1 on disk, 3 missing (ü x, def, gone); "
        "1 clips have fewer images than published"
    )


def test_ms3(tmp_path):
    base = tmp_path / "Multi-sources" / "ms3_data"
    for number in range(1, 6):
        write_number(base / "visual_frames" / "xyz" / f"xyz.mp4_{number}.png", number)
        mask = np.full((48, 64), number % 2)
        write_mask(base / "gt_masks" / "train" / "xyz" / f"xyz_{number}.png", mask)
    write_sound(base / "audio_wav" / "train" / "xyz.wav")
    (tmp_path / "Multi-sources" / "ms3_meta_data.csv").write_text(MS3)
    clips = avsbench_ms3(tmp_path, split="train")
    assert clips.report() == "avsbench-ms3 train: 2 clips listed, 1 on disk, 1 missing (abc)"
    assert not clips.classes and not clips.items[0].labels
    clip = read_clip(clips.items[0])
    assert clip.frames is not None
    assert [mask.unique().tolist() for mask in clip.frames.mask] == [[1], [0], [1], [0], [1]]
    assert avsbench_ms3(tmp_path, split="val").report().endswith("0 clips listed, 0 on disk")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("category", "class", r"s4_meta_data\.csv, line 1: no column 'category'"),
        ("dog,val", "dog,valid", r"s4_meta_data\.csv, line 4: unknown split 'valid'; expected one"),
        ("abc,0,dog,", "abc,0,", r"s4_meta_data\.csv, line 2: 3 columns, expected 4"),
    ],
)
def test_wrong_lines_are_named(tmp_path, old, new, message):
    make_s4(tmp_path, table=S4.replace(old, new))
    with pytest.raises(ValueError, match=message):
        avsbench_s4(tmp_path, split="train")


def test_scenes_are_read_back_as_s4(scene_root):
    root = scenes_as_avsbench(scene_root, part="s4")
    for split, ids in (("train", (0, 1, 2, 4, 5, 6)), ("val", (1, 3, 5)), ("test", (0, 2, 4))):
        clips = avsbench_s4(root, split=split)
        kind = "train" if split == "train" else "test"
        assert [item.id for item in clips.items] == [f"{kind:-<5}{n:06d}" for n in ids]
        assert clips.remarks == (f"{len(ids)} clips have fewer images than published",)
        for number, item in zip(ids[:2], clips.items, strict=False):
            scene = render(number, split=kind, spec=SCENES)
            clip = read_clip(item, seconds=2.0)
            frames = clip.frames
            assert frames is not None
            name = clips.classes[item.labels[0]]
            assert name.replace("-", " ") == CLASSES[scene.labels[0]]
            np.testing.assert_array_equal(
                frames.image.numpy().transpose(0, 2, 3, 1), scene.frames[[15, 31]]
            )
            masked = 1 if split == "train" else 2
            assert frames.masked.sum() == masked
            wanted = scene.masks[[15, 31]].any(axis=1)
            np.testing.assert_array_equal(frames.mask.numpy()[:masked], wanted[:masked])
            np.testing.assert_allclose(frames.time.numpy(), [0.9375, 1.9375])
            np.testing.assert_allclose(clip.audio.numpy(), scene.audio, atol=1e-4)


def test_scenes_are_read_back_as_ms3(scene_root):
    root = scenes_as_avsbench(scene_root, part="ms3")
    clips = avsbench_ms3(root, split="train")
    assert [item.id for item in clips.items] == ["train000003", "train000007"]
    frames = read_clip(clips.items[1], seconds=2.0).frames
    wanted = render(7, spec=SCENES).masks[[15, 31]]
    assert frames is not None and wanted.shape[1] == 2
    np.testing.assert_array_equal(frames.mask.numpy(), wanted.any(axis=1))
    assert len(avsbench_ms3(root, split="val")) == len(avsbench_ms3(root, split="test")) == 3


def test_the_published_list_of_frames_is_understood(tmp_path, annotations):
    table = annotations / "avsbench_val.csv"
    with table.open(newline="") as file:
        frames = list(csv.reader(file))
    rows = sorted({(key.rpartition("_")[0], "0", name, "val") for key, name in frames})
    make_s4(tmp_path, table="name,start,category,split\n")
    with (tmp_path / "Single-source" / "s4_meta_data.csv").open("a", newline="") as file:
        csv.writer(file).writerows(rows)
    key, _, category, _ = rows[100]
    write_s4(tmp_path, key, category, "val")
    clips = avsbench_s4(tmp_path, split="val")
    assert len(clips.classes) == 23 and len(clips) + len(clips.missing) == 740
    listed = subset(clips.per_frame(), table)
    assert [item.id for item in listed.items] == [f"{key}_{number}" for number in range(1, 6)]
    assert listed.report().startswith(
        "avsbench-s4 val, by frame, avsbench_val: 3700 clips listed, 5 on disk, 3695 missing"
    )


@pytest.mark.parametrize("name", ["../out", "/etc", "a/../../b", "..", ".", "a\\b", ""])
@pytest.mark.parametrize("column", ["name", "category"])
def test_s4_reads_nothing_outside_of_its_folder(tmp_path, name, column):
    row = {"name": "abc", "category": "dog"} | {column: name}
    table = f"name,start,category,split\nx,0,ant,val\n{row['name']},0,{row['category']},train\n"
    with pytest.raises(ValueError, match=r"s4_meta_data.csv, line 3: .* is no plain name"):
        avsbench_s4(make_s4(tmp_path, table=table), split="train")


def test_ms3_reads_nothing_outside_of_its_folder(tmp_path):
    path = tmp_path / "Multi-sources" / "ms3_meta_data.csv"
    path.parent.mkdir()
    path.write_text(MS3.replace("xyz", "../../../xyz"))
    with pytest.raises(ValueError, match=r"line 3: '../../../xyz' is no plain name"):
        avsbench_ms3(tmp_path, split="train")


def test_an_id_in_two_lines_is_refused(tmp_path):
    table = "name,category,split\nabc,dog,train\nabc,cat,val\n"
    with pytest.raises(ValueError, match=r"line 3: abc is in line 2 too; delete one"):
        avsbench_s4(make_s4(tmp_path, table=table), split="train")

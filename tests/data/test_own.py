"""Your own clips: which are the test, boxes, masks."""

import numpy as np
import pytest
from still_files import write_mask, write_number, write_sound

from avblocks.data import ClipDataset, ClipError, ClipFormat, read_clip
from avblocks.data.datasets import (
    box_folder,
    class_folder,
    folder,
    hold_out,
    mask_folder,
    own_boxes,
    plain_folder,
)

HEADER = "file,left,top,right,bottom,class\n"


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def ids(clips):
    return [item.id for item in clips.items]


def test_train_and_test_folders_tell_the_parts(tmp_path):
    touch(tmp_path, "train/dog/a.mp4", "train/cat/b.mp4", "test/dog/film/c.mp4")
    train, test = class_folder(tmp_path)
    assert ids(train) == ["train/cat/b.mp4", "train/dog/a.mp4"] and ids(test) == [
        "test/dog/film/c.mp4"
    ]
    assert train.classes == test.classes == ("cat", "dog")
    assert [item.labels for item in (*train.items, *test.items)] == [(0,), (1,), (1,)]
    assert test.items[0].path == str(tmp_path / "test/dog/film/c.mp4")
    assert ids(plain_folder(tmp_path)[0]) == ids(train) and plain_folder(tmp_path)[1] is None


def test_a_list_of_boxes_that_fits_nothing(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "boxes.csv").write_text(HEADER + "a.mp4,0,0,1,1,x\n")
    table = tmp_path / "list.csv"
    table.write_text("a.mp4\nc.mp4\n")
    assert box_folder(tmp_path, test_list=table)[1].missing == ("c.mp4",)
    table.write_text("A.MP4\n")
    with pytest.raises(ValueError, match=r"list.csv: lists no file of boxes.csv; .* such as a.mp4"):
        box_folder(tmp_path, test_list=table)


def test_a_class_that_is_only_tested_is_an_error(tmp_path):
    touch(tmp_path, "train/dog/a.mp4", "train/cat/b.mp4", "test/cow/c.mp4")
    with pytest.raises(ValueError, match="no clip of the class 'cow' to train on; add some"):
        class_folder(tmp_path)


def test_a_list_tells_the_test_clips(tmp_path):
    names = [f"{kind}/{n}.mp4" for kind in ("cat", "dog") for n in range(4)]
    touch(tmp_path, *names)
    table = tmp_path / "test.csv"
    table.write_text("dog/2.mp4\ncat/0.mp4\ncat/9.mp4\n")
    train, test = class_folder(tmp_path, test_list=table)
    assert sorted(ids(test)) == ["cat/0.mp4", "dog/2.mp4"] and test.missing == ("cat/9.mp4",)
    assert ids(train) == [name for name in names if name not in ids(test)]
    assert ids(plain_folder(tmp_path, test_list=table)[0]) == ids(train)
    table.write_text("elsewhere/2.mp4\n")
    with pytest.raises(ValueError, match=r"lists no clip of .*; ids are paths such as cat/0.mp4"):
        class_folder(tmp_path, test_list=table)


def test_without_either_a_fifth_is_held_out_as_before(tmp_path):
    touch(tmp_path, *(f"{kind}/{n}.mp4" for kind in ("cat", "dog") for n in range(5)))
    assert class_folder(tmp_path) == hold_out(folder(tmp_path, classes=True))
    assert len(plain_folder(tmp_path)[0]) == 10


def test_one_of_the_two_folders_alone_is_a_class(tmp_path):
    touch(tmp_path, *(f"{kind}/{n}.mp4" for kind in ("train", "ship") for n in range(5)))
    assert class_folder(tmp_path)[0].classes == ("ship", "train")


def test_boxes_tell_the_test_videos(tmp_path):
    touch(tmp_path, "a.mp4", "b/c.mp4", "b/d.mp4", "e.mp4")
    (tmp_path / "boxes.csv").write_text(
        HEADER
        + "b/c.mp4,0.1,0.2,0.5,0.75,dog\nb/c.mp4,0,0,1,1,dog\n"
        + "e.mp4,,,,,cat\nf.mp4,0,0,1,1,\n"
    )
    train, test = box_folder(tmp_path)
    assert ids(train) == ["a.mp4", "b/d.mp4"] and train.items[0].boxes is None
    assert ids(test) == ["b/c.mp4", "e.mp4"] and test.missing == ("f.mp4",)
    assert test.items[0].boxes == ((0.1, 0.2, 0.5, 0.75), (0.0, 0.0, 1.0, 1.0))
    assert test.items[1].boxes == () and test.classes == ("cat", "dog")
    assert [item.labels for item in test.items] == [(1,), (0,)]
    (tmp_path / "list.csv").write_text("e.mp4\n")
    some = box_folder(tmp_path, test_list=tmp_path / "list.csv")
    assert ids(some[1]) == ["e.mp4"] and ids(some[0]) == ids(train)


def test_boxes_with_train_and_test_folders(tmp_path):
    touch(tmp_path, "train/a.mp4", "train/b.mp4", "test/c.mp4", "test/d.mp4")
    lines = [f"{name},0,0,1,1" for name in ("train/a.mp4", "test/c.mp4")]
    (tmp_path / "boxes.csv").write_text("\n".join([HEADER.strip().removesuffix(",class"), *lines]))
    train, test = box_folder(tmp_path)
    assert ids(train) == ["train/a.mp4", "train/b.mp4"] and ids(test) == ["test/c.mp4"]
    assert test.classes == () and test.items[0].labels == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.mp4,10,20,200,150,", r"boxes.csv, line 2, relative to the sides, from 0 to 1: the box"),
        ("a.mp4,x,0,1,1,", "line 2: left, top, right, bottom must be numbers"),
        ("a.mp4,0,0,1,,", "line 2: left, top, right, bottom must be numbers"),
        ("a.mp4,0.5,0,0.4,1,", "are not in order"),
    ],
)
def test_bad_boxes(tmp_path, line, message):
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "boxes.csv").write_text(HEADER + line + "\n")
    with pytest.raises(ValueError, match=message):
        box_folder(tmp_path)


def test_no_boxes(tmp_path):
    touch(tmp_path, "a.mp4")
    with pytest.raises(ValueError, match=r"boxes.csv: no such file"):
        box_folder(tmp_path)


def masked(root, name, mask):
    write_number(root / "frames" / f"{name}.jpg", 3)
    write_mask(root / "masks" / f"{name}.png", mask)
    write_sound(root / "audio" / f"{name}.wav", seconds=1.0)


def test_masks_beside_frames(tmp_path):
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[:10, :20] = 7
    for part, names in (("train", ("a", "b/c")), ("test", ("d",))):
        for name in names:
            masked(tmp_path / part, name, mask)
    (tmp_path / "train" / "masks" / "a.png").unlink()
    train, test = mask_folder(tmp_path)
    assert ids(train) == ["train/b/c"] and train.missing == ("train/a",)
    assert ids(test) == ["test/d"] and test.classes == ()
    clip = read_clip(test.items[0], seconds=1.0)
    np.testing.assert_array_equal(clip.mask.numpy(), mask > 0)


def test_masks_of_classes(tmp_path):
    mask = np.tile(np.arange(64, dtype=np.uint8) % 3, (48, 1))
    for part in ("train", "test"):
        masked(tmp_path / part, "a", mask)
    (tmp_path / "classes.txt").write_text("dog\nsea lion\n")
    train, test = mask_folder(tmp_path)
    assert train.classes == test.classes == ("background", "dog", "sea lion")
    np.testing.assert_array_equal(read_clip(test.items[0], seconds=1.0).mask.numpy(), mask)


def test_masks_need_to_know_the_test(tmp_path):
    for name in ("a", "b"):
        masked(tmp_path, name, np.ones((48, 64), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"which clips are the test.*--data\.test-list FILE"):
        mask_folder(tmp_path)
    (tmp_path / "list.csv").write_text("b\n")
    train, test = mask_folder(tmp_path, test_list=tmp_path / "list.csv")
    assert ids(train) == ["a"] and ids(test) == ["b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,left,top,right,bottom,left\na.mp4,0,0,1,1,0.9\n", "line 1: two columns 'left'"),
        (f"{HEADER},0,0,1,1,dog\n", "line 2: names no file: {'file': ''"),
        (
            f"{HEADER}a.mp4,0.5,0,0.5,1,dog\n",
            r"line 2: the box \[0.5, 0.0, 0.5, 1.0\] encloses",
        ),
    ],
)
def test_tables_that_would_give_other_scores(tmp_path, text, message):
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "boxes.csv").write_text(text)
    with pytest.raises(ValueError, match=f"boxes.csv, {message}"):
        box_folder(tmp_path)


@pytest.mark.parametrize("end", ["\n  \n\n", ",,,,,\n,,,,,\n", "\r\n\r\n"])
def test_blank_lines_of_spreadsheets_are_no_videos(tmp_path, end):
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "boxes.csv").write_text(f"\ufeff{HEADER}a.mp4,0,0,1,1,dog\n{end}", newline="")
    _, test = box_folder(tmp_path)
    assert ids(test) == ["a.mp4"] and test.missing == ()


def test_a_video_has_all_classes_of_its_boxes(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    lines = "a.mp4,0,0,0.5,1,dog\na.mp4,0.5,0,1,1,cat\nb.mp4,0,0,1,1,dog\n"
    (tmp_path / "boxes.csv").write_text(HEADER + lines)
    _, test = box_folder(tmp_path)
    assert test.classes == ("cat", "dog") and [item.labels for item in test.items] == [(0, 1), (1,)]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("dog\ncat\ndog\n", "the class 'dog' is in two lines; line n names class number n"),
        ("background\ndog\n", "the class 'background', number 0, is not listed"),
        ("dog\n\ncat\n", "line 2: blank or a comment, before the class 'cat'"),
        ("\ndog\n", "line 1: blank or a comment, before the class 'dog'"),
        ("# names\ndog\n", "line 1: blank or a comment, before the class 'dog'"),
    ],
)
def test_classes_of_masks_are_numbered_by_their_lines(tmp_path, names, message):
    masked(tmp_path, "a", np.zeros((48, 64)))
    (tmp_path / "classes.txt").write_text(names)
    (tmp_path / "test.csv").write_text("a\n")
    with pytest.raises(ValueError, match=rf"classes.txt[:,] {message}"):
        mask_folder(tmp_path, test_list=tmp_path / "test.csv")


def test_images_without_masks_say_where_they_are_looked_for(tmp_path):
    for part in ("train", "test"):
        masked(tmp_path / part, "a", np.ones((48, 64)))
    mask = tmp_path / "test/masks/a.png"
    mask.rename(mask.with_suffix(".PNG.bak"))
    train, test = mask_folder(tmp_path)
    assert test.remarks == (f"1 without a mask, such as {mask}",) and train.remarks == ()


def test_class_numbers_that_the_classes_lack_name_the_mask(tmp_path):
    for part, number in (("train", 2), ("test", 3)):
        masked(tmp_path / part, "a", np.full((48, 64), number))
    (tmp_path / "classes.txt").write_text("dog\ncat\n")
    train, test = mask_folder(tmp_path)
    format = ClipFormat(seconds=0.5, rate=6400, size=16)
    mask = ClipDataset(train, format, train=False)[0].mask
    assert mask is not None and mask.unique().tolist() == [2]
    with pytest.raises(ClipError, match=r"test/masks/a.png: the mask has class number 3, and"):
        ClipDataset(test, format, train=False)[0]


@pytest.mark.parametrize("names", [("train", "val"), ("Train", "Test"), ("training", "validation")])
def test_splits_under_other_names_are_no_classes(tmp_path, names):
    """They were classes, or all trained on."""
    touch(tmp_path, *(f"{name}/{kind}/{name}.mp4" for name in names for kind in ("cat", "dog")))
    message = f"its folders {', '.join(sorted(names))} look like splits, which must be named train"
    for reader in (class_folder, plain_folder):
        with pytest.raises(ValueError, match=message):
            reader(tmp_path)
    (tmp_path / "test.csv").write_text(f"{names[1]}/cat/{names[1]}.mp4\n")
    assert len(plain_folder(tmp_path, test_list=tmp_path / "test.csv")[0]) == 3


@pytest.mark.parametrize("name", ["dog/a", "dog/A.MP4", r"dog\a.mp4", "./dog/a.mp4", "dog/a.mkv"])
def test_a_listed_clip_in_another_spelling_is_not_trained_on(tmp_path, name):
    touch(tmp_path, "dog/a.mp4", "dog/b.mp4", "cat/a.mp4", "cat/b.mp4")
    (tmp_path / "test.csv").write_text(f"cat/a.mp4\n{name}\n")
    for reader in (class_folder, plain_folder):
        with pytest.raises(ValueError, match=r"test.csv: .* is no path .* and 'dog/a.mp4' is one"):
            reader(tmp_path, test_list=tmp_path / "test.csv")
    if not name.startswith("."):  # which box_folder understands
        (tmp_path / "boxes.csv").write_text(f"{HEADER}cat/a.mp4,0,0,1,1,\n{name},0,0,1,1,\n")
        with pytest.raises(ValueError, match=r"boxes.csv: .* is no path .* and 'dog/a.mp4' is one"):
            box_folder(tmp_path)


def test_listed_clips_that_are_not_there_are_reported_in_training(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "test.csv").write_text("a.mp4\nc.mp4\n")
    train, _ = plain_folder(tmp_path, test_list=tmp_path / "test.csv")
    assert train.remarks == ("1 clips of the list are not there, such as c.mp4",)


def test_links_to_training_clips_are_reported(tmp_path):
    touch(tmp_path, "train/dog/a.mp4", "train/cat/b.mp4", "test/dog/c.mp4", "test/cat/d.mp4")
    assert class_folder(tmp_path)[1].remarks == ()
    (tmp_path / "test/cat/e.mp4").symlink_to(tmp_path / "train/cat/b.mp4")
    (tmp_path / "test/dog/f.mp4").hardlink_to(tmp_path / "train/dog/a.mp4")
    (tmp_path / "test/dog/gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    remark = "2 are files of training clips too, such as test/cat/e.mp4"
    assert class_folder(tmp_path)[1].remarks == (remark,)


def test_boxes_of_files_in_neither_folder_are_missing(tmp_path):
    touch(tmp_path, "train/a.mp4", "test/c.mp4", "test/d.mp4")
    (tmp_path / "boxes.csv").write_text(f"{HEADER}test/d.mp4,0,0,1,1,\nc.mp4,0,0,1,1,\n")
    train, test = box_folder(tmp_path)
    assert ids(test) == ["test/d.mp4"] and test.missing == ("c.mp4",) and len(train) == 1


@pytest.mark.parametrize("lines", ["a.mp4,0,0,1,1,\na.mp4,,,,,\n", "a.mp4,,,,,\na.mp4,0,0,1,1,\n"])
def test_a_source_and_none_exclude_each_other(tmp_path, lines):
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "boxes.csv").write_text(HEADER + lines)
    with pytest.raises(ValueError, match=r"boxes.csv, line 3: a.mp4 has a line without numbers"):
        box_folder(tmp_path)


def test_the_list_of_test_clips_is_read_once(tmp_path, monkeypatch):
    touch(tmp_path, *(f"{n}.mp4" for n in range(9)))
    lines = [f"{n}.mp4,0,0,1,1,\n" for n in range(8)]
    (tmp_path / "boxes.csv").write_text(HEADER + "".join(lines))
    (tmp_path / "list.csv").write_text("1.mp4\n")
    reads = []
    real = own_boxes.read_ids
    monkeypatch.setattr(own_boxes, "read_ids", lambda path: reads.append(path) or real(path))
    assert ids(box_folder(tmp_path, test_list=tmp_path / "list.csv")[1]) == ["1.mp4"]
    assert len(reads) == 1


def test_names_of_columns_in_any_case(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "boxes.csv").write_text(
        "Class,Right,BOTTOM,Left,top,File\ndog,0.5,1,0,0.25,a.mp4\n"
    )
    _, test = box_folder(tmp_path)
    assert test.classes == ("dog",) and test.items[0].boxes == ((0.0, 0.25, 0.5, 1.0),)


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_separators_are_named(tmp_path, mark):
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "boxes.csv").write_text(f"{HEADER}a.mp4,0,0,1,1,dog\n".replace(",", mark))
    with pytest.raises(ValueError, match=r"line 1: no column 'file'.*; separate fields by commas"):
        box_folder(tmp_path)


def test_masks_of_whole_videos_are_refused(tmp_path):
    """Their masks were not read."""
    masked(tmp_path, "a", np.zeros((48, 64)))
    (tmp_path / "frames/frame_0").mkdir()
    (tmp_path / "frames/a.jpg").rename(tmp_path / "frames/frame_0/a.jpg")
    (tmp_path / "test.csv").write_text("a\n")
    with pytest.raises(ValueError, match=r"masks/a.png: belongs to one image, and folders frame_0"):
        mask_folder(tmp_path, test_list=tmp_path / "test.csv")


def test_frames_without_audio_of_their_name_are_reported(tmp_path):
    for part in ("train", "test"):
        masked(tmp_path / part, "a", np.ones((48, 64)))
    (tmp_path / "test/frames/a.jpg").rename(tmp_path / "test/frames/a_1.jpg")
    _, test = mask_folder(tmp_path)
    assert test.remarks == ("2 have a frame or audio of their name, not both, such as a",)

import json

import pytest
import torch
from clip_files import count
from still_files import write_number, write_sound

from avblocks.data import read_clip
from avblocks.data.datasets import music_duet

# As published: left, top, width and height.
FIRST = {
    "file": "HnUOaSfTA6c_000_00007",
    "class_src1": "cello",
    "bbox_src1": [0.25, 0.5, 0.125, 0.25],
    "class_src2": "acoustic_guitar",
    "bbox_src2": [0.5, 0.75, 0.375, 0.5],
}
SECOND = FIRST | {"file": "vEOyhF8KLPE_001_00037", "class_src2": "violin"}


def make(root, *entries):
    (root / "music_duet.json").write_text(json.dumps(entries or [FIRST, SECOND]))
    return root


def test_frames_with_the_audio_of_a_whole_video(tmp_path):
    write_number(tmp_path / "frames" / "HnUOaSfTA6c_000_00007.jpg", 9)
    write_sound(tmp_path / "audio" / "HnUOaSfTA6c.wav", seconds=10.0)
    clips = music_duet(make(tmp_path))
    assert clips.classes == ("acoustic_guitar", "cello", "violin")
    assert clips.report() == (
        "music-duet test: 2 clips listed, 1 on disk, 1 missing (vEOyhF8KLPE_001_00037)"
    )
    (item,) = clips.items
    assert item.id == "HnUOaSfTA6c_000_00007" and item.labels == (1, 0)
    clip = read_clip(item, seconds=2.0)
    assert clip.boxes is not None and count(clip.image.numpy()) == 9
    right = [[0.25, 0.5, 0.375, 0.75], [0.5, 0.75, 0.875, 1.0]]  # the second is cut at the frame
    torch.testing.assert_close(clip.boxes, torch.tensor(right))
    assert clip.time == pytest.approx(1.0)  # second 7 is the middle of the two seconds


def test_pieces_of_videos_and_of_audio(tmp_path):
    make(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "vEOyhF8KLPE_001_00037.mp4").touch()
    assert [(i.id, i.labels) for i in music_duet(tmp_path).items] == [(SECOND["file"], (1, 2))]
    write_number(tmp_path / "frames" / "vEOyhF8KLPE_001_00037.jpg")
    write_sound(tmp_path / "audio" / "vEOyhF8KLPE_001_00037.flac.wav")
    assert music_duet(tmp_path).remarks[-1].startswith("looked for names such as audio/HnUOaSfTA6c")
    write_sound(tmp_path / "audio" / "vEOyhF8KLPE_001_00037.wav")
    (item,) = music_duet(tmp_path).items
    assert item.path.endswith("audio/vEOyhF8KLPE_001_00037.wav") and item.images[0].time is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "../../../ab_000_0"}, r"music_duet\.json: '.*' is not ID_nnn_sssss"),
        ({"bbox_src2": [0.1, 0.2, 0.3]}, "bbox_src2: expected left, top, right and bottom"),
        ({"bbox_src1": [0.1, 0.2, -0.3, 0.1]}, "bbox_src1: left, top, right, bottom are not in"),
        ({"bbox_src1": [0.1, 0.2, float("nan"), 0.1]}, "bbox_src1: the box .* extends beyond"),
        ({"class_src1": 3}, "expected the name of a class in class_src1, got 3"),
        ({"file": SECOND["file"]}, "'vEOyhF8KLPE_001_00037' is in two entries; delete one"),
    ],
)
def test_wrong_entries_are_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        music_duet(make(tmp_path, SECOND, FIRST | change))


def test_the_published_list_is_of_these_frames(tmp_path, annotations):
    lines = (annotations / "music_duet_test.csv").read_text().split()
    root = make(tmp_path, *(FIRST | {"file": line} for line in lines))
    (root / f"{lines[500]}.mp4").touch()
    clips = music_duet(root)
    assert [item.id for item in clips.items] == [lines[500]]
    assert len(clips.items) + len(clips.missing) == 1020

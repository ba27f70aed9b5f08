import json

import pytest

from avblocks.data.datasets import music
from avblocks.data.scenes import SceneSpec, render, scenes_as_music
from avblocks.data.scenes.classes import CLASSES, sounding

SOLO = {"violin": ["aaaaaaaaaaa", "-bbbbbbbbb_"], "acoustic_guitar": ["ccccccccccc"], "tuba": []}
DUET = {"violin acoustic_guitar": ["ddddddddddd", "eeeeeeeeeee"]}


def make(root, *names, solo=SOLO, duet=DUET):
    for part, videos in (("MUSIC_solo", solo), ("MUSIC_duet", duet), ("MUSIC21_solo", solo)):
        content = {"version": 1.0, "videos": videos}
        (root / f"{part}_videos.json").write_text(json.dumps(content))
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_solos(tmp_path):
    root = make(tmp_path, "solo/violin/-bbbbbbbbb_.mp4", "ccccccccccc_000010_000020.mp4", "x.mp4")
    for part in ("solo", "solo21"):
        clips = music(root, part=part)
        assert clips.classes == ("acoustic_guitar", "tuba", "violin")
        assert [(item.id, item.labels) for item in clips.items] == [
            ("-bbbbbbbbb_", (2,)),
            ("ccccccccccc", (0,)),
        ]
        assert clips.report() == (
            f"music {part}: 3 clips listed, 2 on disk, 1 missing (aaaaaaaaaaa); "
            "1 files fit no listed clip, such as x.mp4; looked for names such as aaaaaaaaaaa.mp4"
        )


def test_a_duet_has_two_classes(tmp_path):
    clips = music(make(tmp_path, "ddddddddddd.webm"), part="duet")
    assert [(item.id, item.labels) for item in clips.items] == [("ddddddddddd", (2, 0))]
    assert clips.missing == ("eeeeeeeeeee",)


@pytest.mark.parametrize(("mark", "end"), [("", "\n"), ("\ufeff", "\r\n")])
def test_pieces_of_videos(tmp_path, mark, end):
    root = make(tmp_path, "a/ddddddddddd_000_00000.mp4", "a/ddddddddddd_001_00007.mp4")
    lines = ["ddddddddddd_001_00007", "eeeeeeeeeee_010_00070", ""]
    (root / "pieces.csv").write_bytes((mark + end.join(lines)).encode())
    clips = music(root, part="duet", pieces=root / "pieces.csv")
    assert [(item.id, item.labels) for item in clips.items] == [("ddddddddddd_001_00007", (2, 0))]
    assert clips.missing == ("eeeeeeeeeee_010_00070",)


@pytest.mark.parametrize("line", ["ddddddddddd", "aaaaaaaaaaa_000_00000", "ddddddddddd_0_0"])
def test_unknown_pieces_are_named(tmp_path, line):
    root = make(tmp_path, "ddddddddddd.mp4")
    (root / "pieces.csv").write_text(f"ddddddddddd_000_00000\n{line}\n")
    with pytest.raises(ValueError, match=rf"pieces\.csv, line 2: expected ID_nnn_sssss .*'{line}'"):
        music(root, part="duet", pieces=root / "pieces.csv")


def test_wrong_annotations_are_named(tmp_path):
    make(tmp_path, "a.mp4", duet={"violin banjo": ["ddddddddddd"]})
    message = r"MUSIC_duet_videos\.json, key 'violin banjo': unknown instruments \['banjo'\]"
    with pytest.raises(ValueError, match=message):
        music(tmp_path, part="duet")
    make(tmp_path, solo={"violin": "aaaaaaaaaaa"})
    with pytest.raises(ValueError, match="'violin' is 'aaaaaaaaaaa', expected a list"):
        music(tmp_path, part="solo")
    (tmp_path / "MUSIC_solo_videos.json").write_text('{"videos": {')
    with pytest.raises(ValueError, match=r"MUSIC_solo_videos\.json, line 1: broken JSON"):
        music(tmp_path, part="solo")


def test_scenes_are_read_back(scene_root):
    root = scenes_as_music(scene_root)
    solo, duet = music(root, part="solo"), music(root, part="duet")
    assert {item.id for item in duet.items} == {"train000003", "train000007"}
    assert len(solo) == 12 and not solo.missing and not duet.missing
    for item in duet.items:
        labels = sounding(int(item.id[5:]), split="train")
        names = [CLASSES[label].replace(" ", "_") for label in labels]
        assert [duet.classes[label] for label in item.labels] == names
        scene = render(int(item.id[5:]), spec=SceneSpec(seconds=2.0, size=32))
        assert scene.labels == labels and item.path.endswith(f"{item.id}_000000_000002.mp4")


def test_the_published_pieces_are_understood(tmp_path, annotations):
    table = annotations / "music_duet_test.csv"
    lines = table.read_text().split()
    ids = sorted({line[:11] for line in lines})
    make(tmp_path, *(f"{line}.mp4" for line in lines[::100]), duet={"violin tuba": ids})
    clips = music(tmp_path, part="duet", pieces=table)
    assert {item.id for item in clips.items} == set(lines[::100])
    assert len(clips) + len(clips.missing) == 1020 and len(ids) == 6


def test_a_video_that_two_instruments_list_has_both(tmp_path):
    root = make(
        tmp_path, "aaaaaaaaaaa.mp4", solo={"violin": ["aaaaaaaaaaa"], "tuba": ["aaaaaaaaaaa"]}
    )
    assert [item.labels for item in music(root, part="solo").items] == [(1, 0)]

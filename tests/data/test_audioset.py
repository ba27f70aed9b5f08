import pytest

from avblocks.data.datasets import audioset

LABELS = """index,mid,display_name
0,/m/09x0r,"Speech"
1,/m/05zppz,"Male speech, man speaking"
2,/t/dd00003,"Music"
"""
SEGMENTS = """# Segments csv created Sun Mar  5 10:54:31 2017
# num_ytids=3, num_segs=3, num_unique_labels=3, num_positive_labels=4
# YTID, start_seconds, end_seconds, positive_labels
--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00003"
00W1lcxW-WU, 0.000, 10.000, "/m/05zppz"
Yaaaaaaaaaa, 5.000, 15.000, "/t/dd00003"
"""


def make(root, *, segments=SEGMENTS, labels=LABELS, end="\n", mark=""):
    for name, text in (
        ("class_labels_indices.csv", labels),
        ("balanced_train_segments.csv", segments),
        ("eval_segments.csv", segments),
    ):
        (root / name).write_bytes((mark + text.replace("\n", end)).encode())


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(("end", "mark"), [("\n", ""), ("\r\n", "\ufeff")])
@pytest.mark.parametrize(
    "names",
    [
        ("balanced/--PJHxphWEs.mp4", "balanced/00W1lcxW-WU.mp4", "balanced/Yaaaaaaaaaa.mp4"),
        ("a/Y--PJHxphWEs.mp4", "b/Y00W1lcxW-WU.mp4", "c/YYaaaaaaaaaa.mp4"),
        ("--PJHxphWEs_000030.mp4", "00W1lcxW-WU_000000.mp4", "Yaaaaaaaaaa_000005.mp4"),
        ("--PJHxphWEs_30.000_40.000.mp4", "00W1lcxW-WU_0_10000.mp4", "Yaaaaaaaaaa_5_15.mp4"),
    ],
)
def test_layouts(tmp_path, names, end, mark):
    make(tmp_path, end=end, mark=mark)
    touch(tmp_path, *names, "other.mp4")
    clips = audioset(tmp_path, split="balanced")
    assert clips.classes == ("Speech", "Male speech, man speaking", "Music")
    assert [(item.id, item.labels) for item in clips.items] == [
        ("--PJHxphWEs", (0, 2)),
        ("00W1lcxW-WU", (1,)),
        ("Yaaaaaaaaaa", (2,)),
    ]
    assert [item.path for item in clips.items] == [str(tmp_path / name) for name in names]


def test_absent_clips_are_reported(tmp_path):
    make(tmp_path)
    touch(tmp_path, "eval/00W1lcxW-WU.mp4")
    clips = audioset(tmp_path, split="eval")
    assert clips.missing == ("--PJHxphWEs", "Yaaaaaaaaaa")
    assert clips.report().startswith("audioset eval: 3 clips listed, 1 on disk, 2 missing")


@pytest.mark.parametrize(
    ("segments", "labels", "message"),
    [
        ("a, 0, 10\n", LABELS, r"balanced_train_segments\.csv, line 1: 3 columns, expected 4"),
        ('#\nxxxxxxxxxxx, 0, 1, "/m/0"\n', LABELS, r"csv, line 2: unknown labels \['/m/0'\]"),
        (SEGMENTS, LABELS + "4,/m/1,x\n", r"indices\.csv, line 5: expected index 3, got '4'"),
    ],
)
def test_wrong_lines_are_named(tmp_path, segments, labels, message):
    make(tmp_path, segments=segments, labels=labels)
    touch(tmp_path, "00W1lcxW-WU.mp4")
    with pytest.raises(ValueError, match=message):
        audioset(tmp_path, split="balanced")


def test_missing_table(tmp_path):
    make(tmp_path)
    with pytest.raises(ValueError, match=r"unbalanced_train_segments\.csv: no such file"):
        audioset(tmp_path, split="unbalanced")

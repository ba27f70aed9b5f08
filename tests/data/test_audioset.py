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


TWO = """# comment
--abcdefghi, 30.000, 40.000, "/m/09x0r"
--abcdefghi, 50.000, 60.000, "/t/dd00003"
alone_alone, 30.000, 40.000, "/m/05zppz"
"""


@pytest.mark.parametrize(
    "names",
    [
        ("--abcdefghi_30.000_40.000.mp4", "--abcdefghi_50.000_60.000.mp4", "alone_alone.mp4"),
        ("--abcdefghi_30000_40000.mp4", "--abcdefghi_50000_60000.mp4", "Yalone_alone.mp4"),
        ("--abcdefghi-30-40.mp4", "Y--abcdefghi-50-60.mp4", "alone_alone-30.mkv"),
        ("--abcdefghi [30].mp4", "--abcdefghi [50-60].mp4", "alone_alone [30].mp4"),
        ("a/--abcdefghi_30.mp4", "--abcdefghi_000050_000060.mp4", "alone_alone_30.mp4"),
    ],
)
def test_segments_of_one_video_are_clips_of_their_own(tmp_path, names):
    make(tmp_path, segments=TWO)
    touch(tmp_path, *names, "other.mp4", "--abcdefghi.mp4", "--abcdefghi_70_80.mp4")
    clips = audioset(tmp_path, split="balanced")
    assert [(item.id, item.labels) for item in clips.items] == [
        ("--abcdefghi_30", (0,)),
        ("--abcdefghi_50", (2,)),
        ("alone_alone", (1,)),
    ]
    assert [item.path for item in clips.items] == [str(tmp_path / name) for name in names]
    assert clips.report() == "audioset balanced: 3 clips listed, 3 on disk"


def test_nothing_on_disk_has_a_reason(tmp_path):
    make(tmp_path, segments=TWO)
    touch(tmp_path, "--abcdefghi.mp4", "alone_alone_7.mp4", "x.mp4")
    assert audioset(tmp_path, split="balanced").remarks == (
        "3 files fit no listed clip, such as --abcdefghi.mp4",
        "looked for names such as --abcdefghi_30_40.mp4, --abcdefghi_000030.mp4, --abcdefghi.mp4",
    )


def test_the_file_with_a_start_is_preferred_and_others_are_counted(tmp_path):
    make(tmp_path, segments=TWO)
    touch(tmp_path, "a/alone_alone.mp4", "b/alone_alone_30.mp4", "c/alone_alone_30_40.mp4")
    clips = audioset(tmp_path, split="balanced")
    assert [item.path for item in clips.items] == [str(tmp_path / "b/alone_alone_30.mp4")]
    more = "2 files of clips that have another, such as alone_alone_30_40.mp4, are left out"
    assert clips.remarks[0] == more


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("#NAME?, 0.000, 10.000, /m/09x0r", r"line 5: '#NAME\?' is no id; spreadsheet"),
        ("# note, 0.000, 10.000, /m/09x0r", r"line 5: '# note' is no id of a video"),
        ("-1.2E+10, 0.000, 10.000, /m/09x0r", r"line 5: '-1.2E\+10' is no id of a video"),
        (
            "alone_alone, 30.000, 40.000, /m/09x0r",
            r"line 5: alone_alone from 30.000 s has other",
        ),
        ("alone_alone, start, 40.000, /m/09x0r", r"line 5: expected the second .* got 'start'"),
    ],
)
def test_damaged_lines_are_refused(tmp_path, line, message):
    make(tmp_path, segments=TWO + line + "\n")
    touch(tmp_path, "alone_alone.mp4")
    with pytest.raises(ValueError, match=message):
        audioset(tmp_path, split="balanced")


def test_a_line_twice_is_one_clip(tmp_path):
    make(tmp_path, segments=TWO + 'alone_alone, 30.000, 40.000, "/m/05zppz"\n')
    touch(tmp_path, "alone_alone.mp4")
    assert len(audioset(tmp_path, split="balanced")) == 1


def test_the_order_of_labels_does_not_matter(tmp_path):
    line = 'alone_alone, 30.000, 40.000, "{}"\n'
    lines = [line.format(labels) for labels in ("/m/05zppz,/t/dd00003", "/t/dd00003,/m/05zppz")]
    make(tmp_path, segments=SEGMENTS + "".join(lines))
    touch(tmp_path, "alone_alone.mp4")
    assert [item.labels for item in audioset(tmp_path, split="balanced").items] == [(1, 2)]

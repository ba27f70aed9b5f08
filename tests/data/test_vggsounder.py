import pytest

from avblocks.data.datasets import vggsounder

TABLE = """video_id,label,modality,background_music,static_image,voice_over
--i-y1v8Hy8_000000,child singing,AV,False,False,True
--i-y1v8Hy8_000000,"child speech, kid speaking",A,False,False,True
---g-f_I2yQ_000001,male singing,V,True,False,False
gone_gone_g_000002,ant,A,False,False,False
"""
CLASSES = ("ant", "child singing", "child speech, kid speaking", "male singing")


def make(root, table=TABLE):
    (root / "vggsounder.csv").write_text(table)
    for name in ("--i-y1v8Hy8_000000.mp4", "---g-f_I2yQ_000001_000011.mp4"):
        (root / name).touch()
    return root


@pytest.mark.parametrize(
    ("modality", "labels", "missing"),
    [
        ("all", {"--i-y1v8Hy8_000000": (1, 2), "---g-f_I2yQ_000001": (3,)}, 1),
        ("audible", {"--i-y1v8Hy8_000000": (1, 2)}, 1),
        ("visible", {"--i-y1v8Hy8_000000": (1,), "---g-f_I2yQ_000001": (3,)}, 0),
        ("both", {"--i-y1v8Hy8_000000": (1,)}, 0),
        ("only_audible", {"--i-y1v8Hy8_000000": (2,)}, 1),
        ("only_visible", {"---g-f_I2yQ_000001": (3,)}, 0),
    ],
)
def test_labels_by_modality(tmp_path, modality, labels, missing):
    clips = vggsounder(make(tmp_path), modality=modality)
    assert clips.classes == CLASSES
    assert {item.id: item.labels for item in clips.items} == labels
    assert len(clips.missing) == missing


def test_background_music_is_left_out(tmp_path):
    clips = vggsounder(make(tmp_path), background_music=False)
    assert [item.id for item in clips.items] == ["--i-y1v8Hy8_000000"]
    assert clips.report() == (
        "vggsounder all: 2 clips listed, 1 on disk, 1 missing (gone_gone_g_000002)"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("gone_gone_g_000002", "gone", r"vggsounder\.csv, line 5: 'gone' is not ID_ssssss"),
        ("ant,A,", "ant,B,", r"line 5: expected A, V or AV, got 'B'"),
        ("V,True", "V,yes", r"line 4: expected True or False in background_music, got 'yes'"),
        ('"child speech, kid speaking"', "child singing", r"line 3: .* in two lines; delete one"),
        ("modality", "kind", r"line 1: no column 'modality'"),
        ("ant,A,False,", "ant,A,", r"line 5: 5 columns, expected 6"),
    ],
)
def test_wrong_lines_are_named(tmp_path, old, new, message):
    with pytest.raises(ValueError, match=message):
        vggsounder(make(tmp_path, TABLE.replace(old, new, 1)))


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_modality_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"modality must be one of .* got 'ears'"):
        vggsounder(make(tmp_path), modality="ears")


def test_the_package_lists_the_same(tmp_path):
    """Its own reader, on its own file; the clips are not here, and are all missing."""
    package = pytest.importorskip("vggsounder")
    theirs = package.VGGSounder(background_music=None)
    make(tmp_path, theirs.csv_path.read_text())
    for mine, name in (("audible", "A"), ("both", "AV"), ("only_visible", "V ONLY")):
        theirs.set_modality(name)
        clips = vggsounder(tmp_path, modality=mine)
        assert len(clips.items) + len(clips.missing) == len(theirs)
        for item in clips.items:
            assert {clips.classes[n] for n in item.labels} == set(theirs[item.id].labels)

import pytest

from avblocks.data.datasets import ClipSet, Item, Pair, pairs, vggsound
from avblocks.data.datasets.pairs import class_key
from avblocks.data.scenes import scenes_as_pairs

HEADER = "source_1,source_2,class_1,class_2,sep_type\n"
CLIPS = ClipSet(
    name="x",
    items=(
        Item(id="a", path="a.mp4", labels=(0,)),
        Item(id="b", path="b.mp4", labels=(1, 0)),
    ),
    classes=("playing violin, fiddle", "playing steel guitar, slide guitar"),
)


def test_class_names_are_compared_by_what_their_spellings_share():
    spellings = ("playing violin, fiddle", "violin,_fiddle", "playing_violin__fiddle")
    assert {class_key(name) for name in spellings} == {"violin_fiddle"}
    assert class_key("bell blue triangle") == class_key("bell_blue_triangle")


@pytest.mark.parametrize(("mark", "end"), [("", "\n"), ("\ufeff", "\r\n")])
def test_pairs_point_to_clips(tmp_path, mark, end):
    text = f'{HEADER}a,b,"violin,_fiddle","steel_guitar,_slide_guitar",Easy\n'
    text += "a,c,violin_fiddle,x,Hard\n"
    (tmp_path / "p.csv").write_bytes((mark + text.replace("\n", end)).encode())
    found = pairs(CLIPS, tmp_path / "p.csv")
    first, second = CLIPS.items
    assert found.pairs == (Pair(first=first, second=second, difficulty="Easy"),)
    assert found.classes == CLIPS.classes and len(found) == 1
    assert found.report() == "x, p: 2 pairs listed, 1 on disk, 1 missing (a+c)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source_1,source_2,class_1,class_2\n", r"p\.csv, line 1: no column 'sep_type'"),
        (HEADER + "a,b,violin\n", r"p\.csv, line 2: 3 columns, expected 5"),
        (HEADER + "a,b,cello,violin_fiddle,Easy\n", r"p\.csv, line 2: class 'cello' for a, whose"),
    ],
)
def test_wrong_lists_are_named(tmp_path, text, message):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        pairs(CLIPS, tmp_path / "p.csv")


def test_scenes_are_paired(scene_root):
    table = scenes_as_pairs(scene_root) / "vggmusic_eval_ss.csv"
    found = pairs(vggsound(scene_root, split="test"), table)
    assert len(found) == 6 and not found.missing
    for pair in found.pairs:
        one, other = (found.classes[item.labels[0]] for item in (pair.first, pair.second))
        assert one != other
        assert pair.difficulty == ("Hard" if one.split()[0] == other.split()[0] else "Easy")


def test_in_many_scenes_all_classes_meet(tmp_path, monkeypatch):
    places = tuple(("test", number) for number in range(132))
    monkeypatch.setattr("avblocks.data.scenes.as_sources.stored", lambda root: (None, places))
    table = scenes_as_pairs(tmp_path) / "vggmusic_eval_ss.csv"
    rows = [line.split(",") for line in table.read_text().splitlines()[1:]]
    assert len(rows) >= 120 and all(row[2] != row[3] for row in rows)
    assert len({(row[2], row[3]) for row in rows}) >= 120
    assert {row[4] for row in rows} == {"Easy", "Hard"}

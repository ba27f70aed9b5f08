import pytest
from clip_files import count
from still_files import write_number, write_sound

from avblocks.data import read_clip
from avblocks.data.datasets import StillImage, stills


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_pairs_beside_each_other(tmp_path):
    touch(tmp_path, "b.wav", "b.jpg", "a/x.y.WAV", "a/x.y.png", "only.wav", "a/only.jpeg", "c.mp4")
    clips = stills(tmp_path)
    assert [item.id for item in clips.items] == ["a/x.y", "b"]
    assert clips.items[0].path == str(tmp_path / "a/x.y.WAV")
    assert clips.items[0].images == (StillImage(path=str(tmp_path / "a/x.y.png")),)
    assert clips.report() == (
        f"stills {tmp_path}: 4 clips listed, 2 on disk, 2 missing (a/only, only)"
    )


def test_pairs_in_two_folders_are_read(tmp_path):
    write_sound(tmp_path / "audio" / "ü x.wav")
    write_number(tmp_path / "frames" / "ü x.jpg", 9)
    (item,) = stills(tmp_path).items
    clip = read_clip(item)
    assert item.id == "ü x" and count(clip.image.numpy()) == 9 and len(clip.audio) == 48_000


def test_missing_folders_and_kinds(tmp_path):
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        stills(tmp_path / "nowhere")
    touch(tmp_path, "a.jpg")
    with pytest.raises(ValueError, match=r"no audio file at any depth; looked for \.flac \.wav"):
        stills(tmp_path)
    touch(tmp_path, "audio/a.wav", "frames/notes.txt")
    with pytest.raises(ValueError, match=r"frames: no image file at any depth; .*\.jpg"):
        stills(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ("a.wav", "a.flac", "a.jpg"),
        ("a.wav", "a.jpg", "a.png"),
        ("audio/b/a.wav", "frames/b/a.jpeg", "frames/b/a.JPG"),
        ("a.wav", "frame_0/a.jpg", "frame_0/a.png"),
    ],
)
def test_two_files_of_one_name_are_named(tmp_path, names):
    touch(tmp_path, "other.wav", "other.png", *names)
    with pytest.raises(ValueError, match=r"two files of '.*a'; move one elsewhere"):
        stills(tmp_path)

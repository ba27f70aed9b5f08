"""Leaks: seconds that ids name, and fingerprints of re-encoded clips at other offsets."""

from pathlib import Path

import numpy as np
import pytest
import torch
from leak_clips import ENCODINGS, sound, write

from avblocks.data import write_wave
from avblocks.data.datasets import Item
from avblocks.data.leaks import (
    AudioIndex,
    Fingerprint,
    FingerprintStore,
    FrameIndex,
    audio_codes,
    fingerprint,
    frame_hash,
    overlaps,
    parse_span,
    read_spans,
)
from avblocks.data.leaks.match import MAX_DISTANCE, MAX_ERROR

VIDEO = "00W1lcxW-WU"


@pytest.mark.parametrize(
    ("key", "video", "start", "end"),
    [
        (f"{VIDEO}_000030", VIDEO, 30, 40),
        (f"{VIDEO}_30_35", VIDEO, 30, 35),
        (f"{VIDEO}_5000_10000", VIDEO, 5, 10),
        (f"{VIDEO}_5.5_15.5", VIDEO, 5.5, 15.5),
        (VIDEO, VIDEO, None, None),
        (f"{VIDEO}_3", VIDEO, None, None),  # a frame of AVSBench
        (f"{VIDEO}_000_00007", VIDEO, None, None),  # a frame of MUSIC
        ("10000130166_00", "10000130166", None, None),
        ("a/b c", "a/b c", None, None),
    ],
)
def test_seconds_of_an_id(key: str, video: str, start: float | None, end: float | None) -> None:
    span = parse_span(key)
    assert (span.id, span.video, span.start, span.end) == (key, video, start, end)


def test_pairs_of_one_video() -> None:
    clips = [parse_span(f"{VIDEO}_000030"), parse_span(VIDEO), parse_span("AAAAAAAAAAA_000000")]
    others = [parse_span(f"{VIDEO}_{start:06d}") for start in (21, 40, 30)] + [parse_span("b")]
    found = [
        (pair.kind, pair.id, pair.other[-2:], pair.seconds) for pair in overlaps(clips, others)
    ]
    assert found == [
        ("overlap", clips[0].id, "21", 1.0),
        ("apart", clips[0].id, "40", 0.0),
        ("overlap", clips[0].id, "30", 10.0),
        *(("unknown", VIDEO, start, None) for start in ("21", "40", "30")),
    ]


def test_published_forms_of_lists(tmp_path: Path) -> None:
    lists = {
        "vggsound.csv": f"{VIDEO},30,dog barking,train\nAAAAAAAAAAA,5,cat,test\n",
        "segments.csv": f'# YTID, start\n{VIDEO}, 30.000, 40.000, "/m/1,/m/2"\n'
        'AAAAAAAAAAA, 0.000, 4.000, "/m/1"\nAAAAAAAAAAA, 5.000, 9.000, "/m/1"\n',
        "pairs.csv": f"source_1,source_2,class_1\n{VIDEO}_000030,AAAAAAAAAAA_000005,flute\n",
        "vggss.json": f'[{{"file": "{VIDEO}_000030", "class": "dog", "bbox": []}}]',
        "ids.txt": f"{VIDEO}_000030\n",
        "named.csv": f"name,category\n{VIDEO}_000030,dog\n",
        "words.txt": "dog/barks loud\nName\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
    read = {name: read_spans(tmp_path / name) for name in lists}
    both = [f"{VIDEO}_000030", "AAAAAAAAAAA_000005"]
    assert [*read["vggsound.csv"]] == [*read["pairs.csv"]] == both
    assert [*read["vggss.json"]] == [*read["ids.txt"]] == both[:1]
    assert [*read["named.csv"]] == both[:1] and [*read["words.txt"]] == ["dog/barks loud", "Name"]
    assert [*read["segments.csv"]] == [VIDEO, "AAAAAAAAAAA_0", "AAAAAAAAAAA_5"]
    assert (read["segments.csv"][VIDEO].start, read["segments.csv"]["AAAAAAAAAAA_5"].end) == (30, 9)
    assert [*read_spans(tmp_path / "vggsound.csv", split="test")] == both[1:]
    with pytest.raises(ValueError, match="no clip of the split 'eval'"):
        read_spans(tmp_path / "vggsound.csv", split="eval")


@pytest.fixture(scope="module")
def prints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Fingerprint]]:
    """Three clips in every encoding."""
    folder = tmp_path_factory.mktemp("leaks")
    found: dict[str, list[Fingerprint]] = {}
    for place, (name, how) in enumerate(ENCODINGS.items()):
        paths = [str(write(folder / f"{place}-{number}", number, how)) for number in range(3)]
        found[name] = [fingerprint(Item(id=path, path=path)) for path in paths]
    return found


@pytest.mark.parametrize("name", ENCODINGS)
def test_an_encoded_copy_is_found_and_no_other_clip(
    name: str, prints: dict[str, list[Fingerprint]]
) -> None:
    assert not any(one.reason for one in prints[name])
    audio = AudioIndex([one.codes for one in prints["same"]])
    frames = FrameIndex([one.hashes for one in prints["same"]])
    heard = [[match.index for match in audio.search(one.codes)] for one in prints[name]]
    shown = [[match.index for match in frames.search(one.hashes)] for one in prints[name]]
    assert shown == [[0], [1], [2]]
    if not name.startswith("2.5 s"):  # measured: at times missed, and found by its frames
        assert heard == [[0], [1], [2]]


def test_offset_and_seconds_in_common_are_right() -> None:
    audio = sound(0)[::2]  # 8 kHz, aliased, in both alike
    whole, rest = audio_codes(audio), audio_codes(audio[16_000 : 16_000 + 32_000])
    (match,) = AudioIndex([audio_codes(sound(1)[::2]), whole]).search(rest)
    assert (match.index, match.error) == (1, 0.0)
    assert match.count == pytest.approx(len(rest) * 0.016)


def test_silence_and_blank_frames_match_nothing() -> None:
    silent = audio_codes(np.zeros(80_000))
    assert not silent[:, 0].any()
    assert not [*AudioIndex([silent, silent]).search(silent)]
    assert frame_hash(torch.full((3, 40, 40), 200, dtype=torch.uint8)) is None
    assert len(audio_codes(np.zeros(100))) == 0 and not [*AudioIndex([]).search(silent)]
    none = np.zeros((0, 8), np.uint16)
    assert not [*FrameIndex([none]).search(none)]


def test_hash_of_an_image_survives_bars_and_size() -> None:
    seeded = torch.Generator().manual_seed(0)
    small = torch.rand(1, 3, 9, 12, generator=seeded)
    image = (255 * torch.nn.functional.interpolate(small, (90, 120), mode="bilinear"))[0].byte()
    barred = torch.nn.functional.pad(image, (0, 0, 20, 20))
    one, two, other = (frame_hash(each) for each in (image, barred, image.flip(2)))
    assert one is not None and two is not None and other is not None
    assert np.bitwise_count(one ^ two).sum() <= 2
    assert np.bitwise_count(one ^ other).sum() > 3 * MAX_DISTANCE


def test_fingerprints_are_kept(tmp_path: Path) -> None:
    prints = [
        Fingerprint("a", np.ones((3, 2), np.uint32), np.ones((1, 8), np.uint16)),
        Fingerprint("gr\udce9", reason="the file is empty"),
        Fingerprint("c", np.full((2, 2), 7, np.uint32)),
    ]
    with FingerprintStore(tmp_path) as store:
        for one in prints[:2]:
            store.add(one)
    with FingerprintStore(tmp_path) as store:
        assert [*store.prints] == ["a", "gr\udce9"]
        store.add(prints[2])
    again = FingerprintStore(tmp_path).prints
    for one in prints:
        assert again[one.path].reason == one.reason
        np.testing.assert_array_equal(again[one.path].codes, one.codes)
        np.testing.assert_array_equal(again[one.path].hashes, one.hashes)
    path = tmp_path / "00000.npz"
    whole = path.read_bytes()
    version = whole.index(b"PK\x01\x02") + 6  # of zip that is needed to extract the first array
    newer = whole[:version] + b"\xff" + whole[version + 1 :]
    flipped = whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]
    for damaged in (b"damaged", b"", whole[: len(whole) // 2], newer, flipped):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"00000\.npz: cannot be read .*; delete it"):
            FingerprintStore(tmp_path)


def test_audio_files_and_unusable_files(tmp_path: Path) -> None:
    write_wave(tmp_path / "a.wav", sound(2), rate=16000)
    one = fingerprint(Item(id="a", path=str(tmp_path / "a.wav")))
    assert len(one.codes) > 500 and len(one.hashes) == 0 and not one.reason
    (tmp_path / "b.mp4").touch()
    assert fingerprint(Item(id="b", path=str(tmp_path / "b.mp4"))).reason == "the file is empty"
    assert 0.3 < MAX_ERROR < 0.4  # measured: the same up to 0.29, others from 0.42

"""Mismatched pairs, and the audio that is played to an image."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avblocks.data import AVBatch, collate, mismatched_pairs, with_audio, with_negatives
from avblocks.data.datasets import ClipSet, Item
from avblocks.data.mismatch import AUDIO


def clips(*labels: tuple[int, ...], paths: str = "abcdefgh") -> ClipSet:
    items = [Item(id=str(n), path=paths[n], labels=of) for n, of in enumerate(labels)]
    return ClipSet(name="demo", items=tuple(items))


def test_the_next_clip_without_a_common_class_is_the_partner() -> None:
    found = mismatched_pairs(clips((0,), (0, 1), (1,), (2,)))
    assert found.places == ((0, 2), (1, 3), (2, 3), (3, 0))


def test_partners_are_of_other_files() -> None:
    found = mismatched_pairs(clips((), (), (), paths="aab"))
    assert found.places == ((0, 2), (1, 2), (2, 0))


@given(banned=st.sets(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=2))
def test_unlike_is_one_more_condition(banned: set[tuple[int, int]]) -> None:
    labels = ((0,), (1,), (2,), (3,))
    found = mismatched_pairs(clips(*labels), lambda one, two: (one, two) not in banned)
    assert [one for one, _ in found.places] == [0, 1, 2, 3]
    for one, two in found.places:
        nearer = {(one, (one + step) % 4) for step in range(1, (two - one) % 4)}
        assert one != two and (one, two) not in banned and nearer <= banned


@pytest.mark.parametrize("unlike", [None, lambda one, two: False])
def test_a_clip_without_a_partner_is_named(unlike: object) -> None:
    with pytest.raises(ValueError, match=r"a: no clip of another file .*: add one to demo"):
        mismatched_pairs(clips((0,), (0,) if unlike is None else (1,)), unlike)  # type: ignore[arg-type]


@pytest.fixture
def batch() -> AVBatch:
    rows = torch.arange(4)
    return AVBatch(
        image=rows.to(torch.uint8)[:, None, None, None].expand(4, 3, 2, 2),
        audio=rows.float()[:, None].expand(4, 5) + 1,
        flip=rows > 1,
        gain=rows.float(),
        target=torch.eye(4),
        seeds=(0, 1, 2, 3),
        paths=tuple("abcd"),
        boxes=tuple(torch.full((1, 4), float(row)) for row in range(4)),
        group=2,
    )


PLAYED = {"matched": [1, 3], "mismatched": [2, 4], "silenced": [0, 0]}


@pytest.mark.parametrize(("audio", "played"), PLAYED.items())
def test_images_are_those_of_the_first_clips(batch: AVBatch, audio: str, played: list[int]) -> None:
    assert tuple(PLAYED) == AUDIO
    found = with_audio(batch, audio)
    assert found.audio[:, 0].tolist() == played and found.audio.shape == (2, 5)
    assert (found.paths, found.seeds) == (("a", "c"), (0, 2))
    assert found.image[:, 0, 0, 0].tolist() == found.gain.tolist() == [0, 2]
    assert [float(box[0, 0]) for box in found.boxes if box is not None] == [0, 2]


def test_another_audio_is_refused(batch: AVBatch) -> None:
    with pytest.raises(ValueError, match=r"audio must be one of .*'silenced'.*, got 'own'"):
        with_audio(batch, "own")


def test_clips_without_partners_have_their_audio_and_silence(batch: AVBatch) -> None:
    single = replace(batch, group=1)
    assert with_audio(single, "matched").audio[:, 0].tolist() == [1, 2, 3, 4]
    assert not with_audio(single, "silenced").audio.any()
    with pytest.raises(ValueError, match="got 4 clips in groups of 1: read mismatched_pairs"):
        with_audio(single, "mismatched")


def test_selected_groups_stay_groups(batch: AVBatch) -> None:
    assert batch[:2].group == batch[2:].group == batch[[2, 3, 0, 1]].group == batch[:0].group == 2
    assert batch[1:].group == batch[[1, 0]].group == batch[0::2].group == 1


def test_negatives_are_silent_or_of_a_clip_of_other_classes() -> None:
    seeds, audio = tuple(range(2000)), torch.rand(2000, 3) + 1
    classes = torch.eye(4)[torch.arange(2000) % 4]
    plain = AVBatch(
        image=torch.zeros(2000, 3, 1, 1, dtype=torch.uint8),
        audio=audio,
        flip=torch.zeros(2000, dtype=torch.bool),
        gain=torch.zeros(2000),
        target=classes,
        seeds=seeds,
        paths=("a",) * 2000,
    )
    found, own = with_negatives(plain, share=0.4)
    silent = (found.audio == 0).all(dim=1)
    moved = (found.audio == audio.flip(0)).all(dim=1)
    assert torch.equal(own, ~(silent | moved)) and torch.equal(found.audio[own], audio[own])
    assert not (classes[moved] * classes.flip(0)[moved]).any()
    assert abs(silent.float().mean() - 0.2) < 0.03 and abs(moved.float().mean() - 0.2) < 0.03
    part, _ = with_negatives(plain[:2000:2], share=0.4)  # drawn by the sample, not the batch
    assert torch.equal((part.audio == 0).all(dim=1), silent[::2])
    same = with_negatives(replace(plain, target=torch.ones(2000, 4)), share=0.4)[0]
    assert ((same.audio == 0) | (same.audio == audio)).all()
    alone = plain[int(moved.nonzero()[0])]  # has no other clip
    assert with_negatives(collate([alone]), share=0.4)[1].all()
    assert torch.equal(with_negatives(plain, share=0.0)[0].audio, audio)

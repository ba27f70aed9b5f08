from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close
from torch.utils.data import DataLoader

from avblocks.data import (
    AVBatch,
    ClipDataset,
    ClipFormat,
    FixedGroups,
    FrontEnd,
    KeyedBatches,
    MixtureDataset,
    RandomGroups,
    collate,
    mix,
    swap,
)
from avblocks.data.datasets import vggsound

FORMAT = ClipFormat(seconds=1.0, size=16, mels=16)


def batch(audio: Tensor, gain: Tensor | None = None) -> AVBatch:
    b = len(audio)
    return AVBatch(
        image=torch.randint(256, (b, 3, 8, 8), dtype=torch.uint8),
        audio=audio,
        flip=torch.zeros(b, dtype=torch.bool),
        gain=torch.zeros(b) if gain is None else gain,
        target=torch.zeros(b, 1),
        seeds=tuple(range(b)),
        paths=tuple("abcdefghijkl"[:b]),
    )


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9))
def test_a_mixture_is_the_sum_of_its_group(groups: int, size: int, s: int) -> None:
    audio = torch.rand(groups * size, s) - 0.5
    gain = 8 * torch.rand(groups * size) - 4
    mixture = mix(batch(audio, gain), size=size)
    own = torch.stack([(x * 10 ** (g / 20)).clamp(-1, 1) for x, g in zip(audio, gain, strict=True)])
    assert_close(mixture.sources, own)
    for row, heard in enumerate(mixture.audio):
        first = row // size * size
        assert_close(heard, sum(own[first : first + size]))
    assert mixture.size == size


def test_a_loud_mixture_is_not_cut() -> None:
    mixture = mix(batch(torch.full((2, 3), 0.9)))
    assert_close(mixture.audio, torch.full((2, 3), 1.8))


def test_silent_sources_are_marked() -> None:
    audio = torch.zeros(4, 100)
    audio[1, 0], audio[2] = 0.002, 0.0004
    assert mix(batch(audio)).silent.tolist() == [True, True, False, True]
    assert mix(batch(audio), silence=1e-6).silent.tolist() == [True, False, False, True]


@given(st.integers(1, 3), st.integers(1, 4))
def test_swap_turns_each_group_once(groups: int, size: int) -> None:
    rows = torch.arange(groups * size * 2).view(groups * size, 2)
    out = swap(rows, size=size)
    for row in range(groups * size):
        group, place = divmod(row, size)
        assert torch.equal(out[row], rows[group * size + (place + 1) % size])
    for _ in range(size - 1):
        out = swap(out, size=size)
    assert torch.equal(out, rows)


@pytest.mark.usefixtures("unchecked")
def test_parts_of_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="batch must be a multiple of 2"):
        mix(batch(torch.zeros(3, 4)))
    with pytest.raises(ValueError, match="size must be a positive"):
        mix(batch(torch.zeros(2, 4)), size=0)
    with pytest.raises(ValueError, match="rows must be a multiple of 2"):
        swap(torch.zeros(3))


@pytest.fixture
def clips(scene_root: Path) -> ClipDataset:
    return ClipDataset(vggsound(scene_root, split="train"), FORMAT, train=True)


def test_a_sample_is_its_clips_as_they_are_read_alone(clips: ClipDataset) -> None:
    mixtures = MixtureDataset(clips, RandomGroups(len(clips), size=3, seed=5))
    assert len(mixtures) == len(clips)
    found = mixtures[2, 4]
    alone = collate([clips[2, place] for place in RandomGroups(8, size=3, seed=5)(2, 4)])
    for name in ("image", "audio", "flip", "gain", "target", "crop"):
        assert torch.equal(getattr(found, name), getattr(alone, name))
    assert (found.paths, found.seeds) == (alone.paths, alone.seeds) and len(set(found.paths)) == 3


def test_from_loader_to_mixed_spectrograms(clips: ClipDataset) -> None:
    """Every rank count gives the same mixtures, and they pass the front end."""
    mixtures = MixtureDataset(clips, RandomGroups(len(clips)))
    taken = []
    for world in (1, 2):
        rows = []
        for rank in range(world):
            order = KeyedBatches(8, batch_size=4 // world, seed=0, rank=rank, world_size=world)
            for some in DataLoader(mixtures, batch_sampler=order, collate_fn=collate):
                rows += [some.paths[i : i + 2] for i in range(0, len(some), 2)]
        taken.append(sorted(rows))
    assert taken[0] == taken[1] and len(taken[0]) == 8
    front = FrontEnd(FORMAT)
    some = collate([mixtures[0, 0], mixtures[0, 1]])
    image, own = front(some)
    mixture = mix(some)
    assert torch.equal(own, front.log_mel(mixture.sources))
    mixed = front.log_mel(mixture.audio)
    assert mixed.shape == own.shape and torch.equal(mixed[0], mixed[1])
    assert len(image) == 4 and not torch.equal(mixed[0], mixed[2])


def test_of_a_file_that_is_skipped_no_half_mixture_is_left(scene_root: Path) -> None:
    good = vggsound(scene_root, split="test")
    bad = replace(good.items[1], path=str(scene_root / "none.mp4"))
    broken = replace(good, items=(good.items[0], bad, *good.items[2:4]))
    settings = {"on_error": "skip", "max_skipped": 1.0}
    groups = FixedGroups(((0, 1), (2, 3)))
    tested = MixtureDataset(ClipDataset(broken, FORMAT, train=False, **settings), groups)
    joined = collate([tested[0, 0], tested[0, 1]])
    assert len(joined) == len(joined.image) == len(joined.audio) == len(joined.seeds) == 2
    assert [skip.path for skip in joined.skipped] == [bad.path]
    assert len(joined.boxes) == len(joined.paths)
    assert joined.paths == tuple(item.path for item in good.items[2:4])
    trained = MixtureDataset(ClipDataset(broken, FORMAT, train=True, **settings), groups)[0, 0]
    assert trained.paths == (good.items[0].path, good.items[2].path) and len(trained.skipped) == 1

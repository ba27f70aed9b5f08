"""Image files, masks and their audio in shards: equal to the files, bit for bit, if they fit."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from still_files import write_mask, write_number, write_sound

from avblocks.data import read_clip
from avblocks.data.datasets import ClipSet, Item
from avblocks.data.datasets.clipset import StillImage
from avblocks.data.shards import Shards, ShardSettings, make_shards
from avblocks.data.shards.png import decode_mask, decode_png, encode_mask

PLACES = ((0.5, 0.5), (0.0, 0.0), (1.0, 0.99), (0.3, 0.4))
SIZE = {"width": 96, "height": 64}


def mask(number: int) -> np.ndarray:
    values = np.zeros((64, 96), np.uint8)
    values[8:40, 10 * number : 10 * number + 30] = number + 1
    return values


def images(folder: Path, count: int, suffix: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return [write_number(folder / f"{n}.{suffix}", n, **SIZE) for n in range(count)]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    root = tmp_path_factory.mktemp("stills")
    sounds = [str(write_sound(root / f"{n}.wav", seconds=4.0)) for n in range(4)]
    files = images(root / "several", 3, "png")
    masks = [str(write_mask(root / f"mask{n}.png", mask(n))) for n in range(2)]
    several = tuple(
        StillImage(str(file), time=n + 0.5, mask=masks[n] if n < 2 else None, binary=False)
        for n, file in enumerate(files)
    )
    extracted = tuple(
        StillImage(str(file), part=n / 4) for n, file in enumerate(images(root / "parts", 4, "jpg"))
    )
    large = write_number(root / "large.jpg", 5, width=96, height=80)
    items = (
        Item("one", sounds[0], images=(StillImage(str(images(root / "one", 1, "jpg")[0])),)),
        Item("several", sounds[1], labels=(1,), images=several, boxes=((0.1, 0.2, 0.5, 0.6),)),
        Item("extracted", sounds[2], images=extracted, boxes=()),
        Item("large", sounds[3], images=(StillImage(str(large)),)),
    )
    return ClipSet(name="stills", items=items, classes=("even", "odd"))


@pytest.fixture(scope="module")
def shards(clips: ClipSet, tmp_path_factory: pytest.TempPathFactory) -> Shards:
    out = tmp_path_factory.mktemp("shards")
    make_shards({"train": clips}, out, settings=ShardSettings(side=64, clips=3))
    return Shards(out, verify=True)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("frames", [1, 2])
def test_clips_are_those_of_the_files(
    clips: ClipSet, shards: Shards, number: int, frames: int
) -> None:
    item, theirs = shards.clips("train").items[number], clips.items[number]
    if frames > 1 and number == 1:
        with pytest.raises(ValueError, match="has masks"):
            shards.read(item, seconds=1.0, frames=frames)
        return
    for place, frame in PLACES:
        options = {"seconds": 1.0, "place": place, "frame": frame, "frames": frames}
        ours, wanted = shards.read(item, **options), read_clip(theirs, **options)
        assert torch.equal(ours.image, wanted.image) and torch.equal(ours.audio, wanted.audio)
        assert (ours.labels, ours.time) == (wanted.labels, wanted.time)
        for one, other in ((ours.mask, wanted.mask), (ours.boxes, wanted.boxes)):
            assert (one is None) == (other is None)
            assert one is None or (other is not None and torch.equal(one, other))
        assert (ours.frames is None) == (wanted.frames is None)
        if ours.frames is not None and wanted.frames is not None:
            assert torch.equal(ours.frames.image, wanted.frames.image)
            assert torch.equal(ours.frames.mask, wanted.frames.mask)
            assert ours.frames.masked.tolist() == wanted.frames.masked.tolist()


def test_larger_images_are_resized(clips: ClipSet, shards: Shards) -> None:
    clip = shards.read(shards.clips("train").items[3], seconds=1.0)
    assert clip.image.shape == (3, 64, 76) and clip.mask is None
    wanted = torch.nn.functional.interpolate(
        read_clip(clips.items[3]).image[None], (64, 76), mode="bilinear", antialias=True
    )[0]
    assert (clip.image.float() - wanted.float()).abs().mean() < 4


def test_masks_are_resized_with_their_images(clips: ClipSet, tmp_path: Path) -> None:
    only = replace(clips, items=clips.items[1:2])
    shards = make_shards({"train": only}, tmp_path, settings=ShardSettings(side=32))
    clip = shards.read(shards.clips("train").items[0], seconds=1.0, frame=0.5)
    assert clip.mask is not None and clip.mask.shape == clip.image.shape[1:] == (32, 48)
    assert clip.mask.unique().tolist() == [0, 2]
    assert shards.have_masks("train")


def test_frames_of_a_clip_have_its_path(clips: ClipSet, tmp_path: Path) -> None:
    frames = replace(clips, items=clips.items[:2]).per_frame()
    settings = ShardSettings(side=64, clips=1)
    shards = make_shards({"train": frames}, tmp_path, settings=settings)
    items = shards.clips("train").items
    assert [item.id for item in items] == ["several_1", "several_2"]
    assert items[0].path == items[1].path
    for ours, theirs in zip(items, frames.items, strict=True):
        one, other = shards.read(ours, seconds=1.0), read_clip(theirs, seconds=1.0)
        assert torch.equal(one.image, other.image) and torch.equal(one.audio, other.audio)
        assert one.mask is not None and other.mask is not None
        assert torch.equal(one.mask, other.mask)


def test_masks_survive_png() -> None:
    values = np.random.default_rng(0).integers(0, 256, (37, 53), dtype=np.uint8)
    assert np.array_equal(decode_mask(encode_mask(values)), values)
    with pytest.raises(ValueError, match="not a PNG"):
        decode_png(b"\xff\xd8\xff\xd9")
    with pytest.raises(ValueError, match="cannot be decoded"):
        decode_png(encode_mask(values)[:80])
    huge = bytearray(encode_mask(values))
    huge[16:24] = (100_000).to_bytes(4) * 2
    with pytest.raises(ValueError, match="100000x100000 is over"):
        decode_png(huge)


@pytest.mark.parametrize(
    "suffixes", [["0000.jpg"], ["0001.png"] * 5, ["0000.mask.png"] * 5, "0000", [0, 1, 2, 3, 4]]
)
def test_suffixes_that_do_not_fit_are_refused(
    clips: ClipSet, tmp_path: Path, suffixes: object
) -> None:
    make_shards({"train": replace(clips, items=clips.items[1:2])}, tmp_path)
    index = tmp_path / "train-000000.json"
    content = json.loads(index.read_text())
    content["clips"][0]["suffixes"] = suffixes
    index.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="suffixes of several do not fit"):
        Shards(tmp_path)

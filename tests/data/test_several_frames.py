"""Several frames of a clip: read, drawn, cropped together, and from shards."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from clip_files import count, counter, encode
from still_files import write_mask, write_number, write_sound
from torch.testing import assert_close
from torch.utils.data import DataLoader

from avblocks.data import (
    AVBatch,
    ClipDataset,
    ClipError,
    ClipFormat,
    FrontEnd,
    collate,
    read_clip,
)
from avblocks.data.datasets import ClipSet, Item
from avblocks.data.datasets.clipset import StillImage
from avblocks.data.shards import Shards, ShardSettings, make_shards

FORMAT = ClipFormat(seconds=1.0, size=32, frames=4)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of 20 numbered images a second."""
    return encode(tmp_path_factory.mktemp("clip") / "a.mp4", frames=60, seconds=3.0)


@pytest.fixture(scope="module")
def clips(path: Path) -> ClipSet:
    return ClipSet(name="one", items=(Item(id="a", path=str(path)),))


def test_each_part_of_the_window_gives_one(path: Path) -> None:
    clip = read_clip(str(path), seconds=2.0, place=0.0, frame=0.5, frames=4)
    assert clip.image.shape[:2] == (3, 4)
    # At 0.25, 0.75, 1.25 and 1.75 s.
    assert [count(image.numpy()) for image in clip.image.unbind(1)] == [5, 15, 25, 35]
    assert clip.time == 0.25
    alone = read_clip(str(path), seconds=2.0, place=0.0, frame=0.125)
    assert torch.equal(clip.image[:, 0], alone.image)
    with pytest.raises(ValueError, match="frames >= 1"):
        read_clip(str(path), frames=0)


def test_frames_of_changing_size_are_refused_by_their_sizes(tmp_path: Path) -> None:
    """As of a call that was recorded as webm."""
    path = tmp_path / "call.webm"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("libopus", rate=48000, layout="mono")
        video = container.add_stream("libvpx", rate=20)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 96000), np.float32), "flt", "mono")
        sound.sample_rate, sound.pts = 48000, 0
        packets = [*audio.encode(sound), *audio.encode(None)]
        for part, height in enumerate((48, 96)):
            codec = av.CodecContext.create("libvpx", "w")
            codec.height, codec.width, codec.pix_fmt = height, 64, "yuv420p"
            codec.time_base = Fraction(1, 20)
            for number in range(20 * part, 20 * part + 20):
                frame = av.VideoFrame.from_ndarray(counter(number, height=height), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 20)
                packets += codec.encode(frame)
            packets += codec.encode(None)
        for packet in packets:
            packet.stream = audio if packet.stream is audio else video
        for packet in sorted(packets, key=lambda packet: packet.pts * packet.time_base):
            container.mux(packet)
    clips = ClipSet(name="one", items=(Item(id="a", path=str(path)),))
    shards = make_shards({"all": clips}, tmp_path / "shards", settings=ShardSettings(fps=4))
    (packed,) = shards.clips("all").items
    for read, item in ((read_clip, clips.items[0]), (shards.read, packed)):
        for place, height in ((0.0, 48), (1.0, 96)):
            clip = read(item, seconds=0.5, place=place, frames=2)
            assert clip.image.shape == (3, 2, height, 64)
        with pytest.raises(ClipError, match="between 64x48 and 64x96: read one"):
            read(item, seconds=2.0, frames=2)


def test_batches_are_videos_whose_frames_are_cropped_and_flipped_alike(clips: ClipSet) -> None:
    video = ClipDataset(clips, FORMAT, train=True)
    still = ClipDataset(clips, replace(FORMAT, frames=1), train=True)
    front_end = FrontEnd(FORMAT)
    for epoch in range(4):
        batch, alone = video[epoch, 0], still[epoch, 0]
        assert batch.image.shape[:3] == (1, 3, 4)
        assert_close(batch.crop, alone.crop)
        image, _ = front_end(batch)
        assert image.shape == (1, 3, *FORMAT.image_size)
        for number in range(4):
            frame = replace(batch, image=batch.image[:, :, number])
            assert_close(image[:, :, number], front_end(frame)[0])
    flipped = torch.cat([batch.image, batch.image])
    both = replace(collate([batch, batch]), image=flipped, flip=torch.tensor([False, True]))
    image, _ = front_end(both)
    assert_close(image[1], image[0].flip(-1))
    (joined,) = DataLoader(video, batch_size=1)
    assert isinstance(joined, AVBatch) and joined.image.ndim == 5


def test_shards_give_the_nearest(clips: ClipSet, tmp_path: Path) -> None:
    make_shards({"train": clips}, tmp_path, settings=ShardSettings(fps=10.0))
    shards = Shards(tmp_path)
    (item,) = shards.clips("train").items
    packed = shards.read(item, seconds=2.0, place=0.0, frames=4)
    # The shards' images are at 0.0, 0.1 and so on, as one is at 1.5 s.
    numbers = [count(image.numpy()) for image in packed.image.unbind(1)]
    assert packed.image.shape[:2] == (3, 4)
    assert all(abs(n - wanted) <= 1 for n, wanted in zip(numbers, (5, 15, 25, 35), strict=True))
    data = ClipDataset(shards.clips("train"), FORMAT, train=False, read=shards.read)
    assert data[0].image.shape[:3] == (1, 3, 4)


def test_picture_files_stand_for_frames(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "a.wav", seconds=1.0)
    files = [
        StillImage(str(write_number(tmp_path / f"{number}.png", number))) for number in (3, 5, 9)
    ]

    def numbers(*pictures: StillImage, frames: int) -> list[int]:
        item = Item(id="a", path=str(sound), images=pictures)
        image = read_clip(item, seconds=1.0, frames=frames).image
        return [count(frame.numpy()) for frame in image.unbind(1)]

    assert numbers(*files, frames=3) == [3, 5, 9]
    assert numbers(*files, frames=2) == [3, 9]
    assert numbers(files[0], frames=2) == [3, 3]
    mask = write_mask(tmp_path / "mask.png", np.zeros((48, 64), np.uint8))
    with pytest.raises(ValueError, match=r"has masks, which go with one frame: give frames=1"):
        numbers(replace(files[0], mask=str(mask)), frames=2)


def test_formats_of_before_have_one_frame() -> None:
    old = {name: value for name, value in ClipFormat().to_dict().items() if name != "frames"}
    assert ClipFormat.from_dict(old) == ClipFormat()
    assert FORMAT.image_size == (4, 32, 32)
    with pytest.raises(ValueError, match="frames must be an integer of at least 1"):
        ClipFormat(frames=0)

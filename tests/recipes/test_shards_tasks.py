"""Shards of image files and masks in the recipes that localize and segment: as from the files."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_localize_sets import is3_root
from toy_runs import DATA, make_root, toy_config

from avblocks.data import AVBatch, collate
from recipes import make_shards, paper_localize, paper_segment
from recipes.common.cli import run_cli
from recipes.common.data import Data, train_test_sets
from recipes.common.loaders import dataset, two_source_loader


def pack(name: str, root: Path, out: Path) -> Path:
    words = (name, "--data.root", root, "--out", out, "--data.workers", 0, "--shards.clips", 5)
    presets = make_shards.PRESETS
    run_cli(make_shards.main, presets=presets, doc=None, args=[str(word) for word in words])
    return out


def assert_equal(files: Data, *, shards: Path, needs: str) -> Data:
    """Compare all samples of training and test; return the settings with the shards."""
    packed = replace(files, root=None, shards=str(shards))
    sets = [train_test_sets(data, needs=needs) for data in (files, packed)]  # type: ignore[arg-type]
    for train, pair in zip((True, False), zip(*sets, strict=True), strict=True):
        theirs, ours = (
            dataset(clips, data, train=train, seed=0, whole=not train)
            for clips, data in zip(pair, (files, packed), strict=True)
        )
        assert len(ours) == len(theirs) > 0 and pair[0].classes == pair[1].classes
        groups = [[item.path for item in clips.items] for clips in pair]
        assert len(set(groups[0])) == len(set(groups[1]))
        for index in range(len(ours)):
            for name in ("image", "audio", "mask", "target", "crop"):
                one, other = (getattr(some[index], name) for some in (ours, theirs))
                assert (one is None and other is None) or torch.equal(one, other)
    return packed


def test_masks_are_packed(tmp_path: Path) -> None:
    root = make_root(tmp_path / "scenes")
    files = replace(DATA, name="avsbench_avss", root=root / "avsbench")
    shards = pack("avsbench_avss", root / "avsbench", tmp_path / "out")
    packed = assert_equal(files, shards=shards, needs="masks")
    config = toy_config("segment", root, tmp_path / "run", max_steps=1)
    paper_segment.main(replace(config, data=packed))
    assert (tmp_path / "run/metrics.csv").is_file()


def test_pairs_of_audio_and_image_are_packed(tmp_path: Path) -> None:
    root = is3_root(tmp_path / "data")
    for wav in (root / "test").rglob("*.wav"):  # at 16 kHz, where nothing is resampled
        wav.write_bytes((root / "train/audio" / wav.name).read_bytes())
    files = replace(DATA, name="is3", root=root)
    packed = assert_equal(files, shards=pack("is3", root, tmp_path / "out"), needs="boxes")
    _, test = train_test_sets(packed, needs="boxes")
    assert two_source_loader(test, packed, batch=2) is not None


def test_shards_without_masks_are_refused(tmp_path: Path) -> None:
    root = is3_root(tmp_path / "data")
    packed = Data(name="avsbench_s4", shards=str(pack("is3", root, tmp_path / "out")))
    with pytest.raises(ValueError, match="a test clip has no masks; if these are shards, make"):
        train_test_sets(packed, needs="masks")


def test_how_far_the_losses_of_videos_in_shards_are(tmp_path: Path) -> None:
    root = make_root(tmp_path / "scenes")
    config = toy_config("localize", root, tmp_path / "run", max_steps=1)
    files = replace(config.data, augment=False)
    packed = replace(files, root=None, shards=str(pack("vggss", root, tmp_path / "out")))
    ours, theirs = (
        collate([dataset(clips, data, train=True, seed=0, whole=True)[n] for n in range(8)])
        for data in (packed, files)
        for clips, _ in [train_test_sets(data, needs="boxes")]
    )
    assert (ours.image.float() - theirs.image.float()).abs().mean() < 3  # of 255: JPEG
    assert (ours.audio - theirs.audio).abs().max() < 1e-3  # 16 bits
    model = paper_localize.build(config, classes=())

    def loss(batch: AVBatch) -> float:
        torch.manual_seed(0)
        with torch.no_grad():
            return float(model(batch)["loss"])

    wanted = loss(theirs)
    assert loss(ours) == pytest.approx(wanted, rel=0.1)
    assert loss(replace(theirs, audio=ours.audio)) == pytest.approx(wanted, rel=0.01)
